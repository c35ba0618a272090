import DovetailContracts
import DovetailModules
import DovetailResilience

/// Looks a platform over without starting it: the checklist of integration, ticked from what is really there.
struct PlatformCheck: Sendable {
    let configuration: PlatformConfiguration
    let catalog: ModuleCatalog
    let folder: String

    init(_ configuration: PlatformConfiguration, catalog: ModuleCatalog, folder: String) {
        self.configuration = configuration
        self.catalog = catalog
        self.folder = folder
    }

    func report() -> CheckReport {
        let checklist = Checklist(configuration: configuration, catalog: catalog)
        return CheckReport(
            platform:
                "\(configuration.platform): \(catalog.modules.count) modules on \(configuration.nodes.count) nodes",
            phases: checklist.phases, worstCases: WorstCases(configuration, catalog).all,
            findings: Findings(configuration: configuration, catalog: catalog, folder: folder).all)
    }
}

extension ModuleCatalog {
    /// The modules with their parts, in the program's order.
    var looked: [(name: String, parts: ModuleParts)] {
        modules.compactMap { module in parts[module.name].map { (module.name, $0) } }
    }

    /// The modules that `module` calls, each once, in order; those that nobody provides are left out.
    func callees(of module: String) -> [String] {
        var seen: Set<String> = []
        return (parts[module]?.calls ?? []).compactMap { provider(of: $0.identity) }.filter { seen.insert($0).inserted }
    }

    /// The modules that others call.
    var called: [String] {
        let all = Set(modules.flatMap { callees(of: $0.name) })
        return modules.map(\.name).filter(all.contains)
    }
}
