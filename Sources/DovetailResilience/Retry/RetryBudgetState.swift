import DovetailCore

/// A retry budget as a plain value that takes the time as an argument; ``RetryBudget`` is its shell.
///
/// In any stretch of time `t`, the retries it grants are at most `ratio` times the calls of that stretch and of the
/// window before it, plus `minimumPerSecond · (t + 1 s)`.
public struct RetryBudgetState: Sendable {
    /// The price of one retry, in the unit in which calls earn.
    private static let price = 1_000_000

    private let earning: Int
    /// What was earned and not spent yet.
    private var earned: TimeRing<Int>
    private var minimum: GCRA?

    /// A budget in which nothing was earned or spent yet.
    public init(policy: RetryBudgetPolicy) {
        earning = Int((min(max(policy.ratio, 0), 1_000) * Double(RetryBudgetState.price)).rounded())
        earned = TimeRing(covering: policy.window, empty: 0)
        minimum = RateLimit(
            checking: policy.minimumPerSecond, per: .seconds(1), burst: policy.minimumPerSecond
        ).map { GCRA($0) }
    }

    /// A call is made, not counting its retries.
    public mutating func deposit(at now: MonotonicTime) {
        earned.advance(to: now)
        // The bound keeps the sum of all buckets within 64 bits.
        earned.current = min(earned.current + earning, .max / 16)
    }

    /// Asks for one retry. True if it was granted, and thereby spent.
    public mutating func withdraw(at now: MonotonicTime) -> Bool {
        // The minimum comes back soonest, so it goes first.
        if minimum?.decide(at: now).allowed == true { return true }
        earned.advance(to: now)
        var sum = 0
        earned.forEachOldestFirst { sum += $0 }
        guard sum >= RetryBudgetState.price else { return false }
        var due = RetryBudgetState.price
        earned.forEachOldestFirst { bucket in
            let part = min(due, bucket)
            bucket -= part
            due -= part
        }
        return true
    }
}
