import DovetailContracts

extension ModuleCatalog {
    /// The contracts of modules with endpoints or events that hold personal data, by identity.
    func personalContracts(of modules: [String]) -> [String] {
        modules.compactMap { parts[$0] }.flatMap(\.contracts).filter { contract in
            let types =
                contract.events.map(\.payload) + contract.endpoints.flatMap { [$0.input, $0.output].compactMap { $0 } }
            return types.contains { holdsPersonalData($0) }
        }.map(\.identity)
    }

    /// The topics of events that hold personal data.
    var personalEvents: [String] {
        modules.compactMap { parts[$0.name] }.flatMap(\.contracts).flatMap(\.events)
            .filter { holdsPersonalData($0.payload) }.map(\.name)
    }
}

/// Whether a type, or one within it, is ``Personal``.
func holdsPersonalData(_ type: any Wire.Type) -> Bool {
    var catalog = SchemaCatalog()
    _ = try? catalog.schema(of: type)
    return catalog.hasPersonalData
}
