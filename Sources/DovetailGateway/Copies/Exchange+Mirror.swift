import DovetailCore
import NIOCore

/// A mirror as one loop uses it.
final class CompiledMirror {
    let policy: MirrorPolicy
    let pool: UpstreamPool
    fileprivate var inFlight = 0

    init(_ policy: MirrorPolicy, pool: UpstreamPool) {
        self.policy = policy
        self.pool = pool
    }
}

extension Exchange {
    /// How long a mirrored request may take where its route sets no time.
    private static let longestMirror = Duration.seconds(15)

    /// Decides whether the request is mirrored, as it is being forwarded; a body is collected first.
    func beginMirror(_ mirror: CompiledMirror) {
        guard mirror.policy.allMethods || head.method.isIdempotent, !wantsWebSocket,
            Double.random(in: 0..<1, using: &worker.random) < mirror.policy.share
        else { return }
        guard mirror.inFlight < mirror.policy.maximumInFlight else { return countUnmirrored() }
        switch head.framing {
        case .none: self.mirror(to: mirror, body: ByteBuffer())
        case _ where bodyEnded:
            // It was held until it was known to be the one that was signed.
            guard let body = replay, body.readableBytes <= mirror.policy.maximumBodyBytes else {
                return countUnmirrored()
            }
            self.mirror(to: mirror, body: body)
        case .length(let length) where length > mirror.policy.maximumBodyBytes: countUnmirrored()
        default: mirrorBody = ByteBuffer()
        }
    }

    /// A piece of the body went to the original.
    func collectForMirror(_ slice: ByteBuffer) {
        guard var body = mirrorBody, let mirror = route?.mirror else { return }
        mirrorBody = nil
        guard body.readableBytes + slice.readableBytes <= mirror.policy.maximumBodyBytes else {
            return countUnmirrored()
        }
        body.writeImmutableBuffer(slice)
        mirrorBody = body
    }

    /// The body is whole.
    func endOfBodyForMirror() {
        guard let body = mirrorBody, let mirror = route?.mirror else { return }
        mirrorBody = nil
        guard mirror.inFlight < mirror.policy.maximumInFlight else { return countUnmirrored() }
        self.mirror(to: mirror, body: body)
    }

    private func mirror(to mirror: CompiledMirror, body: ByteBuffer) {
        mirror.inFlight += 1
        worker.counters.mirrored[mirror.pool.upstream.name, default: 0] += 1
        RequestCopy(of: self, body: body, hedges: false).start(
            to: mirror.pool, deadline: .now + (route?.timeout ?? Exchange.longestMirror)
        ) { mirror.inFlight -= 1 }
    }

    private func countUnmirrored() {
        guard let name = route?.mirror?.pool.upstream.name else { return }
        worker.counters.unmirrored[name, default: 0] += 1
    }
}
