/// A circuit breaker's phase and counts at one moment.
public struct CircuitBreakerSnapshot: Sendable, Hashable {
    /// Whether calls pass.
    public let phase: CircuitBreakerPhase
    /// The calls in the window.
    public let calls: Int
    /// How many of them failed.
    public let failures: Int
    /// How many of them were slow.
    public let slow: Int
    /// How often the breaker opened since it was made.
    public let openings: Int
    /// How many calls it refused since it was made.
    public let rejected: Int
}
