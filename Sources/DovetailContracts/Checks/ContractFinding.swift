import DovetailCore

/// Something wrong with a contract, found by looking at it.
public struct ContractFinding: Sendable, Hashable {
    /// How bad it is.
    public enum Severity: Sendable, Hashable {
        /// It cannot work.
        case error
        /// It works, and will surprise somebody.
        case warning
    }

    /// How bad it is.
    public var severity: Severity
    /// Which part of the contract, as `orders@1 POST /orders`.
    public var place: String
    /// What is wrong, and what to do.
    public var message: String
}

extension Contract {
    /// What is wrong with the contract: types without a schema, paths that do not fit their input, twins. In the order of the contract.
    public var findings: [ContractFinding] {
        ContractCheck(self).findings
    }
}
