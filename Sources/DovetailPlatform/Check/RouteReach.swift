import DovetailGateway

/// What the routes of a gateway do to each other: which can never be taken, which open what another guards, which parts lead nowhere.
struct RouteReach {
    private let configuration: GatewayConfiguration

    init(_ configuration: GatewayConfiguration) { self.configuration = configuration }

    var findings: [CheckReport.Finding] { shadowed + opened + parts }

    private func place(_ route: Route) -> String { "gateway.routes '\(route.id)'" }

    /// Two routes that take the same requests: the one that stands later is never taken.
    private var shadowed: [CheckReport.Finding] {
        var findings: [CheckReport.Finding] = []
        var known: [String: [Route]] = [:]
        for route in configuration.routes {
            let conditions = route.conditions.map(\.description).sorted().joined(separator: ";")
            let key = "\(route.host ?? "") \(shape(route.path)) \(conditions)"
            let others = known[key] ?? []
            let taken = others.filter { sharesMethods($0, route) }
            if let first = taken.first {
                let isWhole =
                    first.methods.isEmpty || (!route.methods.isEmpty && route.methods.isSubset(of: first.methods))
                findings.append(
                    .init(
                        severity: .error, place: place(route),
                        message: isWhole
                            ? "it is never taken: '\(first.id)' takes the same requests"
                            : "some of its methods are never taken: '\(first.id)' takes them"))
            }
            known[key] = others + [route]
        }
        return findings
    }

    private func sharesMethods(_ one: Route, _ other: Route) -> Bool {
        one.methods.isEmpty || other.methods.isEmpty || !one.methods.isDisjoint(with: other.methods)
    }

    /// A path without the names of what it captures, which tell no requests apart.
    private func shape(_ path: PathPattern) -> String {
        path.description.split(separator: "/", omittingEmptySubsequences: false)
            .map { $0.hasPrefix("{") ? "{}" : String($0) }.joined(separator: "/")
    }

    /// Routes without authentication that lead to what others reach with it.
    private var opened: [CheckReport.Finding] {
        let guarded = configuration.routes.filter { $0.authentication != .none }
        return configuration.routes.filter { $0.authentication == .none }.flatMap { route -> [CheckReport.Finding] in
            guard let place = target(route) else { return [] }
            return guarded.filter { other in
                // The same path under a condition is guarded on purpose, and not otherwise.
                guard other.path != route.path || other.host != route.host, let there = target(other),
                    sharesMethods(route, other)
                else { return false }
                return there.upstreams.contains { place.upstreams.contains($0) } && overlap(place.path, there.path)
            }.prefix(1).map { other in
                .init(
                    severity: .warning, place: self.place(route),
                    message:
                        "it is open to all, and leads to what '\(other.id)' guards: \(other.path) becomes \(there(other)) there"
                )
            }
        }
    }

    private func there(_ route: Route) -> String { "/" + (target(route)?.path.joined(separator: "/") ?? "") }

    /// The upstreams that a route leads to, and the path there: a segment each, `{}` for any, a last `**` for all below.
    private func target(_ route: Route) -> (upstreams: [String], path: [String])? {
        guard route.path.kind != .expression else { return nil }
        let upstreams: [String]
        switch route.destination {
        case .http(let name): upstreams = [name]
        case .split(let weights): upstreams = weights.filter { $0.value > 0 }.map(\.key)
        default: return nil
        }
        let path: String
        switch route.rewrite {
        case .none: path = shape(route.path)
        case .template(let template):
            path = template.split(separator: "/", omittingEmptySubsequences: false)
                .map { $0.contains("{") ? "{}" : String($0) }.joined(separator: "/")
        case .stripPrefix(let prefix): path = String(shape(route.path).dropFirst(prefix.count))
        }
        return (upstreams, path.split(separator: "/").map(String.init))
    }

    /// Whether some path is both.
    private func overlap(_ one: [String], _ other: [String]) -> Bool {
        for index in 0..<max(one.count, other.count) {
            let (left, right) = (
                one.indices.contains(index) ? one[index] : nil, other.indices.contains(index) ? other[index] : nil
            )
            if left == "**" || right == "**" { return true }
            guard let left, let right else { return false }
            if left != right, left != "{}", right != "{}" { return false }
        }
        return true
    }

    /// Parts of aggregates that no route answers.
    private var parts: [CheckReport.Finding] {
        guard let gateway = try? Gateway(configuration) else { return [] }
        return configuration.routes.flatMap { route -> [CheckReport.Finding] in
            guard case .aggregate(let plan) = route.destination else { return [] }
            return plan.parts.compactMap { part in
                let path = part.target.prefix { $0 != "?" }.split(separator: "/", omittingEmptySubsequences: false)
                    .map { $0.contains("{") ? "x" : String($0) }.joined(separator: "/")
                let found = gateway.explain(method: "GET", path: path, host: route.host)
                guard let status = found.status else { return nil }
                return .init(
                    severity: .error, place: place(route),
                    message: "the part '\(part.name)' gets \(part.target), which no route answers (\(status))")
            }
        }
    }
}
