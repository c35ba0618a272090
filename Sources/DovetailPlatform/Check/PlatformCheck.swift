import DovetailContracts
import DovetailModules

/// Looks a platform over: the checklist of integration, ticked from what is really there.
struct PlatformCheck {
    let configuration: PlatformConfiguration
    let catalog: ModuleCatalog
    let folder: String

    init(_ configuration: PlatformConfiguration, catalog: ModuleCatalog, folder: String) {
        self.configuration = configuration
        self.catalog = catalog
        self.folder = folder
    }

    func report() -> CheckReport {
        CheckReport()
    }
}

/// What a check has found.
struct CheckReport {
    var text: String { "" }
    var hasErrors: Bool { false }
}
