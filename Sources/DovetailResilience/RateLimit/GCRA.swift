import DovetailCore

/// A rate limit for one stream of calls, as a plain value: the whole state is one theoretical arrival time.
///
/// For one limit per key, shared between threads, see ``RateLimiter``.
public struct GCRA: Sendable {
    /// The limit it enforces.
    public let limit: RateLimit
    private var arrival = Int64.min

    /// A limit with its whole burst at hand.
    public init(_ limit: RateLimit) {
        self.limit = limit
    }

    /// Decides about a call at `now`, and takes its cost up if it may pass.
    ///
    /// - Parameters:
    ///   - cost: How many calls this one counts for. Zero only looks. A cost above the burst is never let through.
    ///   - now: The present; a time before an earlier call's gives nothing back.
    public mutating func decide(cost: Int = 1, at now: MonotonicTime) -> RateLimitDecision {
        limit.decide(&arrival, cost: cost, at: now)
    }
}
