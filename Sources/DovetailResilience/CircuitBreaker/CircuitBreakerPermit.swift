import DovetailCore

/// The right to make one call through a ``CircuitBreaker``.
///
/// It is reported once or dropped; the type does not allow for both, nor for twice. Dropped, it counts for nothing.
public struct CircuitBreakerPermit: ~Copyable, Sendable {
    private let breaker: CircuitBreaker
    private let token: CircuitBreakerState.Token
    private var isReported = false

    init(breaker: CircuitBreaker, token: CircuitBreakerState.Token) {
        self.breaker = breaker
        self.token = token
    }

    /// Tells the breaker how the call ended.
    public consuming func report(_ outcome: CallOutcome, at now: MonotonicTime) {
        isReported = true
        breaker.record(outcome, of: token, at: now)
    }

    deinit {
        if !isReported { breaker.release(token) }
    }
}
