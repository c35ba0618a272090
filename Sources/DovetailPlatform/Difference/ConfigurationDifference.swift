import DovetailGateway

/// What is otherwise in another configuration: every key that holds another value, whether it is written or has its default, with whom that concerns.
///
/// It compares what was read, key by key, and knows nothing of most of them: so a key that is new is compared, too.
struct ConfigurationDifference {
    /// A key whose value is another.
    struct Change: Equatable {
        /// The way to it. A route stands under what it takes in place of its number; a list of plain values is one value.
        let path: [String]
        /// Nil where there is none: what that means is the key's to say.
        let old: [ResolvedValue]?
        let new: [ResolvedValue]?
        /// Whether it takes away something that protects, or lets more in.
        let loosens: Bool
    }

    /// In the order of their paths.
    let changes: [Change]
    private let scope: ChangeScope
    private let reached: GatewayDifference?

    /// Compares two configurations; `plans` are what the data plane makes of them, for what becomes reachable.
    init(
        from old: PlatformConfiguration, to new: PlatformConfiguration,
        plans: (old: GatewayConfiguration?, new: GatewayConfiguration?)? = nil
    ) {
        let (before, after) = (ConfigurationDifference.values(old), ConfigurationDifference.values(new))
        let routes = [old, new].map { Set(($0.gateway?.routes ?? []).map(\.id)) }
        var changes: [Change] = []
        for path in Set(before.keys).union(after.keys) {
            let (was, becomes) = (before[path], after[path])
            guard was != becomes else { continue }
            // A route that comes or goes does so as a whole.
            if path.starts(with: ["gateway", "routes"]), path.count > 3,
                !(routes[0].contains(path[2]) && routes[1].contains(path[2]))
            {
                continue
            }
            changes.append(
                Change(path: path, old: was, new: becomes, loosens: Protection.isLess(path, was ?? [], becomes ?? [])))
        }
        for route in routes[0].symmetricDifference(routes[1]) {
            changes.append(Change(path: ["gateway", "routes", route], old: nil, new: nil, loosens: false))
        }
        self.changes = changes.sorted { $0.path.lexicographicallyPrecedes($1.path) }
        scope = ChangeScope(old, new)
        reached = plans.map { GatewayDifference(from: $0.old, to: $0.new) }
    }

    /// The values by the ways to them.
    private static func values(_ configuration: PlatformConfiguration) -> [[String]: [ResolvedValue]] {
        let routes = (configuration.gateway?.routes ?? []).map(\.id)
        var values: [[String]: [(place: Int, value: ResolvedValue)]] = [:]
        for (path, value) in configuration.resolved {
            var steps: [String] = []
            var place = 0
            for (index, step) in path.steps.enumerated() {
                switch step {
                case .key(let key): steps.append(key)
                case .index(let number) where steps == ["gateway", "routes"]:
                    steps.append(routes.indices.contains(number) ? routes[number] : "[\(number)]")
                // The elements of a list of plain values are one value.
                case .index(let number) where index == path.steps.count - 1: place = number
                case .index(let number): steps.append("[\(number)]")
                }
            }
            values[steps, default: []].append((place, value))
        }
        return values.mapValues { $0.sorted { $0.place < $1.place }.map(\.value) }
    }

    /// A line for each thing that changes. `!` stands before what opens or loosens something, and those lines come first.
    var lines: [String] {
        var lines = reached?.lines ?? []
        var order: [String] = []
        var parts: [String: [String]] = [:]
        for change in changes {
            // What becomes reachable is told by the routes that become of it.
            if change.path.count == 3, change.path.starts(with: ["gateway", "routes"]) {
                if reached == nil { lines.append("~ \(change.path[2]) comes or goes") }
                continue
            }
            let (subject, count) = scope.subject(of: change.path)
            let key = (change.loosens ? "! ~ " : "~ ") + subject
            if parts[key] == nil { order.append(key) }
            parts[key, default: []].append(words(change, under: change.path.dropFirst(count)))
        }
        lines += order.map { "\($0): \((parts[$0] ?? []).joined(separator: "; "))" }
        // An authenticator whose keys are in files may change with them alone.
        let told = Set(changes.filter { $0.path.starts(with: ["gateway", "authentication"]) }.map { $0.path[2] })
        lines.removeAll { line in told.contains { line == "~ authenticator \($0) changes" } }
        return lines.sorted { ConfigurationDifference.rank($0) < ConfigurationDifference.rank($1) }
    }

    private func words(_ change: Change, under path: ArraySlice<String>) -> String {
        let key = path.reduce(into: "") { text, step in
            if !text.isEmpty, !step.hasPrefix("[") { text += "." }
            text += step
        }
        func text(_ values: [ResolvedValue]?) -> String {
            values.map { $0.map(\.description).joined(separator: ", ") } ?? "unset"
        }
        let (old, new) = (text(change.old), text(change.new))
        return old == new ? "\(key) is another" : "\(key) \(old) → \(new)"
    }

    /// What opens stands first.
    private static func rank(_ line: String) -> (Int, String) {
        (line.hasPrefix("!") ? 0 : line.hasPrefix("-") ? 1 : line.hasPrefix("+") ? 2 : 3, line)
    }
}
