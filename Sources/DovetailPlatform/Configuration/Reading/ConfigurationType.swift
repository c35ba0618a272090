/// What may stand at a place of a configuration file: how it is read, and its JSON Schema. One value says both.
struct ConfigurationType<Value> {
    /// What is allowed, in words that follow "expected".
    var expected: String
    /// Reads a node; nil, with the reason noted, if it is no such value.
    var read: (ConfigurationNode, ConfigurationPlace) -> Value?
    private let makeSchema: () -> SchemaValue
    private let makeExample: () -> Value

    /// A type. Schema and example are made when they are asked for, since sections make theirs by reading nothing.
    init(
        expected: String, schema: @autoclosure @escaping () -> SchemaValue,
        example: @autoclosure @escaping () -> Value, read: @escaping (ConfigurationNode, ConfigurationPlace) -> Value?
    ) {
        self.expected = expected
        self.read = read
        makeSchema = schema
        makeExample = example
    }

    /// What is allowed, for an editor.
    var schema: SchemaValue { makeSchema() }

    /// Any value of the type: it stands in for one that could not be read, so that reading goes on to the next error.
    var example: Value { makeExample() }

    /// The same type with its value changed.
    func map<Other>(_ transform: @escaping (Value) -> Other) -> ConfigurationType<Other> {
        ConfigurationType<Other>(expected: expected, schema: schema, example: transform(example)) { node, place in
            read(node, place).map(transform)
        }
    }
}

extension ConfigurationType {
    /// One word, number or other text without structure.
    ///
    /// - Parameter isSecret: What is found is not shown in messages.
    static func scalar(
        _ expected: String, schema: SchemaValue, example: Value, isSecret: Bool = false,
        parse: @escaping (String) -> Value?
    ) -> ConfigurationType {
        let orVariable: SchemaValue = ["anyOf": [schema, ["$ref": "#/$defs/variable"]]]
        return ConfigurationType(expected: expected, schema: orVariable, example: example) { node, place in
            if case .invalid = node.content { return nil }
            if case .scalar(let scalar) = node.content, !node.isNothing {
                if let value = parse(scalar.text) {
                    place.values.note(
                        ResolvedValue(scalar, meaning: "\(value)", isSecret: isSecret), at: place.path)
                    return value
                }
                if isSecret && scalar.variables.isEmpty {
                    place.report("expected \(expected), found something else (not shown)", at: node)
                    return nil
                }
            }
            place.report("expected \(expected), found \(node.found)", at: node)
            return nil
        }
    }

    /// Text of a pattern; `pattern` is an ECMA-262 regular expression that says about the same as `parse`.
    static func text(
        _ expected: String, pattern: String? = nil, example: Value, isSecret: Bool = false,
        parse: @escaping (String) -> Value?
    ) -> ConfigurationType {
        var schema: SchemaValue = ["type": "string"]
        if let pattern { schema = schema.with("pattern", .string(pattern)) }
        return scalar(expected, schema: schema, example: example, isSecret: isSecret, parse: parse)
    }

    /// Either of two shapes: `other` for a mapping, this type for anything else, and `other` for what it cannot read.
    func or(_ other: ConfigurationType) -> ConfigurationType {
        let expected = "\(expected) or \(other.expected)"
        return ConfigurationType(
            expected: expected, schema: ["anyOf": [schema, other.schema]], example: example
        ) { node, place in
            if case .mapping = node.content { return other.read(node, place) }
            if case .invalid = node.content { return nil }
            let own = ConfigurationPlace(path: place.path, issues: IssueCollector(file: ""))
            let value = read(node, own) ?? (node.isNothing ? nil : other.read(node, own))
            if value == nil { place.report("expected \(expected), found \(node.found)", at: node) }
            place.values.note(own.values)
            return value
        }
    }

    /// A mapping with fixed keys.
    static func section(_ name: String, _ make: @escaping (SectionReader) -> Value) -> ConfigurationType {
        func describe() -> (schema: SchemaValue, example: Value) {
            let section = SectionReader(describing: name)
            let example = make(section)
            return (section.schema, example)
        }
        return ConfigurationType(expected: name, schema: describe().schema, example: describe().example) {
            node, place in
            let empty = ConfigurationNode(content: .mapping([]), position: node.position)
            let node = node.isNothing ? empty : node
            if case .invalid = node.content { return nil }
            guard case .mapping = node.content else {
                place.report("expected \(name), found \(node.found)", at: node)
                return nil
            }
            let section = SectionReader(reading: node, at: place)
            let value = make(section)
            section.reportUnknownKeys()
            return value
        }
    }

