/// What the checks of a configuration need to know of a module in the program.
public struct DeclaredModule: Sendable, Hashable {
    /// The module's name.
    public let name: String
    /// The contracts that it provides.
    public let contracts: [ContractReference]

    /// A module that provides these contracts.
    public init(name: String, contracts: [ContractReference] = []) {
        self.name = name
        self.contracts = contracts
    }
}
