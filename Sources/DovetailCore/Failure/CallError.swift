/// Why a call got no answer from its callee.
///
/// An answer that reports a failure is a ``Problem``; this is the absence of an answer.
public struct CallError: ClassifiedFailure, CustomStringConvertible {
    /// What kept the answer away.
    public enum Code: String, Sendable {
        /// No connection could be made, or the request was refused before it was sent.
        case unreachable
        /// The request went out and the connection ended before the answer was whole.
        case answerLost
        /// The deadline passed.
        case deadlineExceeded
        /// The circuit breaker towards the callee is open.
        case circuitOpen
        /// The bulkhead's concurrency and queue are full.
        case bulkheadFull
        /// The local rate limit is used up.
        case rateLimited
        /// The answer is not what the contract says.
        case invalidAnswer
    }

    /// What kept the answer away.
    public var code: Code
    /// The callee: a module's name, or an upstream's.
    public var callee: String
    /// What happened, in a sentence.
    public var message: String
    /// Whether the request may have reached the callee.
    public var wasSent: Bool
    public var retryAfter: Duration?

    /// An error about a call to `callee`.
    public init(_ code: Code, callee: String, message: String, wasSent: Bool, retryAfter: Duration? = nil) {
        self.code = code
        self.callee = callee
        self.message = message
        self.wasSent = wasSent
        self.retryAfter = retryAfter
    }

    public var failureKind: FailureKind {
        if code == .invalidAnswer { return .permanent }
        return wasSent ? .inDoubt : .notSent
    }

    public var description: String { "\(callee): \(message) (\(code.rawValue))" }
}