    /// What the keys of a mapping may be.
    struct Keys {
        /// An ECMA-262 regular expression that says about the same as `isValid`.
        var pattern: String
        var rule: String
        var isValid: (String) -> Bool

        /// Names that the file's author chooses.
        static var names: Keys {
            Keys(pattern: ConfigurationName.pattern, rule: "a name (\(ConfigurationName.rule))") {
                ConfigurationName.isValid($0)
            }
        }

        /// Names of header fields.
        static var headers: Keys {
            Keys(pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", rule: "a header's name such as X-Tenant") {
                HTTPToken.isValid($0)
            }
        }

        /// Names of parameters of a query.
        static var parameters: Keys {
            Keys(pattern: "^.+$", rule: "a parameter's name") { !$0.isEmpty }
        }
    }

    /// A mapping whose keys the file's author chooses; in the file's order.
    static func named<Element>(
        _ expected: String, keys: Keys = .names, _ element: @escaping (_ name: String) -> ConfigurationType<Element>
    ) -> ConfigurationType where Value == [(name: String, value: Element)] {
        func schema() -> SchemaValue {
            [
                "type": "object", "propertyNames": ["pattern": .string(keys.pattern)],
                "additionalProperties": element("name").schema,
            ]
        }
        return ConfigurationType(expected: expected, schema: schema(), example: []) { node, place in
            if case .invalid = node.content { return nil }
            guard case .mapping(let entries) = node.content else {
                if node.isNothing {
                    place.values.note(.empty, at: place.path)
                    return []
                }
                place.report("expected \(expected), found \(node.found)", at: node)
                return nil
            }
            if entries.isEmpty { place.values.note(.empty, at: place.path) }
            return entries.compactMap { entry in
                if !keys.isValid(entry.key) {
                    let message = "expected \(keys.rule), found \(quoted(entry.key))"
                    place.issues.add(message, at: place.path, position: entry.position)
                }
                return element(entry.key).read(entry.value, place.key(entry.key)).map { (entry.key, $0) }
            }
        }
    }

    /// A list; with `orSingle`, one element may stand without brackets, with `orSection` one that is a mapping.
    static func list<Element>(
        of element: ConfigurationType<Element>, atLeast minimum: Int = 0, orSingle: Bool = false,
        orSection: Bool = false
    ) -> ConfigurationType where Value == [Element] {
        let expected = (minimum > 0 ? "a list of at least \(minimum), each " : "a list, each ") + element.expected
        func schema() -> SchemaValue {
            var schema: SchemaValue = ["type": "array", "items": element.schema]
            if minimum > 0 { schema = schema.with("minItems", .integer(minimum)) }
            return orSingle || orSection ? ["anyOf": [schema, element.schema]] : schema
        }
        return ConfigurationType(expected: expected, schema: schema(), example: []) { node, place in
            if case .invalid = node.content { return nil }
            if case .scalar = node.content, orSingle, !node.isNothing {
                return element.read(node, place).map { [$0] }
            }
            if case .mapping = node.content, orSection { return element.read(node, place).map { [$0] } }
            guard case .list(let elements) = node.content, elements.count >= minimum else {
                if node.isNothing && minimum == 0 {
                    place.values.note(.empty, at: place.path)
                    return []
                }
                let found = if case .list = node.content { "an empty list" } else { node.found }
                place.report("expected \(expected), found \(found)", at: node)
                return nil
            }
            if elements.isEmpty { place.values.note(.empty, at: place.path) }
            return elements.enumerated().compactMap { element.read($1, place.index($0)) }
        }
    }
}

/// Where a value stands, and where to say what is wrong with it.
struct ConfigurationPlace {
    var path: ConfigurationPath
    var issues: IssueCollector
    /// What the values are that were read.
    var values = ValueCollector()

    func report(_ message: String, at node: ConfigurationNode) {
        issues.add(message, at: path, position: node.position)
    }

    func key(_ name: String) -> ConfigurationPlace {
        ConfigurationPlace(path: path.key(name), issues: issues, values: values)
    }

    func index(_ index: Int) -> ConfigurationPlace {
        ConfigurationPlace(path: path.index(index), issues: issues, values: values)
    }
}
