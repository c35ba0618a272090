import DovetailCore
import Synchronization

/// The retries that all calls to one callee share, exact in this process however many threads ask.
public final class RetryBudget: Sendable {
    private let state: Mutex<RetryBudgetState>

    /// A budget in which nothing was earned or spent yet.
    public init(policy: RetryBudgetPolicy = RetryBudgetPolicy()) {
        state = Mutex(RetryBudgetState(policy: policy))
    }

    /// A call is made, not counting its retries.
    public func deposit(at now: MonotonicTime) {
        state.withLock { $0.deposit(at: now) }
    }

    /// Asks for one retry. True if it was granted, and thereby spent.
    public func withdraw(at now: MonotonicTime) -> Bool {
        state.withLock { $0.withdraw(at: now) }
    }
}
