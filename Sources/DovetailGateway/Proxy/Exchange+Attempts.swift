import DovetailCore
import DovetailResilience
import NIOCore

/// Why an attempt brought no answer to pass on.
enum AttemptFailure {
    /// No connection: nothing was sent.
    case unreachable
    /// The server says that it has not looked at the request (RFC 9113 8.7).
    case refused
    /// The request's fields are more than the protocol of the upstream carries: nothing was sent, and it is not the server's fault.
    case tooLong
    /// A pooled connection ended before a byte of the answer: most likely the server had closed it.
    case stale
    /// The connection ended before the answer's head was whole.
    case lost
    /// The answer breaks HTTP.
    case invalid(CodecError)
    /// The answer's head did not come in the time of one attempt.
    case timedOut
    /// An answer that says to try again.
    case status(Int, retryAfter: Duration?)
}

extension Exchange {
    /// Makes an attempt, if the breaker lets it.
    func attempt(_ pool: UpstreamPool) {
        guard !isOver else { return }
        attempts += 1
        attemptStarted = .now
        guard admit(to: pool) else { return }
        if pool.upstream.hedge != nil { prepareHedge(pool) }
        pool.acquire(for: self)
    }

    /// A connection is there: the request goes out.
    func attached(to connection: UpstreamConnection) {
        responder = .upstream(connection)
        lastServer = connection.server
        if let timer = client.attemptTimer { worker.disarm(timer) }
        worker.compose()
        writeRequestHead(into: &worker.scratch, serverName: connection.authority, now: .now)
        connection.write(worker.takeComposed())
        guard case .upstream(let current) = responder, current === connection else { return }
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
        guard var kept = replay, !isCopy else { return }
        replay = nil
        // What HTTP/2 refuses may be sent again whatever it is.
        guard let upstream = pool?.upstream, let retry = upstream.retry, isIdempotent || upstream.protocol == .http2,
            kept.readableBytes + slice.readableBytes <= retry.replayBytes
        else { return }
        kept.writeImmutableBuffer(slice)
        replay = kept
    }

    func writeRequestBody(_ slice: ByteBuffer, to connection: UpstreamConnection) {
        guard head.framing == .chunked else { return connection.write(slice) }
        var size = ByteBuffer()
        size.writeShortHex(slice.readableBytes)
        size.writeLiteral("\r\n")
        connection.write(size)
        connection.write(slice)
        connection.write(ByteBuffer(staticString: "\r\n"))
    }

    func endRequest(on connection: UpstreamConnection) {
        if head.framing == .chunked {
            var last = ByteBuffer(staticString: "0\r\n")
            last.writeBytes(
                TrailerSection.forwarded(client.requestTrailers, underscores: snapshot.configuration.underscores))
            last.writeLiteral("\r\n")
            connection.write(last)
        }
        connection.requestIsSent = true
        if let time = connection.pool.attemptNanoseconds { limitAttempt(time) }
    }

    /// From here on the attempt waits for its server alone.
    private func limitAttempt(_ time: Int64) {
        guard status == 0 else { return }
        let timer = client.attemptTimer ?? makeAttemptTimer()
        worker.schedule(timer, at: .now.advanced(byNanoseconds: time))
    }

    /// One for all requests of a connection.
    private func makeAttemptTimer() -> WheelTimer {
        let timer = WheelTimer()
        if isCopy {
            timer.onFire = { [weak self] in self?.attemptTimedOut() }
        } else {
            timer.onFire = { [weak client] in client?.exchange?.attemptTimedOut() }
        }
        client.attemptTimer = timer
        return timer
    }

    /// The server has not begun to answer in the time of one attempt.
    func attemptTimedOut() {
        guard !isOver, status == 0, case .upstream(let connection) = responder else { return }
        observeLatency(connection.pool, status: nil)
        connection.suspect()
        connection.abandon()
        attemptFailed(.timedOut, pool: connection.pool, server: connection.server)
        // After a wait there is no read event that would flush.
        client.flush()
    }

    /// Whether the request may be carried out twice.
    var isIdempotent: Bool { route?.isIdempotent ?? head.method.isIdempotent }

    // MARK: Failures

