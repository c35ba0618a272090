import DovetailCore

extension Problem {
    /// `400`: the input breaks the contract, there and there.
    package static func invalidInput(_ violations: [Violation]) -> Problem {
        var problem = Problem("invalid-input", status: 400, title: "The request does not fit the contract")
        problem.detail = violations.first.map { "at \($0.pointer.isEmpty ? "the top" : $0.pointer): \($0.expected)" }
        problem.violations = violations
        return problem
    }
}
