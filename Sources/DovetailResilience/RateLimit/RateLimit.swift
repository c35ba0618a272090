import DovetailCore

/// How many calls are let through in how much time: `count` per `period`, with up to `burst` of them at once.
///
///     RateLimit(100, per: .seconds(1))              // 100/s, at most 100 at once
///     RateLimit(100, per: .seconds(1), burst: 20)   // the same rate, at most 20 at once
///     try RateLimit(parsing: "1000/h burst 50")
///
/// It is enforced by GCRA (the generic cell rate algorithm of ATM, ITU-T I.371, a leaky bucket kept as one time stamp):
/// in any stretch of time `t` no more than `burst + t · count / period` calls pass. There is no window whose edge lets
/// twice the count through.
public struct RateLimit: Sendable, Hashable {
    /// Calls per period.
    public let count: Int
    /// The time in which `count` calls may pass.
    public let period: Duration
    /// How many calls may pass at once after a quiet time.
    public let burst: Int

    /// Nanoseconds that one call takes up, rounded up so that the promise holds.
    let interval: Int64
    /// Nanoseconds that a whole burst takes up.
    let window: Int64

    /// A limit of `count` calls per `period`.
    ///
    /// - Parameters:
    ///   - count: At least 1.
    ///   - period: More than zero; at most 366 days.
    ///   - burst: At least 1; `count` unless given.
    /// - Precondition: The values are in those bounds. Values that come from outside go through ``init(parsing:)``.
    public init(_ count: Int, per period: Duration, burst: Int? = nil) {
        guard let limit = RateLimit(checking: count, per: period, burst: burst ?? count) else {
            preconditionFailure("a rate limit needs count, period and burst above zero, and a period of a year at most")
        }
        self = limit
    }

    init?(checking count: Int, per period: Duration, burst: Int) {
        let nanoseconds = period.wholeNanoseconds
        guard count >= 1, burst >= 1, nanoseconds >= 1, period <= .seconds(366 * 86_400) else { return nil }
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: Int64(count))
        let interval = rest == 0 ? whole : whole + 1
        let (window, overflow) = interval.multipliedReportingOverflow(by: Int64(burst))
        guard !overflow, window <= RateLimit.horizon else { return nil }
        self.count = count
        self.period = period
        self.burst = burst
        self.interval = interval
        self.window = window
    }

    /// Bounds every time and every window, so that their sums fit 64 bits.
    static let horizon = Int64.max / 4

    /// Decides about a call, and moves its key's theoretical arrival time if the call may pass.
    @inline(__always)
    func decide(_ arrival: inout Int64, cost: Int, at now: MonotonicTime) -> RateLimitDecision {
        let now = min(max(now.nanoseconds, -RateLimit.horizon), RateLimit.horizon)
        let backlog = max(arrival, now) - now
        let (product, overflow) = Int64(max(cost, 0)).multipliedReportingOverflow(by: interval)
        let charge = overflow ? RateLimit.horizon : min(product, RateLimit.horizon)
        guard charge <= window - backlog else {
            return RateLimitDecision(limit: self, backlog: backlog, missing: backlog + charge - window, allowed: false)
        }
        arrival = now + backlog + charge
        return RateLimitDecision(limit: self, backlog: backlog + charge, missing: 0, allowed: true)
    }
}

/// What a limiter says about one call, with what the `RateLimit` and `Retry-After` header fields need.
public struct RateLimitDecision: Sendable {
    /// The limit that decided.
    public let limit: RateLimit
    let backlog: Int64
    let missing: Int64
    /// Whether the call may pass. A call that may not has used nothing up.
    public let allowed: Bool

    init(limit: RateLimit, backlog: Int64, missing: Int64, allowed: Bool) {
        self.limit = limit
        self.backlog = backlog
        self.missing = missing
        self.allowed = allowed
    }

    /// How many calls of cost 1 could pass right now, after this one.
    public var remaining: Int { Int(max(0, limit.window - backlog) / limit.interval) }

    /// Zero if the call may pass, otherwise how long until it could (if its cost is within the burst).
    public var retryAfter: Duration { .nanoseconds(missing) }

    /// How long until the whole burst is there again.
    public var resetAfter: Duration { .nanoseconds(backlog) }
}
