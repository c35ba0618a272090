import DovetailCore
import NIOCore

/// A second attempt that is made while the first one still waits for its answer: the answer that begins first is the client's.
final class Hedge {
    let timer = WheelTimer()
    fileprivate var copy: RequestCopy?
    /// What became of the first attempt, if it failed while the second was under way.
    fileprivate var failure: (failure: AttemptFailure, pool: UpstreamPool, server: Int)?
    fileprivate var isUnderWay: Bool { copy != nil }
}

extension Exchange {
    /// Waits to make a second attempt, where the upstream has that: of reads without a body, as long as another server is there.
    func prepareHedge(_ pool: UpstreamPool) {
        guard let policy = pool.upstream.hedge, attempts == 1, !isCopy, head.method.isSafe, route?.isIdempotent ?? true,
            head.framing == .none, pool.serverCount > 1, !wantsWebSocket
        else { return }
        let hedge = Hedge()
        hedge.timer.onFire = { [weak self] in self?.makeHedge(pool) }
        self.hedge = hedge
        worker.schedule(hedge.timer, at: .now + policy.after)
    }

    private func makeHedge(_ pool: UpstreamPool) {
        guard !isOver, status == 0, let hedge, !hedge.isUnderWay, case .upstream(let connection) = responder else {
            return
        }
        // The budget is that of retries: when a whole upstream is slow, hedges do not double its load.
        guard pool.guards.budget?.withdraw(at: .now) ?? true else {
            worker.counters.hedgesRefused[pool.upstream.name, default: 0] += 1
            return
        }
        worker.counters.hedges[pool.upstream.name, default: 0] += 1
        let copy = RequestCopy(of: self, body: ByteBuffer(), hedges: true)
        copy.exchange.failedServer = connection.server
        hedge.copy = copy
        copy.start(to: pool, deadline: deadline) { [weak self] in self?.hedgeEnded() }
    }

    /// The second attempt is over without an answer that counts.
    private func hedgeEnded() {
        guard let hedge, hedge.isUnderWay else { return }
        hedge.copy = nil
        guard let first = hedge.failure, !isOver else { return }
        self.hedge = nil
        settle(first.failure, pool: first.pool, server: first.server)
    }

    /// The first attempt has failed; true if the second one is still to be waited for.
    func isLeftToHedge(_ failure: AttemptFailure, pool: UpstreamPool, server: Int) -> Bool {
        guard let hedge, hedge.isUnderWay else {
            dropHedge()
            return false
        }
        hedge.failure = (failure, pool, server)
        return true
    }

    /// No second attempt is wanted any more.
    func dropHedge() {
        guard let hedge else { return }
        self.hedge = nil
        worker.cancel(hedge.timer)
        guard let copy = hedge.copy else { return }
        hedge.copy = nil
        copy.exchange.clientGone()
    }

    /// The second attempt's answer has begun first: from here on it is the client's, and the first attempt is left.
    func takeOver(
        _ copy: Exchange, _ response: ResponseHead, fields: [HeaderField], bytes: UnsafeRawBufferPointer
    ) {
        guard !isOver, status == 0, let hedge, case .upstream(let connection) = copy.responder else {
            return copy.clientGone()
        }
        worker.counters.hedgesWon[connection.pool.upstream.name, default: 0] += 1
        self.hedge = nil
        hedge.copy = nil
        // A server that is overtaken is slow: the balancer learns at least how long it has taken already.
        if case .upstream(let first) = responder {
            first.pool.overtaken(first.server, since: attemptStarted)
        }
        cancelResponder()
        permit = copy.permit.take()
        attemptStarted = copy.attemptStarted
        attempts += 1
        lastServer = connection.server
        connection.handOver(to: self)
        responder = .upstream(connection)
        copy.responder = .none
        copy.clientGone()
        responseHead(response, fields: fields, bytes: bytes)
    }
}
