/// How many calls a callee gets at the same time, found by how long its answers take.
///
/// The gradient of Netflix's concurrency limits, without a window in which the limit is pressed down to measure (as Envoy's has, which then refuses
/// calls for it): what the callee takes without load is the long average of what it has taken.
public struct AdaptiveLimitPolicy: Sendable, Hashable {
    /// The limit to begin with. 20.
    public var initial: Int
    /// The limit is never below this. 5.
    public var minimum: Int
    /// Nor above this. 1000.
    public var maximum: Int
    /// How many times the long average answers may take before the limit sinks. 1.5.
    public var tolerance: Double
    /// How long answers are collected before the limit is thought over. 100 ms.
    public var window: Duration
    /// How many there have to be for that. 10.
    public var minimumSamples: Int

    /// A limit that begins at `initial`.
    public init(
        initial: Int = 20, minimum: Int = 5, maximum: Int = 1_000, tolerance: Double = 1.5,
        window: Duration = .milliseconds(100), minimumSamples: Int = 10
    ) {
        self.initial = initial
        self.minimum = minimum
        self.maximum = maximum
        self.tolerance = tolerance
        self.window = window
        self.minimumSamples = minimumSamples
    }
}
