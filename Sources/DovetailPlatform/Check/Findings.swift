import DovetailContracts
import DovetailCore
import DovetailModules
import DovetailPrivacy

/// What would not work, or not well: each with its place and what to do.
struct Findings: Sendable {
    let configuration: PlatformConfiguration
    let catalog: ModuleCatalog
    let folder: String

    var all: [CheckReport.Finding] {
        let findings = contracts + handlers + callees + cycles + sagas + topics + routes + doors + reach + privacy
        return findings.filter { $0.severity == .error } + findings.filter { $0.severity == .warning }
    }

    /// What the gateway's routes do to each other.
    private var reach: [CheckReport.Finding] {
        guard let plan = try? RoutePlan(configuration, catalog: catalog, folder: folder), let compiled = plan.compiled
        else {
            return []
        }
        return RouteReach(compiled).findings
    }

    private func error(_ place: String, _ message: String) -> CheckReport.Finding {
        .init(severity: .error, place: place, message: message)
    }

    private func warning(_ place: String, _ message: String) -> CheckReport.Finding {
        .init(severity: .warning, place: place, message: message)
    }

    /// What the contracts have wrong by themselves. Missing idempotency is a line of the checklist.
    private var contracts: [CheckReport.Finding] {
        catalog.looked.flatMap { $0.parts.contracts }.flatMap { contract in
            contract.findings.map {
                .init(severity: $0.severity == .error ? .error : .warning, place: $0.place, message: $0.message)
            }
        }
    }

    private var handlers: [CheckReport.Finding] {
        catalog.looked.flatMap { name, parts in
            parts.unhandled.map {
                error(name, "'\($0.key)' is promised and not handled; add \(name).handle(\\.\($0.name)) { … }")
            }
        }
    }

    private var callees: [CheckReport.Finding] {
        catalog.looked.flatMap { name, parts in
            parts.calls.compactMap { contract in
                guard let provider = catalog.provider(of: contract.identity) else {
                    return error(name, "calls \(contract.identity), which no module provides")
                }
                guard let here = home(of: name), let there = home(of: provider), here.name != there.name,
                    there.address == nil
                else { return nil }
                return error(
                    name,
                    "calls \(provider) on node '\(there.name)', which no other node can reach; give nodes.\(there.name).listen"
                )
            }
        }
    }

    private func home(of module: String) -> PlatformConfiguration.Node? {
        configuration.nodes.first { $0.modules.contains(module) }
    }

    /// Modules that wait for each other in a circle fail together.
    private var cycles: [CheckReport.Finding] {
        var found: [CheckReport.Finding] = []
        var seen: Set<Set<String>> = []
        func follow(_ module: String, _ path: [String]) {
            if let start = path.firstIndex(of: module) {
                let circle = Array(path[start...])
                if seen.insert(Set(circle)).inserted {
                    found.append(
                        warning(
                            circle.joined(separator: " → ") + " → \(module)",
                            "these modules call each other in a circle, and fail together; let one of them listen to an event"
                        ))
                }
                return
            }
            for callee in catalog.callees(of: module) { follow(callee, path + [module]) }
        }
        for module in catalog.modules { follow(module.name, []) }
        return found
    }

    private var sagas: [CheckReport.Finding] {
        catalog.looked.flatMap { name, parts in
            parts.sagas.map(\.description).flatMap { saga in
                let before = saga.steps.filter { !$0.isAfterPivot && [.action, .child].contains($0.kind) }
                // After the last step before the pivot nothing can fail for good any more, but it may itself be in doubt.
                var findings = before.filter { !$0.canBeUndone && before.count > 1 }.map {
                    warning(
                        name,
                        "the step '\($0.name)' of saga '\(saga.name)' cannot be undone when a later one fails; give it `undo`, or put it behind the pivot"
                    )
                }
                if before.contains(where: \.canBeUndone), !saga.concludes {
                    findings.append(
                        warning(
                            name,
                            "the saga '\(saga.name)' tells nobody when everything was undone; add .compensated { … }"))
                }
                return findings
            }
        }
    }

    /// What listens to events, and where they come from.
    private var topics: [CheckReport.Finding] {
        let plan = FeedPlan(configuration: configuration, catalog: catalog)
        let orphans = plan.listeners.filter {
            plan.publishers(of: $0.topic).isEmpty && !$0.topic.matches(PrivacyEvents().subjectForgotten.name)
        }.map {
            warning($0.module, "\($0.part) listens to '\($0.topic)', which no contract of this platform publishes")
        }
        let mute = configuration.nodes.flatMap { node in
            plan.topics(for: node).filter { $0.node.address == nil }.map { other, topics in
                error(
                    "nodes.\(other.name)",
                    "node '\(node.name)' listens to \(topics.map(\.description).joined(separator: ", ")) of it, and cannot reach it; give nodes.\(other.name).listen"
                )
            }
        }
        return orphans + mute
    }

    private var routes: [CheckReport.Finding] {
        (configuration.gateway?.routes ?? []).flatMap { route -> [CheckReport.Finding] in
            guard case .contract(let reference) = route.target, route.authentication == .none,
                let contract = catalog.contract(reference.description)
            else { return [] }
            return contract.endpoints.filter { !$0.scopes.isEmpty }.map {
                error(
                    "gateway.routes of \(reference)",
                    "'\($0.key)' asks for \($0.scopes.joined(separator: " ")), and the route has no authentication")
            }
        }
    }

    private var privacy: [CheckReport.Finding] {
        let kept = configuration.nodes.filter { $0.store.engine == .sqlite }.flatMap(\.modules)
        let contracts = catalog.personalContracts(of: kept)
        guard !contracts.isEmpty, configuration.privacy.key == nil else { return [] }
        return [
            warning(
                "privacy",
                "\(contracts.joined(separator: ", ")) \(contracts.count == 1 ? "holds" : "hold") personal data, and its keys are not locked where they are kept; set privacy.key, as ${DOVETAIL_PRIVACY_KEY}"
            )
        ]
    }

    private var doors: [CheckReport.Finding] {
        guard configuration.security.nodeToken == nil else { return [] }
        return configuration.nodes.compactMap { node in
            guard case .tcp(let host, _)? = node.listen, !["127.0.0.1", "::1", "localhost"].contains(host) else {
                return nil
            }
            return warning(
                "nodes.\(node.name).listen",
                "the modules can be called by anybody who reaches \(host); set security.nodeToken")
        }
    }
}
