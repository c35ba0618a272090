/// What a failure says about the call that failed: whether it ran, and whether another attempt may help.
///
/// Retry, circuit breaker, saga and gateway decide by this and by the contract's idempotency, never by an error's text.
public enum FailureKind: Sendable, Equatable {
    /// The call never reached the callee (refused, breaker open, queue full): any call may be sent again.
    case notSent
    /// It was sent and no answer came, or one that leaves it open: only an idempotent call may be sent again.
    case inDoubt
    /// The callee answered that it did nothing and that it may work later (429, 503): any call may be sent again.
    case transient
    /// The callee answered, and the same call would get the same answer.
    case permanent
}

/// An error that knows its ``FailureKind``.
public protocol ClassifiedFailure: Error {
    /// What the failure says about the call.
    var failureKind: FailureKind { get }

    /// How long the callee asked to be left alone, where it did.
    var retryAfter: Duration? { get }
}

extension ClassifiedFailure {
    public var retryAfter: Duration? { nil }
}

extension FailureKind {
    /// The kind of any error: its own if it is a ``ClassifiedFailure``, otherwise ``permanent``.
    public static func of(_ error: any Error) -> FailureKind {
        (error as? any ClassifiedFailure)?.failureKind ?? .permanent
    }
}
