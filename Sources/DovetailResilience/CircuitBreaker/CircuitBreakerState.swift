import DovetailCore

/// A circuit breaker as a plain value that takes the time as an argument; ``CircuitBreaker`` is its shell.
///
/// Each phase is a generation. A call carries the generation it was let through in, and what it reports in a later one
/// is dropped: a call that started before the breaker opened neither closes nor keeps open what has begun since.
public struct CircuitBreakerState: Sendable {
    /// The right to make one call. Must come back once, through `record` or `release`.
    public struct Token: Sendable {
        let generation: UInt64
        let startedAt: MonotonicTime
    }

    /// Whether a call may be made.
    public enum Verdict: Sendable {
        /// It may.
        case permitted(Token)
        /// It may not; asking again is worth while after this time.
        case rejected(retryAfter: Duration)
    }

    private struct Probes {
        var outstanding = 0
        var answered = 0
        var failures = 0
        var slow = 0
    }

    /// When it opens and how it closes.
    public let policy: CircuitBreakerPolicy
    /// Whether calls pass. An open breaker turns half-open with the first call after its open time.
    public private(set) var phase = CircuitBreakerPhase.closed
    /// How often it opened, half-open rounds that failed included.
    public private(set) var openings = 0
    /// How many calls it refused.
    public private(set) var rejected = 0

    private var generation: UInt64 = 0
    private var window: OutcomeWindow
    private var connectFailures = 0
    private var probes = Probes()
    /// The end of the open time, or of the longest time that half-open waits for its probes.
    private var phaseEnds = MonotonicTime(nanoseconds: .min)
    private var reopenings = 0
    private var random: SeededGenerator

    /// A closed breaker.
    ///
    /// - Parameters:
    ///   - policy: When it opens and how it closes.
    ///   - seed: What its jitter follows from.
    public init(policy: CircuitBreakerPolicy, seed: UInt64) {
        self.policy = policy
        window = OutcomeWindow(policy.window)
        random = SeededGenerator(seed: seed)
    }

    /// Asks to make a call at `now`.
    public mutating func admit(at now: MonotonicTime) -> (verdict: Verdict, transition: CircuitBreakerTransition?) {
        switch phase {
        case .closed:
            return (.permitted(Token(generation: generation, startedAt: now)), nil)
        case .open:
            guard now >= phaseEnds else { return (reject(for: phaseEnds - now), nil) }
            let transition = enter(.halfOpen, .openDurationElapsed, at: now)
            return (probe(at: now), transition)
        case .halfOpen:
            if probes.outstanding + probes.answered < permittedProbes { return (probe(at: now), nil) }
            guard now >= phaseEnds else { return (reject(for: min(policy.openDuration, phaseEnds - now)), nil) }
            let transition = enter(.open, .probesUnanswered, at: now)
            return (reject(for: phaseEnds - now), transition)
        }
    }

    /// Takes in how a call ended. ``CallOutcome/ignored`` only gives the token back.
    public mutating func record(
        _ outcome: CallOutcome, of token: Token, at now: MonotonicTime
    ) -> CircuitBreakerTransition? {
        guard token.generation == generation else { return nil }
        guard outcome != .ignored else {
            release(token)
            return nil
        }
        let failed = outcome != .success
        let slow = policy.slowCallDurationThreshold.map { now - token.startedAt >= $0 } ?? false
        return phase == .halfOpen
            ? recordProbe(failed: failed, slow: slow, at: now)
            : recordCall(failed: failed, slow: slow, connect: outcome == .connectFailure, at: now)
    }

    /// Gives back the token of a call that was never made or whose end nobody saw.
    public mutating func release(_ token: Token) {
        guard token.generation == generation, phase == .halfOpen else { return }
        probes.outstanding -= 1
    }

    /// The calls of the window that count at `now`, how many of them failed and how many were slow.
    mutating func totals(at now: MonotonicTime) -> OutcomeWindow.Totals {
        window.advance(to: now)
        return window.totals
    }

    private var permittedProbes: Int { max(policy.permittedNumberOfCallsInHalfOpenState, 1) }

    private mutating func probe(at now: MonotonicTime) -> Verdict {
        probes.outstanding += 1
        return .permitted(Token(generation: generation, startedAt: now))
    }

    private mutating func reject(for duration: Duration) -> Verdict {
        rejected += 1
        return .rejected(retryAfter: duration)
    }

    private mutating func recordCall(
        failed: Bool, slow: Bool, connect: Bool, at now: MonotonicTime
    ) -> CircuitBreakerTransition? {
        window.record(failed: failed, slow: slow, at: now)
        connectFailures = connect ? connectFailures + 1 : 0
        if let limit = policy.consecutiveConnectFailures, connectFailures >= max(limit, 1) {
            return enter(.open, .connectFailures(connectFailures), at: now)
        }
        let totals = window.totals
        guard totals.calls >= min(max(policy.minimumNumberOfCalls, 1), window.capacity ?? .max) else { return nil }
        let failureRate = Double(totals.failures) / Double(totals.calls)
        let slowRate = Double(totals.slow) / Double(totals.calls)
        if totals.failures > 0, failureRate >= policy.failureRateThreshold {
            return enter(.open, .failureRate(failureRate), at: now)
        }
        if totals.slow > 0, slowRate >= policy.slowCallRateThreshold {
            return enter(.open, .slowCallRate(slowRate), at: now)
        }
        return nil
    }

    /// Opens as soon as the failed probes are too many whatever the others say; closes when all are in.
    private mutating func recordProbe(failed: Bool, slow: Bool, at now: MonotonicTime) -> CircuitBreakerTransition? {
        probes.outstanding -= 1
        probes.answered += 1
        probes.failures += failed ? 1 : 0
        probes.slow += slow ? 1 : 0
        let all = Double(permittedProbes)
        if probes.failures > 0 && Double(probes.failures) >= policy.failureRateThreshold * all
            || probes.slow > 0 && Double(probes.slow) >= policy.slowCallRateThreshold * all
        {
            return enter(.open, .probesFailed, at: now)
        }
        return probes.answered < permittedProbes ? nil : enter(.closed, .probesSucceeded, at: now)
    }

    private mutating func enter(
        _ next: CircuitBreakerPhase, _ reason: CircuitBreakerTransition.Reason, at now: MonotonicTime
    ) -> CircuitBreakerTransition {
        let previous = phase
        var length: Duration?
        phase = next
        generation += 1
        switch next {
        case .closed:
            window = OutcomeWindow(policy.window)
            connectFailures = 0
            reopenings = 0
        case .open:
            let duration = jittered(policy.openDuration(reopenings: reopenings))
            length = duration
            phaseEnds = now + duration
            openings += 1
            reopenings += 1
        case .halfOpen:
            probes = Probes()
            phaseEnds = now + policy.maximumDurationInHalfOpenState
        }
        return CircuitBreakerTransition(from: previous, to: next, reason: reason, at: now, openDuration: length)
    }

    private mutating func jittered(_ duration: Duration) -> Duration {
        let jitter = min(max(policy.openDurationJitter, 0), 1)
        return duration * Double.random(in: 1 - jitter...1 + jitter, using: &random)
    }
}
