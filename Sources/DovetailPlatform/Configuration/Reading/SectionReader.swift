/// Reads a mapping with fixed keys, key by key.
///
/// The same calls describe the mapping: run over nothing, they make its JSON Schema. So that this holds, each key is
/// asked for every time, whatever the values of others are. Used by one thread.
final class SectionReader {
    private let node: ConfigurationNode?
    private let place: ConfigurationPlace
    private var known: [String] = []
    private var properties: [SchemaValue.Member] = []
    private var required: [SchemaValue] = []
    private var alternatives: [SchemaValue] = []

    init(reading node: ConfigurationNode, at place: ConfigurationPlace) {
        self.node = node
        self.place = place
    }

    init(describing name: String) {
        node = nil
        place = ConfigurationPlace(path: .top, issues: IssueCollector(file: name))
    }

    /// The JSON Schema of the mapping, once it is described.
    var schema: SchemaValue {
        var schema: SchemaValue = [
            "type": "object", "additionalProperties": false, "properties": .object(properties),
        ]
        if !required.isEmpty { schema = schema.with("required", .array(required)) }
        if !alternatives.isEmpty { schema = schema.with("oneOf", .array(alternatives)) }
        return schema
    }

    /// A key that must be there.
    func required<Value>(_ key: String, _ type: ConfigurationType<Value>, _ summary: String) -> Value {
        required.append(.string(key))
        declare(key, type.schema, summary)
        guard let node else { return type.example }
        guard let entry = node.entry(key) else {
            place.report("'\(key)' is missing: expected \(type.expected)", at: node)
            return type.example
        }
        return read(entry.value, key, type) ?? type.example
    }

    /// A key that may be left out.
    func optional<Value>(_ key: String, _ type: ConfigurationType<Value>, _ summary: String) -> Value? {
        declare(key, type.schema, summary)
        guard let entry = node?.entry(key) else { return nil }
        if isEmptyVariable(entry.value) { return nil }
        return read(entry.value, key, type)
    }

    /// A key with a default, said in the form of the file.
    func value<Value>(
        _ key: String, _ type: ConfigurationType<Value>, default text: String, _ summary: String
    ) -> Value {
        declare(key, type.schema.with("default", SchemaValue(scalar: text)), summary)
        if let entry = node?.entry(key), !isEmptyVariable(entry.value) {
            return read(entry.value, key, type) ?? type.example
        }
        let position = node?.position ?? ConfigurationPosition(line: 1, column: 1)
        let scalar = ConfigurationNode.Scalar(text: text, isPlain: true, variables: [])
        let node = ConfigurationNode(content: .scalar(scalar), position: position)
        return read(node, key, type) ?? type.example
    }

    /// A section that, left out, has all its defaults.
    func section<Value>(_ key: String, _ type: ConfigurationType<Value>, _ summary: String) -> Value {
        declare(key, type.schema, summary)
        guard let node else { return type.example }
        let empty = ConfigurationNode(content: .mapping([]), position: node.position)
        return read(node.entry(key)?.value ?? empty, key, type) ?? type.example
    }

    /// A list or a mapping of names that, left out, is empty.
    func collection<Element>(_ key: String, _ type: ConfigurationType<[Element]>, _ summary: String) -> [Element] {
        declare(key, type.schema, summary)
        guard let entry = node?.entry(key) else { return [] }
        return read(entry.value, key, type) ?? []
    }

    /// A key that has a meaning to come and that is refused until then.
    func reserved(_ key: String, _ summary: String) {
        declare(key, ["not": [:]], "Not supported yet: \(summary)")
        guard let entry = node?.entry(key) else { return }
        let message = "'\(key)' is not supported yet (\(summary)); leave it out"
        place.issues.add(message, at: place.path.key(key), position: entry.position)
    }

    /// Says that exactly one of these keys must be there.
    func exactlyOne(of keys: String...) {
        guard let node else {
            alternatives = keys.map { ["required": [.string($0)]] }
            return
        }
        let present = keys.filter { node.entry($0) != nil }
        guard present.count != 1 else { return }
        let all = keys.map { "'\($0)'" }.joined(separator: ", ")
        let found = present.isEmpty ? "none of them" : present.map { "'\($0)'" }.joined(separator: " and ")
        place.report("expected exactly one of \(all), found \(found)", at: node)
    }

    /// Says that something is wrong with the value of a key, or with the section where the key is not there.
    func report(_ message: String, key: String) {
        guard let node else { return }
        if let entry = node.entry(key) {
            place.key(key).report(message, at: entry.value)
        } else {
            place.report(message, at: node)
        }
    }

    /// Whether a key stands in the file.
    func has(_ key: String) -> Bool { node?.entry(key) != nil }

    func reportUnknownKeys() {
        guard case .mapping(let entries)? = node?.content else { return }
        for entry in entries where !known.contains(entry.key) {
            var message = "unknown key \(quoted(entry.key))"
            if let suggestion = Spelling.nearest(to: entry.key, among: known) {
                message += "; did you mean '\(suggestion)'?"
            } else {
                message += "; expected one of \(known.sorted().joined(separator: ", "))"
            }
            place.issues.add(message, at: place.path, position: entry.position)
        }
    }

    private func read<Value>(_ node: ConfigurationNode, _ key: String, _ type: ConfigurationType<Value>) -> Value? {
        type.read(node, place.key(key))
    }

    /// `${NAME:-}` with nothing set: the author says that the key may be left out.
    private func isEmptyVariable(_ node: ConfigurationNode) -> Bool {
        guard case .scalar(let scalar) = node.content else { return false }
        return scalar.text.isEmpty && !scalar.variables.isEmpty
    }

    private func declare(_ key: String, _ schema: @autoclosure () -> SchemaValue, _ summary: String) {
        known.append(key)
        guard node == nil else { return }
        properties.append(.init(name: key, value: schema().with("description", .string(summary))))
    }
}
