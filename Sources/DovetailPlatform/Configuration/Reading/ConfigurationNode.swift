/// A value in a configuration file, with its place: what is left of YAML once aliases and variables are resolved.
struct ConfigurationNode: Sendable {
    enum Content: Sendable {
        case scalar(Scalar)
        case list([ConfigurationNode])
        case mapping([Entry])
        /// Something that could not be converted; the issue is noted already.
        case invalid
    }

    struct Scalar: Sendable {
        /// The text, with variables replaced.
        var text: String
        /// Whether the text stands in the file without quotes.
        var isPlain: Bool
        /// The environment variables that the text came from.
        var variables: [String]
    }

    struct Entry: Sendable {
        var key: String
        var position: ConfigurationPosition
        var value: ConfigurationNode
    }

    var content: Content
    var position: ConfigurationPosition

    /// Nothing was written, `null` was, or a variable that is empty.
    var isNothing: Bool {
        guard case .scalar(let scalar) = content else { return false }
        if scalar.text.isEmpty { return scalar.isPlain || !scalar.variables.isEmpty }
        return scalar.isPlain && (scalar.text == "~" || scalar.text == "null")
    }

    /// What was found here, for a message. What came from the environment may be a secret and is not shown.
    var found: String {
        switch content {
        case .list: return "a list"
        case .mapping: return "a mapping"
        case .invalid: return "something that could not be read"
        case .scalar(let scalar):
            if isNothing { return "nothing" }
            guard scalar.variables.isEmpty else {
                return "the value of \(scalar.variables.map { "${\($0)}" }.joined(separator: " and ")) (not shown)"
            }
            return quoted(scalar.text)
        }
    }

    func entry(_ key: String) -> Entry? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key == key }
    }

    /// The value at `path`.
    subscript(path: ConfigurationPath) -> ConfigurationNode? {
        var node = self
        for step in path.steps {
            switch (step, node.content) {
            case (.key(let name), .mapping):
                guard let entry = node.entry(name) else { return nil }
                node = entry.value
            case (.index(let index), .list(let elements)) where elements.indices.contains(index):
                node = elements[index]
            default: return nil
            }
        }
        return node
    }

    /// The keys of a mapping; none of anything else.
    var keys: [String] {
        guard case .mapping(let entries) = content else { return [] }
        return entries.map(\.key)
    }

    /// This mapping laid over `base`: its entries win, mappings in both are merged.
    func merged(over base: ConfigurationNode) -> ConfigurationNode {
        guard case .mapping(let own) = content, case .mapping(var entries) = base.content else { return self }
        for entry in own {
            if let index = entries.firstIndex(where: { $0.key == entry.key }) {
                let value = entry.value.merged(over: entries[index].value)
                entries[index] = Entry(key: entry.key, position: entry.position, value: value)
            } else {
                entries.append(entry)
            }
        }
        return ConfigurationNode(content: .mapping(entries), position: position)
    }
}