    /// An attempt failed before its answer began: another one, or an answer that says so.
    func attemptFailed(_ failure: AttemptFailure, pool: UpstreamPool, server: Int) {
        guard !isOver, status == 0 else { return fail() }
        responder = .none
        if case .tooLong = failure {
            permit = nil
            return reject(
                .malformed,
                Problem(
                    "head-too-large", status: 431, detail: "the header section is more than goes into a frame of HTTP/2"
                ))
        }
        failedServer = server
        worker.counters.upstreamErrors[pool.upstream.name, default: 0] += 1
        if case .unreachable = failure { report(.connectFailure) }
        if case .stale = failure {
            permit = nil
        } else {
            pool.observe(server, status: nil, since: attemptStarted)
        }
        report(.failure)
        if hedge != nil, isLeftToHedge(failure, pool: pool, server: server) { return }
        settle(failure, pool: pool, server: server)
    }

    /// An attempt has failed, and no other is under way.
    func settle(_ failure: AttemptFailure, pool: UpstreamPool, server: Int) {
        failedServer = server
        if let wait = waitBeforeRetry(after: failure, pool) { return retry(in: wait, pool) }
        switch failure {
        case .unreachable:
            reject(.upstream, Problem("upstream-unreachable", status: 502, detail: "the service cannot be reached"))
        case .stale, .lost, .refused:
            reject(
                .upstream,
                Problem("answer-lost", status: 502, detail: "the service ended the connection without an answer"))
        case .invalid:
            reject(.upstream, Problem("invalid-answer", status: 502, detail: "the service's answer is not valid HTTP"))
        case .timedOut:
            reject(
                .timeout,
                Problem("attempt-timed-out", status: 504, detail: "the service did not begin to answer in time"))
        case .status, .tooLong: break
        }
    }

    /// Drops an answer whose status is to be tried again; false if it is to be passed on.
    func retriesAnswer(status: Int, retryAfter: Duration?, from connection: UpstreamConnection) -> Bool {
        let pool = connection.pool
        if hedgedRequest != nil, Exchange.isFailure(status) {
            // It does not overtake anybody by failing.
            report(status: status)
            pool.observe(connection.server, status: status, since: attemptStarted)
            clientGone()
            return true
        }
        if hedge != nil { dropHedge() }
        guard let retry = pool.upstream.retry, retry.statuses.contains(status),
            let wait = waitBeforeRetry(after: .status(status, retryAfter: retryAfter), pool)
        else { return false }
        responder = .none
        failedServer = connection.server
        report(status: status)
        pool.observe(connection.server, status: status, since: attemptStarted)
        observeLatency(pool, status: status)
        connection.abandon()
        self.retry(in: wait, pool)
        return true
    }

    /// A request is not held back longer than this, whatever its route's timeout.
    private static let longestRetryWait = Duration.seconds(15)

    /// How long to wait before another attempt; nil if there is to be none.
    private func waitBeforeRetry(after failure: AttemptFailure, _ pool: UpstreamPool) -> Duration? {
        guard replay != nil else { return nil }
        let name = pool.upstream.name
        let error: any Error
        switch failure {
        case .invalid, .tooLong: return nil
        case .unreachable, .refused:
            error = CallError(.unreachable, callee: name, message: "no connection", wasSent: false)
        case .stale where isIdempotent && !usedFreeRetry:
            usedFreeRetry = true
            return .zero
        case .stale, .lost, .timedOut:
            error = CallError(.answerLost, callee: name, message: "no answer", wasSent: true)
        case .status(let status, let retryAfter):
            // A 503 promises that nothing was done, but not every server that says it keeps that promise.
            guard isIdempotent else { return nil }
            var problem = Problem("status", status: status)
            problem.retryAfter = retryAfter
            error = problem
        }
        guard let retry = pool.upstream.retry, !isCopy else { return nil }
        let now = MonotonicTime.now
        // Who asks for more patience than that gets no second request: its answer is passed on, and says the same to the client.
        let patience = now + Exchange.longestRetryWait
        let decision = retry.policy.decide(
            afterAttempt: attempts, failedWith: error, safety: isIdempotent ? .always : .onlyIfNotSent, at: now,
            deadline: min(deadline ?? patience, patience), using: &worker.random)
        guard case .retry(let wait) = decision, pool.guards.budget?.withdraw(at: now) ?? true else { return nil }
        return wait
    }

    private func retry(in wait: Duration, _ pool: UpstreamPool) {
        worker.counters.retries[pool.upstream.name, default: 0] += 1
        guard wait > .zero else { return attempt(pool) }
        let timer = WheelTimer()
        timer.onFire = { [weak self] in self?.attempt(pool) }
        backoff = timer
        worker.schedule(timer, at: .now + wait)
    }
}
