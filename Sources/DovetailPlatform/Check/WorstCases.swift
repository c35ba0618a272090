import DovetailContracts
import DovetailModules
import DovetailResilience

/// What a request costs when everything fails: how long its caller waits, and how often it is sent on, all retries multiplied.
struct WorstCases: Sendable {
    private let configuration: PlatformConfiguration
    private let catalog: ModuleCatalog

    init(_ configuration: PlatformConfiguration, _ catalog: ModuleCatalog) {
        self.configuration = configuration
        self.catalog = catalog
    }

    var all: [CheckReport.WorstCase] { routes + calls }

    private var routes: [CheckReport.WorstCase] {
        (configuration.gateway?.routes ?? []).flatMap { route -> [CheckReport.WorstCase] in
            guard case .contract(let reference) = route.target,
                let contract = catalog.contract(reference.description),
                let module = catalog.provider(of: reference.description)
            else { return [] }
            let prefix = route.path == "/" ? "" : route.path
            let amplification = attempts(below: module).sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
            return contract.endpoints.map { endpoint in
                let limit = route.limit(own: endpoint.timeout, isStream: endpoint.isStream)
                return .init(
                    what: "\(endpoint.method.rawValue) \(prefix)\(endpoint.path)",
                    cost: (limit.map { "answered within \($0.briefly)" } ?? "a stream without an end of its own")
                        + (amplification.isEmpty ? "" : "; may lead to calls: \(amplification.joined(separator: ", "))")
                )
            }
        }
    }

    private var calls: [CheckReport.WorstCase] {
        catalog.called.map { callee in
            let policy = configuration.policy(forModule: callee)
            let attempts = policy.retry?.maximumAttempts ?? 1
            var cost = "\(attempts) attempts"
            if let each = policy.attemptTimeout { cost += " of \(each.briefly)" }
            cost += policy.timeout.map { " within \($0.briefly)" } ?? ", with no time limit of their own"
            if let bulkhead = policy.bulkhead { cost += ", \(bulkhead.maximumConcurrentCalls) at a time" }
            return .init(what: "a call to \(callee)", cost: cost)
        }
    }

    /// The most attempts that one request to `module` can cause at each module it calls, directly or through others.
    ///
    /// Sagas' calls count too: what a module calls is known, not from where.
    private func attempts(below module: String, through path: Set<String> = []) -> [String: Int] {
        var total: [String: Int] = [:]
        for callee in catalog.callees(of: module) where !path.contains(callee) && callee != module {
            let here = configuration.policy(forModule: callee).retry?.maximumAttempts ?? 1
            total[callee, default: 0] += here
            for (further, count) in attempts(below: callee, through: path.union([module])) {
                total[further, default: 0] += here * count
            }
        }
        return total
    }
}
