/// What a ``PolicyExecutor`` has counted since it was made.
public struct PolicyCounters: Sendable, Hashable {
    /// Calls that were asked for.
    public var calls = 0
    /// Calls that returned a value.
    public var succeeded = 0
    /// Calls that threw, refused ones included.
    public var failed = 0
    /// Attempts that were started.
    public var attempts = 0
    /// Attempts that followed a failed one.
    public var retries = 0
    /// Retries that the budget did not grant.
    public var budgetExhausted = 0
    /// Calls refused by the rate limit.
    public var rateLimited = 0
    /// Calls refused by the bulkhead.
    public var bulkheadFull = 0
    /// Attempts refused by the open circuit breaker.
    public var circuitOpen = 0
    /// Attempts that had not ended when their time was over.
    public var timedOut = 0
    /// Attempts that timed out and ended after all.
    public var lateResults = 0
    /// How often the circuit breaker opened.
    public var circuitOpenings = 0

    mutating func count(_ event: PolicyEvent) {
        switch event {
        case .retried: retries += 1
        case .budgetExhausted: budgetExhausted += 1
        case .timedOut: timedOut += 1
        case .lateResult: lateResults += 1
        case .circuit(let transition): circuitOpenings += transition.to == .open ? 1 : 0
        case .rejected(let error):
            switch error.code {
            case .rateLimited: rateLimited += 1
            case .bulkheadFull: bulkheadFull += 1
            case .circuitOpen: circuitOpen += 1
            case .unreachable, .answerLost, .deadlineExceeded, .invalidAnswer: break
            }
        }
    }
}
