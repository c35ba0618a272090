import DovetailCore

/// Which failures a call may be sent again after. It comes from the contract, never from a guess.
public enum RetrySafety: Sendable, Hashable {
    /// The call is idempotent: it may be sent again after any failure that may pass.
    case always
    /// Sending it twice may do it twice: it may be sent again only if the callee did nothing.
    case onlyIfNotSent

    /// Whether a call that failed like this may be sent again.
    public func permitsRetry(after kind: FailureKind) -> Bool {
        switch kind {
        case .notSent, .transient: true
        case .inDoubt: self == .always
        case .permanent: false
        }
    }
}
