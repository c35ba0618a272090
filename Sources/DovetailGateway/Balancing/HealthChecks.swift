import DovetailCore
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Asks the servers of upstreams, each in its interval, whether they are well, and tells ``ServerHealth``.
final class HealthChecks: Sendable {
    private struct Check {
        let upstream: Upstream
        let tasks: [Task<Void, Never>]
    }

    private let checks = Mutex<[String: Check]>([:])
    private let shared: SharedState
    private let logger: Logger

    init(shared: SharedState, logger: Logger) {
        self.shared = shared
        self.logger = logger
    }

    /// Checks what `configuration` says from now on; checks of upstreams that did not change go on.
    func apply(_ configuration: GatewayConfiguration) {
        checks.withLock { checks in
            var next: [String: Check] = [:]
            for upstream in configuration.upstreams {
                guard let check = upstream.healthCheck else { continue }
                if let known = checks[upstream.name], known.upstream.isSame(as: upstream),
                    known.upstream.hasSameFiles(as: upstream)
                {
                    next[upstream.name] = known
                    checks[upstream.name] = nil
                } else {
                    let health = shared.guards(for: upstream).health
                    next[upstream.name] = Check(
                        upstream: upstream,
                        tasks: upstream.servers.indices.map { index in
                            Task { await watch(upstream, index, check, health) }
                        })
                }
            }
            for check in checks.values { for task in check.tasks { task.cancel() } }
            checks = next
        }
    }

    func stop() {
        checks.withLock { checks in
            for check in checks.values { for task in check.tasks { task.cancel() } }
            checks = [:]
        }
    }

    private func watch(
        _ upstream: Upstream, _ index: Int, _ check: Upstream.HealthCheck, _ health: ServerHealth
    ) async {
        let server = upstream.servers[index]
        let tls = try? upstream.tls?.context(upstream: upstream.name, for: upstream.protocol)
        while !Task.isCancelled {
            let outcome = await probe(server, of: upstream, check, tls ?? nil)
            guard !Task.isCancelled else { return }
            let isWell = if case .status(let status) = outcome { check.statuses.contains(status) } else { false }
            if health.probed(index, isWell: isWell, check: check) {
                logger.log(
                    level: isWell ? .notice : .warning,
                    isWell ? "a server is well again" : "a server is not well and gets no requests",
                    metadata: [
                        "upstream": "\(upstream.name)", "server": "\(server.host):\(server.port)",
                        "path": "\(check.path)", "outcome": "\(outcome)",
                    ])
            }
            // Not all gateways at the same moment.
            let jitter = Double.random(in: 0.9...1.1)
            try? await Task.sleep(for: check.interval * jitter)
        }
    }

    private enum Outcome: CustomStringConvertible {
        case status(Int)
        case nothing(String)

        var description: String {
            switch self {
            case .status(let status): "status \(status)"
            case .nothing(let reason): reason
            }
        }
    }

    private func probe(
        _ server: Upstream.Server, of upstream: Upstream, _ check: Upstream.HealthCheck, _ tls: NIOSSLContext?
    ) async -> Outcome {
        let request =
            "GET \(check.path) HTTP/1.1\r\nhost: \(upstream.host(for: server))\r\nuser-agent: dovetail-health-check\r\nconnection: close\r\n\r\n"
        // Not one of the gateway's own: those end with it, in the middle of a probe.
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: Int.self)
        let name = upstream.tls?.serverName ?? server.hostName
        do {
            let channel = try await ClientBootstrap(group: loop)
                .connectTimeout(.nanoseconds(check.timeout.wholeNanoseconds))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let tls else { return }
                        let name = AddressRange.bytes(of: name) == nil ? name : nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: name))
                    }
                }
                .connect(host: server.host, port: server.port).get()
            let limit = loop.scheduleTask(in: .nanoseconds(check.timeout.wholeNanoseconds)) {
                answer.fail(ChannelError.connectTimeout(.nanoseconds(check.timeout.wholeNanoseconds)))
            }
            let isStream = upstream.protocol == .http2
            loop.execute { HealthChecks.ask(request, on: channel, isStream: isStream, isSecure: tls != nil, answer) }
            defer {
                limit.cancel()
                channel.close(promise: nil)
            }
            return .status(try await answer.futureResult.get())
        } catch {
            answer.fail(error)
            return .nothing("no answer: \(error)")
        }
    }

    /// Sends the request, in a stream where HTTP/2 is spoken; what comes of it is told to `answer`.
    private static func ask(
        _ request: String, on channel: any Channel, isStream: Bool, isSecure: Bool, _ answer: EventLoopPromise<Int>
    ) {
        let send: @Sendable (any Channel) -> Void = { channel in
            do {
                try channel.pipeline.syncOperations.addHandler(StatusReader(answer))
                channel.writeAndFlush(ByteBuffer(string: request), promise: nil)
                channel.read()
            } catch {
                answer.fail(error)
            }
        }
        guard isStream else { return send(channel) }
        do {
            let (session, ready) = try UpstreamSession.make(
                on: channel, scheme: isSecure ? "https" : "http", now: 0)
            let bound = NIOLoopBound(session, eventLoop: channel.eventLoop)
            ready.flatMap { bound.value.open { 0 } }.whenComplete { result in
                switch result {
                case .success(let stream): send(stream)
                case .failure(let error): answer.fail(error)
                }
            }
        } catch {
            answer.fail(error)
        }
    }
}

/// Reads the status of an answer, and no more.
private final class StatusReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: EventLoopPromise<Int>
    private var inbound = ByteBuffer()

    init(_ answer: EventLoopPromise<Int>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var data = unwrapInboundIn(data)
        inbound.writeBuffer(&data)
        // HTTP/1.1 200
        guard inbound.readableBytes >= 12 else { return }
        let text = inbound.getString(at: inbound.readerIndex, length: 12) ?? ""
        if text.hasPrefix("HTTP/1."), let status = Int(text.suffix(3)) {
            answer.succeed(status)
        } else {
            answer.fail(CodecError.bad("the answer is not HTTP"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(ChannelError.eof)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }
}
