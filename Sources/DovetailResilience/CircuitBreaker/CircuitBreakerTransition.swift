import DovetailCore

/// Whether a circuit breaker lets calls through.
public enum CircuitBreakerPhase: String, Sendable, Hashable {
    /// Calls pass and their outcomes are counted.
    case closed
    /// Calls are refused until the open time is over.
    case open
    /// A few calls pass as probes; their outcomes decide.
    case halfOpen
}

/// A circuit breaker changed its phase.
public struct CircuitBreakerTransition: Sendable, Hashable, CustomStringConvertible {
    /// Why a circuit breaker changed its phase.
    public enum Reason: Sendable, Hashable {
        /// This fraction of the window's calls failed.
        case failureRate(Double)
        /// This fraction of the window's calls was slow.
        case slowCallRate(Double)
        /// So many calls in a row could not reach the callee.
        case connectFailures(Int)
        /// The open time is over.
        case openDurationElapsed
        /// The probes were answered.
        case probesSucceeded
        /// Enough probes failed, or were slow.
        case probesFailed
        /// The probes got no answer for so long that none is waited for any more.
        case probesUnanswered
    }

    /// The phase before.
    public let from: CircuitBreakerPhase
    /// The phase after.
    public let to: CircuitBreakerPhase
    /// Why.
    public let reason: Reason
    /// When.
    public let at: MonotonicTime
    /// How long the breaker will now refuse calls; nil unless it opened.
    public let openDuration: Duration?

    public var description: String {
        "\(from.rawValue) → \(to.rawValue): \(reason)" + (openDuration.map { ", for \($0)" } ?? "")
    }
}
