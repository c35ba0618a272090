/// Whom a change of a key concerns: which routes, upstreams and listeners, in either of two configurations.
struct ChangeScope {
    private let configurations: [PlatformConfiguration]

    init(_ old: PlatformConfiguration, _ new: PlatformConfiguration) { configurations = [old, new] }

    /// What a key is a part of, with whom that concerns, and how many steps of its path name that.
    func subject(of path: [String]) -> (name: String, steps: Int) {
        switch path.first {
        case "gateway" where path.count > 3 && path[1] == "routes": return (path[2], 3)
        case "gateway" where path.count > 3 && path[1] == "authentication":
            return ("authenticator \(path[2])\(said(routes(by: path[2])))", 3)
        case "gateway": return ("gateway\(everything)", 1)
        case "upstreams" where path.count > 2:
            return ("upstream \(path[1])\(said(routes(to: [path[1]])))", 2)
        case "policies" where path.count > 2:
            let upstreams = upstreams(under: path[1])
            let modules = Set(configurations.flatMap { $0.calls.filter { $0.value == path[1] }.map(\.key) })
            let calls =
                path[1] == "default" ? ["calls to all other modules"] : modules.sorted().map { "calls to \($0)" }
            return (
                "policy \(path[1])\(said(upstreams.sorted().map { "upstream \($0)" } + calls + routes(to: upstreams)))",
                2
            )
        default: return (path.first ?? "", min(1, path.count))
        }
    }

    private var everything: String {
        let listeners = Set(configurations.compactMap { $0.gateway.map { "\($0.listen)" } })
        return " (all routes at \(listeners.sorted().joined(separator: " and ")))"
    }

    private func said(_ names: [String]) -> String {
        guard !names.isEmpty else { return "" }
        let more = names.count > 5 ? " and \(names.count - 5) more" : ""
        return " (\(names.prefix(5).joined(separator: ", "))\(more))"
    }

    private var allRoutes: [PlatformConfiguration.Route] { configurations.flatMap { $0.gateway?.routes ?? [] } }

    private func routes(by authenticator: String) -> [String] {
        Set(allRoutes.filter { $0.authentication == .authenticator(authenticator) }.map(\.id)).sorted()
    }

    private func routes(to upstreams: Set<String>) -> [String] {
        Set(allRoutes.filter { !$0.upstreams.isDisjoint(with: upstreams) }.map(\.id)).sorted()
    }

    private func upstreams(under policy: String) -> Set<String> {
        Set(
            configurations.flatMap { configuration in
                configuration.upstreams.values.filter { ($0.policy ?? "default") == policy }.map(\.name)
            })
    }
}

extension PlatformConfiguration.Route {
    /// The upstreams that its requests, or copies of them, go to.
    fileprivate var upstreams: Set<String> {
        var names = Set([mirror?.upstream].compactMap { $0 })
        switch target {
        case .upstream(let name): names.insert(name)
        case .split(let shares): names.formUnion(shares.map(\.upstream))
        case .versions(let versions): names.formUnion(versions.versions.map(\.upstream))
        case .contract, .redirect, .batch, .aggregate: break
        }
        return names
    }
}
