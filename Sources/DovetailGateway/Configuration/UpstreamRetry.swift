/// Which attempts that failed are made again.
///
/// An attempt that never reached a server may always be made again; one that may have been carried out only if the route
/// is idempotent; and only while the request's body is there to be sent again (none, or up to `replayBytes`).
public struct UpstreamRetry: Sendable, Hashable {
    /// Attempts in all, the first included.
    public var attempts: Int
    /// Statuses of an idempotent request's answer that are tried again.
    public var statuses: Set<Int>
    /// The first wait is drawn from zero to this; the span doubles with each attempt.
    public var baseBackoff: Duration
    /// The longest span.
    public var maximumBackoff: Duration
    /// Bytes of a request body that are kept to be sent again.
    public var replayBytes: Int
    /// Retries in proportion to requests over ten seconds.
    public var budgetRatio: Double
    /// Retries a second that are allowed whatever the proportion.
    public var budgetMinimum: Int

    /// Three attempts in all, within a budget of a fifth.
    public init(
        attempts: Int = 3, statuses: Set<Int> = [502, 503, 504], baseBackoff: Duration = .milliseconds(25),
        maximumBackoff: Duration = .milliseconds(250), replayBytes: Int = 65_536, budgetRatio: Double = 0.2,
        budgetMinimum: Int = 10
    ) {
        self.attempts = attempts
        self.statuses = statuses
        self.baseBackoff = baseBackoff
        self.maximumBackoff = maximumBackoff
        self.replayBytes = replayBytes
        self.budgetRatio = budgetRatio
        self.budgetMinimum = budgetMinimum
    }
}
