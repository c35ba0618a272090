import DovetailCore
import NIOCore

/// Why an attempt brought no answer.
enum AttemptFailure {
    /// No connection: nothing was sent.
    case unreachable
    /// A pooled connection ended before a byte of the answer: most likely the server had closed it.
    case stale
    /// The connection ended before the answer's head was whole.
    case lost
    /// The answer breaks HTTP.
    case invalid(CodecError)
    /// An answer that says to try again.
    case status(Int)
}

extension Exchange {
    /// Makes an attempt, if the breaker lets it.
    func attempt(_ pool: UpstreamPool) {
        guard !isOver else { return }
        attempts += 1
        guard admit(to: pool) else { return }
        pool.acquire(for: self)
    }

    /// A connection is there: the request goes out.
    func attached(to connection: UpstreamConnection) {
        responder = .upstream(connection)
        worker.compose()
        writeRequestHead(into: &worker.scratch, serverName: connection.authority, now: .now)
        connection.write(worker.takeComposed())
        if let replay, replay.readableBytes > 0 { writeRequestBody(replay, to: connection) }
        if bodyEnded {
            endRequest(on: connection)
        } else {
            askForBody()
            client.pumpBody()
        }
        connection.flush()
    }

    func keepForReplay(_ slice: ByteBuffer) {
        guard var kept = replay else { return }
        replay = nil
        guard case .pool(let pool) = route?.destination, let retry = pool.upstream.retry, isIdempotent,
            kept.readableBytes + slice.readableBytes <= retry.replayBytes
        else { return }
        kept.writeImmutableBuffer(slice)
        replay = kept
    }

    func writeRequestBody(_ slice: ByteBuffer, to connection: UpstreamConnection) {
        guard head.framing == .chunked else { return connection.write(slice) }
        var size = ByteBuffer()
        size.writeShortHex(slice.readableBytes)
        size.writeStaticString("\r\n")
        connection.write(size)
        connection.write(slice)
        connection.write(ByteBuffer(staticString: "\r\n"))
    }

    func endRequest(on connection: UpstreamConnection) {
        if head.framing == .chunked { connection.write(ByteBuffer(staticString: "0\r\n\r\n")) }
        connection.requestIsSent = true
    }

    /// Whether the request may be carried out twice.
    var isIdempotent: Bool { route?.isIdempotent ?? head.method.isIdempotent }

    /// An attempt failed before its answer began: another one, or an answer that says so.
    func attemptFailed(_ failure: AttemptFailure, pool: UpstreamPool, server: Int) {
        guard !isOver, status == 0 else { return fail() }
        responder = .none
        failedServer = server
        worker.counters.upstreamErrors[pool.upstream.name, default: 0] += 1
        recordFailure()
        if mayRetry(failure, pool) { return retry(failure, pool) }
        switch failure {
        case .unreachable:
            reject(.upstream, Problem("upstream-unreachable", status: 502, detail: "the service cannot be reached"))
        case .stale, .lost:
            reject(
                .upstream,
                Problem("answer-lost", status: 502, detail: "the service ended the connection without an answer"))
        case .invalid:
            reject(.upstream, Problem("invalid-answer", status: 502, detail: "the service's answer is not valid HTTP"))
        case .status: break
        }
    }

    /// Whether an answer of this status is to be tried again instead of passed on.
    func retriesStatus(_ status: Int, _ pool: UpstreamPool) -> Bool {
        guard let retry = pool.upstream.retry, retry.statuses.contains(status) else { return false }
        return mayRetry(.status(status), pool)
    }

    private func mayRetry(_ failure: AttemptFailure, _ pool: UpstreamPool) -> Bool {
        guard replay != nil else { return false }
        switch failure {
        case .invalid: return false
        case .unreachable: break
        case .stale where isIdempotent && !usedFreeRetry:
            usedFreeRetry = true
            return true
        case .stale, .lost, .status:
            guard isIdempotent else { return false }
        }
        guard let retry = pool.upstream.retry, attempts < retry.attempts else { return false }
        return pool.takeRetry()
    }

    func retry(_ failure: AttemptFailure, _ pool: UpstreamPool) {
        worker.counters.retries[pool.upstream.name, default: 0] += 1
        if case .stale = failure { return attempt(pool) }
        guard let retry = pool.upstream.retry else { return }
        let doubled = retry.baseBackoff.wholeNanoseconds.multipliedReportingOverflow(by: 1 << min(attempts - 1, 20))
        let span = min(retry.maximumBackoff.wholeNanoseconds, doubled.overflow ? .max : doubled.partialValue)
        let wait = span > 0 ? Int64.random(in: 0...span, using: &worker.random) : 0
        let timer = WheelTimer()
        timer.onFire = { [weak self] in self?.attempt(pool) }
        backoff = timer
        worker.schedule(timer, at: .now + .nanoseconds(wait))
    }
}
