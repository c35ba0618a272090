import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import Logging

extension Problem {
    /// The problem that a handler's error is to its caller, over the network and in process. What is nobody's declared problem is logged and told without internals.
    static func answering(_ error: any Error, of operation: String, _ call: CallContext) -> Problem {
        if let problem = error as? Problem { return problem }
        if let error = error as? CallError {
            var problem: Problem =
                switch error.code {
                case .deadlineExceeded: Problem("deadline-exceeded", status: 504)
                case .circuitOpen, .bulkheadFull, .rateLimited: Problem("unavailable", status: 503)
                case .unreachable, .answerLost, .invalidAnswer: Problem("bad-gateway", status: 502)
                }
            problem.detail = "the module \(error.callee) could not be asked (\(error.code.rawValue))"
            problem.retryAfter = error.retryAfter
            return problem
        }
        if let error = error as? PersonalDataError, error.code == .subjectForgotten {
            return Problem("subject-forgotten", status: 410)("\(error)")
        }
        if let error = error as? LogError, error.code == .streamDeleted || error.code == .streamTombstoned {
            return Problem("deleted", status: 410)("\(error.subject): \(error.message)")
        }
        if let error = error as? CommandConflict { return Problem("version-conflict", status: 409)("\(error)") }
        Logger(label: "dovetail.modules").error(
            "a handler failed",
            metadata: [
                "operation": "\(operation)", "correlation": "\(call.correlationID)", "error": "\(error)",
            ])
        if let error = error as? any ClassifiedFailure, error.failureKind == .transient {
            var problem = Problem("unavailable", status: 503)("try again later")
            problem.retryAfter = .seconds(1)
            return problem
        }
        return Problem("internal-error", status: 500)("the operator finds more under the correlation id")
    }
}
