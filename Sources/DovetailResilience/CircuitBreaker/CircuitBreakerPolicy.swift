import DovetailCore

/// When a circuit breaker opens and how it closes again.
///
/// The names are resilience4j's; rates are fractions, 0.5 being 50 %. The defaults take the window of Hystrix (50 % of
/// at least 20 calls in 10 s), the growing open time of linkerd (1 s to 60 s, jittered) and its trip on failures in a
/// row.
public struct CircuitBreakerPolicy: Sendable {
    /// The calls whose outcomes count.
    public enum Window: Sendable, Hashable {
        /// The last so many calls.
        case calls(Int)
        /// The calls that ended in the last stretch of this length, in ten buckets: the oldest tenth leaves at once.
        case time(Duration)
    }

    /// The calls whose outcomes count. 10 s.
    public var window: Window = .time(.seconds(10))
    /// Opens when this fraction of the window's calls failed. 0.5.
    public var failureRateThreshold = 0.5
    /// Rates mean nothing below so many calls in the window. 20; never more than ``Window/calls(_:)`` holds.
    public var minimumNumberOfCalls = 20
    /// A call that takes at least this long is slow. Nil, the default, counts no slow calls.
    public var slowCallDurationThreshold: Duration?
    /// Opens when this fraction of the window's calls was slow. 1.
    public var slowCallRateThreshold = 1.0
    /// Opens after so many calls in a row that could not reach the callee. 5; nil does not count them.
    public var consecutiveConnectFailures: Int? = 5
    /// How long the breaker stays open the first time; doubles each time the probes fail. 1 s.
    public var openDuration: Duration = .seconds(1)
    /// The longest it stays open, before jitter. 60 s.
    public var maximumOpenDuration: Duration = .seconds(60)
    /// The fraction by which the open time is varied at random up or down, so that callers do not probe in step. 0.2.
    public var openDurationJitter = 0.2
    /// How many calls are let through, and must be answered, before the half-open breaker decides. 3.
    public var permittedNumberOfCallsInHalfOpenState = 3
    /// After so long without an answer to its probes a half-open breaker opens again. 30 s.
    public var maximumDurationInHalfOpenState: Duration = .seconds(30)
    /// What an error says about the callee's health. ``CallOutcome/of(_:)``.
    public var outcome: @Sendable (any Error) -> CallOutcome = { CallOutcome.of($0) }

    /// The defaults; change what differs.
    public init() {}

    /// How long the breaker stays open after `reopenings` failed rounds of probes, before jitter.
    func openDuration(reopenings: Int) -> Duration {
        var duration = openDuration
        for _ in 0..<min(reopenings, 64) where duration < maximumOpenDuration { duration = duration * 2 }
        return min(duration, maximumOpenDuration)
    }
}
