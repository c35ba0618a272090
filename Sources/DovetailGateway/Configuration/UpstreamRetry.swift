import DovetailResilience

/// Which attempts that failed are made again.
///
/// An attempt that never reached a server may always be made again; one that may have been carried out only if the route
/// is idempotent; and only while the request's body is there to be sent again (none, or up to `replayBytes`).
public struct UpstreamRetry: Sendable, Hashable {
    /// How often, and after what wait.
    public var policy: RetryPolicy
    /// How many retries all requests to the upstream share; nil: there is no bound but each request's own.
    public var budget: RetryBudgetPolicy?
    /// Statuses of an idempotent request's answer that are tried again.
    public var statuses: Set<Int>
    /// Bytes of a request body that are kept to be sent again.
    public var replayBytes: Int

    /// Three attempts in all, within a budget of a fifth.
    public init(
        policy: RetryPolicy = RetryPolicy(), budget: RetryBudgetPolicy? = RetryBudgetPolicy(),
        statuses: Set<Int> = [502, 503, 504], replayBytes: Int = 65_536
    ) {
        self.policy = policy
        self.budget = budget
        self.statuses = statuses
        self.replayBytes = replayBytes
    }
}
