import DovetailGateway

/// What becomes reachable between two configurations of a gateway, and what no longer is, a line each; and which authenticators are others.
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
        for name in Set((old?.authenticators ?? [:]).keys).union((new?.authenticators ?? [:]).keys).sorted()
        where old?.authenticators[name] != new?.authenticators[name] {
            let what =
                new?.authenticators[name] == nil ? "goes" : old?.authenticators[name] == nil ? "is new" : "changes"
            lines.append("~ authenticator \(name) \(what)")
        }
        self.lines = lines
    }

    private struct Face {
        var reached: String
        var access: String
        var isOpen: Bool
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
            faces[route.id] = Face(reached: reached, access: access, isOpen: route.authentication == .none)
        }
        return faces
    }
}
