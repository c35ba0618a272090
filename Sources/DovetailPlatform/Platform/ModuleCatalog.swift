import DovetailContracts
import DovetailModules

/// The platform's modules to look at, and who provides which contract.
struct ModuleCatalog: Sendable {
    let modules: [Module]
    let parts: [String: ModuleParts]
    private let providers: [String: String]

    init(_ modules: [Module]) {
        self.modules = modules
        var parts: [String: ModuleParts] = [:]
        var providers: [String: String] = [:]
        for module in modules {
            let looked = module.parts
            parts[module.name] = looked
            for contract in looked.contracts { providers[contract.identity] = module.name }
        }
        self.parts = parts
        self.providers = providers
    }

    /// The module that provides a contract, as `orders@1`.
    func provider(of contract: String) -> String? { providers[contract] }

    /// The modules as the configuration's checks take them.
    var declared: [DeclaredModule] {
        modules.map { module in
            DeclaredModule(
                name: module.name,
                contracts: (parts[module.name]?.contracts ?? []).map {
                    ContractReference(name: $0.name, major: $0.version)
                })
        }
    }

    /// A contract by its identity.
    func contract(_ identity: String) -> (any Contract)? {
        provider(of: identity).flatMap { parts[$0]?.contracts.first { $0.identity == identity } }
    }
}
