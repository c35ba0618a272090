/// How many retries a callee gets for the calls it gets, whatever each call's own policy would allow.
///
/// When a callee fails altogether, retries are then a fifth more load and not three times the load. The defaults are
/// linkerd's and those of the Gateway API's `retryConstraint` (GEP-3388): 20 % over 10 s, plus 10 a second.
public struct RetryBudgetPolicy: Sendable, Hashable {
    /// Retries per call. 0.2.
    public var ratio: Double
    /// How long a call earns its share. 10 s.
    public var window: Duration
    /// Retries per second beside that, so that a callee with few calls has some; one second's worth at once. 10.
    public var minimumPerSecond: Int

    /// A budget of that ratio and minimum.
    public init(ratio: Double = 0.2, window: Duration = .seconds(10), minimumPerSecond: Int = 10) {
        self.ratio = ratio
        self.window = window
        self.minimumPerSecond = minimumPerSecond
    }
}
