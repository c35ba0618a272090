import DovetailCore

/// What the end of a call says about its callee's health.
public enum CallOutcome: Sendable, Hashable {
    /// The callee answered. An answer that refuses the call is one too.
    case success
    /// The callee did not answer, or answered that it cannot.
    case failure
    /// The callee could not be reached at all. Counts as a ``failure``, and several in a row open the breaker at once.
    case connectFailure
    /// The call says nothing about the callee: it was cancelled, or refused before it left.
    case ignored

    /// The outcome of a call that ended with this error.
    ///
    /// | error | outcome |
    /// |---|---|
    /// | `.notSent` | ``connectFailure`` |
    /// | `.inDoubt`, `.transient`, an error without a ``FailureKind`` | ``failure`` |
    /// | `.permanent`: the callee is well and says no | ``success`` |
    /// | a ``Problem`` of status 429: the callee is well and asks for patience | ``success`` |
    /// | cancellation; refused on this side by a breaker, a bulkhead, a rate limit or a passed deadline | ``ignored`` |
    public static func of(_ error: any Error) -> CallOutcome {
        switch error {
        case is CancellationError: return .ignored
        case let error as CallError where [.circuitOpen, .bulkheadFull, .rateLimited].contains(error.code):
            return .ignored
        case let error as CallError where error.code == .deadlineExceeded && !error.wasSent: return .ignored
        case let problem as Problem where problem.status == 429: return .success
        case let error as any ClassifiedFailure:
            return switch error.failureKind {
            case .notSent: .connectFailure
            case .inDoubt, .transient: .failure
            case .permanent: .success
            }
        default: return .failure
        }
    }
}
