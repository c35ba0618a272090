import DovetailGateway

/// What changes for those outside between two configurations of a gateway, a line each: what becomes reachable, what no longer is, and what is done otherwise.
struct GatewayDifference {
    /// Lines that begin with `+`, `-` or `~`, and `!` before what opens something to everybody.
    let lines: [String]

    init(from old: GatewayConfiguration?, to new: GatewayConfiguration?) {
        let (before, after) = (GatewayDifference.routes(old), GatewayDifference.routes(new))
        var lines: [String] = []
        for (id, route) in before where after[id] == nil {
            lines.append("- \(id): \(route.reached) is no longer reachable by it")
        }
        for (id, route) in after where before[id] == nil {
            lines.append("\(route.isOpen ? "! " : "")+ \(id): \(route.reached) becomes reachable, \(route.access)")
        }
        for (id, route) in after {
            guard let known = before[id] else { continue }
            let changes = zip(known.rules, route.rules).filter { $0.1 != $1.1 }.map { "\($0.0) \($0.1) → \($1.1)" }
            guard !changes.isEmpty else { continue }
            let opens = route.isOpen && !known.isOpen
            lines.append("\(opens ? "! " : "")~ \(id): \(changes.joined(separator: "; "))")
        }
        let upstreams = Set((old?.upstreams ?? []).map(\.name)).union((new?.upstreams ?? []).map(\.name))
        for name in upstreams.sorted() {
            let servers = [old, new].map { configuration in
                configuration?.upstreams.first { $0.name == name }.map { upstream in
                    (upstream.protocol == .http2 ? "http2 " : "")
                        + upstream.servers.map { "\($0.host):\($0.port)" + ($0.weight == 1 ? "" : " (\($0.weight))") }
                        .joined(
                            separator: ", ")
                }
            }
            let traffic = [old, new].map {
                $0?.upstreams.first { $0.name == name }.map(GatewayDifference.traffic) ?? []
            }
            let changes = zip(traffic[0], traffic[1]).filter { $0.1 != $1.1 }.map { "\($0.0) \($0.1) → \($1.1)" }
            if !changes.isEmpty { lines.append("~ upstream \(name): \(changes.joined(separator: "; "))") }
            guard servers[0] != servers[1] else { continue }
            lines.append("~ upstream \(name): \(servers[0] ?? "none") → \(servers[1] ?? "none")")
        }
        for name in Set((old?.authenticators ?? [:]).keys).union((new?.authenticators ?? [:]).keys).sorted()
        where old?.authenticators[name] != new?.authenticators[name] {
            let what =
                new?.authenticators[name] == nil ? "goes" : old?.authenticators[name] == nil ? "is new" : "changes"
            lines.append("~ authenticator \(name) \(what)")
        }
        self.lines = lines.sorted { GatewayDifference.rank($0) < GatewayDifference.rank($1) }
    }

    /// What opens stands first.
    private static func rank(_ line: String) -> (Int, String) {
        (line.hasPrefix("!") ? 0 : line.hasPrefix("-") ? 1 : line.hasPrefix("+") ? 2 : 3, line)
    }

    private struct Face {
        var reached: String
        var access: String
        var isOpen: Bool
        var rules: [(String, String)]
    }

    private static func routes(_ configuration: GatewayConfiguration?) -> [String: Face] {
        var faces: [String: Face] = [:]
        for route in configuration?.routes ?? [] {
            let methods = route.methods.map(\.rawValue).sorted().joined(separator: ",")
            let reached = "\(methods.isEmpty ? "any" : methods) \(route.host ?? "")\(route.path)"
            let access =
                switch route.authentication {
                case .none: "open to all"
                case .named(let name):
                    name + (route.scopes.isEmpty ? "" : " with \(route.scopes.sorted().joined(separator: " "))")
                }
            faces[route.id] = Face(
                reached: reached, access: access, isOpen: route.authentication == .none,
                rules: [
                    ("takes", reached), ("conditions", "\(route.conditions.map(\.description).sorted())"),
                    ("access", access), ("claims", "\(route.claims.sorted { $0.key < $1.key })"),
                    ("addresses", route.addresses.map { "\($0.allow) not \($0.deny)" } ?? "all"),
                    ("to", destination(route)), ("rewrite", "\(route.rewrite)"),
                    ("rateLimit", route.rateLimits.map { "\($0.limit) by \($0.by)" }.joined(separator: ", ")),
                    ("timeout", route.timeout.map { "\($0)" } ?? "none"), ("maxBody", "\(route.maximumBodyBytes)"),
                    ("maxInFlight", route.maximumInFlight.map { "\($0.maximum)" } ?? "none"),
                    ("mirror", route.mirror.map { "\($0.upstream) \($0.share)" } ?? "none"),
                    ("deprecation", route.deprecation.map { "\($0)" } ?? "none"),
                    ("essential", "\(route.isEssential)"),
                    ("cache", route.cache.map { "\($0)" } ?? "none"),
                    ("requestHeaders", edits(route.requestHeaders)),
                    ("responseHeaders", edits(route.responseHeaders)),
                    ("cors", (route.cors ?? configuration?.cors).map { "\($0.allowOrigins.sorted())" } ?? "none"),
                ])
        }
        return faces
    }

    private static func traffic(_ upstream: Upstream) -> [(String, String)] {
        [
            ("maxInFlight", upstream.maximumInFlight.map { "\($0.maximum)" } ?? "none"),
            ("adaptiveLimit", upstream.adaptiveInFlight.map { $0.isEnforced ? "on" : "observed" } ?? "none"),
            ("hedge", upstream.hedge.map { "after \($0.after)" } ?? "none"),
            ("slowStart", upstream.slowStart.map { "\($0)" } ?? "none"),
        ]
    }

    private static func edits(_ edits: HeaderEdits?) -> String {
        guard let edits else { return "none" }
        return "set \(edits.set.keys.sorted()), remove \(edits.remove.sorted())"
    }

    private static func destination(_ route: Route) -> String {
        switch route.destination {
        case .http(let name): "upstream \(name)"
        case .split(let weights):
            weights.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        case .redirect(let redirect): "another place (\(redirect.status))"
        case .handler: "a module of this process"
        case .batch(let policy): "the routes of up to \(policy.maximum) requests"
        case .aggregate(let plan):
            plan.parts.map { "\($0.name) by \($0.target)\($0.isRequired ? "" : ", if it is there")" }.joined(
                separator: "; ")
        }
    }
}
