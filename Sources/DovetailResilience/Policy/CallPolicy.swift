import DovetailCore

/// How calls to one callee are guarded: one value that names every guard, with defaults right for production.
///
/// Set a guard to nil to go without it. A ``PolicyExecutor`` puts the value to work.
///
///     var policy = CallPolicy()
///     policy.timeout = .seconds(2)
///     policy.retry = nil                       // somebody nearer the failure retries
///     policy.rateLimit = RateLimit(100, per: .seconds(1))
public struct CallPolicy: Sendable {
    /// The longest a call takes, its retries and waits included. 15 s, Envoy's default for a route.
    public var timeout: Duration? = .seconds(15)
    /// The longest one attempt takes. Nil, the default: as long as the call has.
    public var attemptTimeout: Duration?
    /// How a failed call is sent again. 3 attempts, 25 ms to 250 ms; nil if somebody nearer the failure retries.
    public var retry: RetryPolicy? = RetryPolicy()
    /// The retries that all calls share. 20 % over 10 s, plus 10 a second.
    public var retryBudget: RetryBudgetPolicy? = RetryBudgetPolicy()
    /// When calls stop for a while. 50 % failures of at least 20 calls in 10 s.
    public var circuitBreaker: CircuitBreakerPolicy? = CircuitBreakerPolicy()
    /// How many calls are under way at once. 1024, and 128 in the queue for 1 s.
    public var bulkhead: BulkheadPolicy? = BulkheadPolicy()
    /// How many calls are made in a stretch of time; more are refused at once. None.
    public var rateLimit: RateLimit?

    /// The defaults; change what differs.
    public init() {}

    /// No guard at all: a call is its operation, under the caller's own deadline.
    public static var unguarded: CallPolicy {
        var policy = CallPolicy()
        policy.timeout = nil
        policy.retry = nil
        policy.retryBudget = nil
        policy.circuitBreaker = nil
        policy.bulkhead = nil
        return policy
    }
}
