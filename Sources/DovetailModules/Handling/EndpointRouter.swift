import DovetailContracts
import DovetailCore
import HTTPTypes

/// Finds what a method and path are for: literal segments before parameters, segment by segment.
struct EndpointRouter<Value: Sendable>: Sendable {
    enum Match {
        case found(Value, [JSON.Field])
        case otherMethods([String])
        case none
    }

    private final class Node: Sendable {
        let literals: [String: Node]
        let parameter: Node?
        let values: [String: (value: Value, names: [String])]

        init(_ literals: [String: Node] = [:], _ parameter: Node? = nil, _ values: [String: (Value, [String])] = [:]) {
            self.literals = literals
            self.parameter = parameter
            self.values = values.mapValues { (value: $0.0, names: $0.1) }
        }
    }

    private var root = Node()

    /// Adds a value; returns the one that is there already for the same method and path.
    mutating func insert(_ value: Value, _ method: HTTPRequest.Method, _ path: PathTemplate) -> Value? {
        var existing: Value?
        root = insert(value, method.rawValue, path.segments[...], path.parameters, root, &existing)
        return existing
    }

    private func insert(
        _ value: Value, _ method: String, _ rest: ArraySlice<PathTemplate.Segment>, _ names: [String], _ node: Node,
        _ existing: inout Value?
    ) -> Node {
        let values = node.values.mapValues { ($0.value, $0.names) }
        guard let segment = rest.first else {
            existing = node.values[method]?.value
            return Node(node.literals, node.parameter, values.merging([method: (value, names)]) { old, _ in old })
        }
        switch segment {
        case .literal(let text):
            var literals = node.literals
            literals[text] = insert(value, method, rest.dropFirst(), names, node.literals[text] ?? Node(), &existing)
            return Node(literals, node.parameter, values)
        case .parameter:
            let next = insert(value, method, rest.dropFirst(), names, node.parameter ?? Node(), &existing)
            return Node(node.literals, next, values)
        }
    }

    func match(_ method: HTTPRequest.Method, _ path: String) -> Match {
        guard path.hasPrefix("/") else { return .none }
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        guard let (node, captured) = find(segments == [""] ? [] : segments[...], root) else { return .none }
        let wanted = method == .head && node.values["HEAD"] == nil ? "GET" : method.rawValue
        guard let (value, names) = node.values[wanted] else {
            return node.values.isEmpty ? .none : .otherMethods(node.values.keys.sorted())
        }
        var fields: [JSON.Field] = []
        for (name, text) in zip(names, captured) {
            guard let value = text.percentDecoded else { return .none }
            fields.append(JSON.Field(name: name, value: value, origin: "path"))
        }
        return .found(value, fields)
    }

    private func find(_ rest: ArraySlice<Substring>, _ node: Node) -> (Node, [Substring])? {
        guard let segment = rest.first else { return node.values.isEmpty ? nil : (node, []) }
        if let literal = node.literals[String(segment)], let found = find(rest.dropFirst(), literal) { return found }
        guard !segment.isEmpty, let parameter = node.parameter, let found = find(rest.dropFirst(), parameter) else {
            return nil
        }
        return (found.0, [segment] + found.1)
    }
}
