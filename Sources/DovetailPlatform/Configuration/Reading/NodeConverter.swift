import Yams

/// Converts the YAML library's tree to ours: bounded, with text keys only, variables replaced, places kept.
struct NodeConverter {
    private let environment: [String: String]
    private var values = 0
    private(set) var issues: [(message: String, path: ConfigurationPath, position: ConfigurationPosition?)] = []

    init(environment: [String: String]) {
        self.environment = environment
    }

    mutating func convert(_ node: Yams.Node, at path: ConfigurationPath, depth: Int) -> ConfigurationNode {
        let position = ConfigurationPosition(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
        values += 1
        guard values <= ConfigurationDocument.maximumValues else {
            if values == ConfigurationDocument.maximumValues + 1 {
                issues.append(("more than \(ConfigurationDocument.maximumValues) values", .top, position))
            }
            return ConfigurationNode(content: .invalid, position: position)
        }
        guard depth <= ConfigurationDocument.maximumDepth else {
            issues.append(("nested more than \(ConfigurationDocument.maximumDepth) levels deep", .top, position))
            return ConfigurationNode(content: .invalid, position: position)
        }
        switch node {
        case .scalar(let scalar):
            guard let expanded = expand(scalar.string, at: path, position: position) else {
                return ConfigurationNode(content: .invalid, position: position)
            }
            let content = ConfigurationNode.Scalar(
                text: expanded.text, isPlain: scalar.style == .plain, variables: expanded.variables)
            return ConfigurationNode(content: .scalar(content), position: position)
        case .sequence(let sequence):
            let elements = sequence.enumerated().map { index, element in
                convert(element, at: path.index(index), depth: depth + 1)
            }
            return ConfigurationNode(content: .list(elements), position: position)
        case .mapping(let mapping):
            let entries = mapping.compactMap { pair in entry(pair.key, pair.value, at: path, depth: depth) }
            return ConfigurationNode(content: .mapping(entries), position: position)
        case .alias:
            issues.append(("an alias that stands for nothing", path, position))
            return ConfigurationNode(content: .invalid, position: position)
        }
    }

    private mutating func entry(
        _ key: Yams.Node, _ value: Yams.Node, at path: ConfigurationPath, depth: Int
    ) -> ConfigurationNode.Entry? {
        let position = ConfigurationPosition(line: key.mark?.line ?? 1, column: key.mark?.column ?? 1)
        guard case .scalar(let name) = key else {
            issues.append(("a key must be text", path, position))
            return nil
        }
        guard name.string != "<<" else {
            issues.append(("merge keys (<<) are not supported; policies have 'extends'", path, position))
            return nil
        }
        let value = convert(value, at: path.key(name.string), depth: depth + 1)
        return ConfigurationNode.Entry(key: name.string, position: position, value: value)
    }

    /// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. Nil, with the reason noted, if that fails.
    private mutating func expand(
        _ text: String, at path: ConfigurationPath, position: ConfigurationPosition
    ) -> (text: String, variables: [String])? {
        guard text.contains("${") else { return (text, []) }
        var result = ""
        var variables: [String] = []
        var isComplete = true
        var rest = Substring(text)
        while let start = rest.firstRange(of: "${") {
            result += rest[..<start.lowerBound]
            if result.hasSuffix("$") {
                result += "{"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                issues.append(("a variable is not closed: expected ${NAME} or ${NAME:-default}", path, position))
                return nil
            }
            let inside = rest[start.upperBound..<end]
            let separator = inside.firstRange(of: ":-")
            let name = String(separator.map { inside[..<$0.lowerBound] } ?? inside)
            let fallback = separator.map { inside[$0.upperBound...] }
            rest = rest[rest.index(after: end)...]
            guard NodeConverter.isVariableName(name) else {
                issues.append(
                    ("\(quoted(name)) is no variable's name: expected ${NAME} or ${NAME:-default}", path, position))
                isComplete = false
                continue
            }
            variables.append(name)
            let value = environment[name].flatMap { $0.isEmpty && fallback != nil ? nil : $0 }
            if let value = value ?? fallback.map(String.init) {
                result += value
            } else {
                let message = "the environment variable \(name) is not set; set it, or write ${\(name):-default}"
                issues.append((message, path, position))
                isComplete = false
            }
        }
        return isComplete ? (result + rest, variables) : nil
    }

    private static func isVariableName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(48...57).contains(first) else { return false }
        return name.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
        }
    }
}
