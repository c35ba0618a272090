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

    /// Routes without authentication that lead to what others reach with it: to a server of the same address, whatever its upstream is called, under a
    /// path that is the same there.
    private var opened: [CheckReport.Finding] {
        let finder = RouteFinder(configuration.routes)
        let targets = configuration.routes.compactMap(target)
        let guarded = targets.filter { $0.route.authentication != .none }
        return targets.filter { $0.route.authentication == .none }.compactMap { own in
            for there in guarded {
                if let finding = opened(own, there, finder) { return finding }
            }
            return nil
        }
    }

    /// What is said of an open route beside a guarded one; nil if there is nothing to say.
    private func opened(_ own: Target, _ there: Target, _ finder: RouteFinder) -> CheckReport.Finding? {
        let (route, other) = (own.route, there.route)
        // The same path under a condition is guarded on purpose, and not otherwise.
        guard let example = own.paths.example(sharedWith: there.paths),
            other.path != route.path || other.host != route.host, sharesMethods(route, other),
            !own.servers.isDisjoint(with: there.servers)
        else { return nil }
        if own.isExact, route.rewrite == .none, route.conditions.isEmpty, other.conditions.isEmpty,
            finder.route(method: method(route, other), path: example, host: route.host ?? other.host) == other.id
        {
            // Such a path goes to the one that guards it; of another it cannot be known where an expression stands before it.
            return other.path.comesBefore(route.path) ? nil : untold(route, other)
        }
        guard own.isExact, there.isExact else { return untold(route, other) }
        return .init(
            severity: .warning, place: place(route),
            message: "it is open to all, and leads to what '\(other.id)' guards: \(example) there")
    }

    private func untold(_ route: Route, _ other: Route) -> CheckReport.Finding {
        .init(
            severity: .warning, place: place(route),
            message:
                "it is open to all, and cannot be told from what '\(other.id)' guards: with an expression, some of its requests may come to the same paths there"
        )
    }

    /// A method that both take.
    private func method(_ one: Route, _ other: Route) -> String {
        let both =
            one.methods.isEmpty
            ? other.methods : other.methods.isEmpty ? one.methods : one.methods.intersection(other.methods)
        return both.map(\.rawValue).sorted().first ?? "GET"
    }

    /// Where a route leads.
    private struct Target {
        let route: Route
        let servers: Set<String>
        /// The paths there.
        let paths: PathLanguage
        /// Whether there are no others, as there may be where what an expression captures is written into them.
        let isExact: Bool
    }

    private func target(_ route: Route) -> Target? {
        let upstreams: [String]
        switch route.destination {
        case .http(let name): upstreams = [name]
        case .split(let weights): upstreams = weights.filter { $0.value > 0 }.map(\.key)
        default: return nil
        }
        let servers = configuration.upstreams.filter { upstreams.contains($0.name) }.flatMap(\.servers)
        let isExpression = route.path.kind == .expression
        let paths: PathLanguage
        switch route.rewrite {
        case .none: paths = PathLanguage(route.path)
        case .template(let template): paths = PathLanguage(template: template, capturesSlashes: isExpression)
        case .stripPrefix(let prefix):
            let rest = String(route.path.description.dropFirst(prefix.count))
            paths = PathLanguage(template: rest.isEmpty ? "/" : rest)
        }
        let isExact = !isExpression || route.rewrite == .none
        return Target(
            route: route, servers: Set(servers.map { "\($0.host.lowercased()):\($0.port)" }), paths: paths,
            isExact: isExact)
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

extension PathPattern {
    /// Whether a route of this path is always asked before one of the other, an expression.
    fileprivate func comesBefore(_ other: PathPattern) -> Bool {
        other.kind != .expression || kind == .exact || kind == .template
    }
}
