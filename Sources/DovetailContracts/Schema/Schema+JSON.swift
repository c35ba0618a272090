import DovetailCore

/// Schemas as JSON Schema 2020-12.
extension Schema {
    /// The document of a type's schema, whole by itself: definitions stand in its `$defs`.
    public static func document(of type: any Decodable.Type) throws(SchemaError) -> JSONValue {
        var catalog = SchemaCatalog()
        let schema = try catalog.schema(of: type)
        var document: JSONValue = ["$schema": "https://json-schema.org/draft/2020-12/schema"]
        if case .object(let members) = schema.json(definitionsAt: "#/$defs/") {
            for member in members { document[member.name] = member.value }
        }
        document["$defs"] = catalog.json(definitionsAt: "#/$defs/", for: document)
        return document
    }

    /// The schema as JSON; references lead to names below `prefix`.
    func json(definitionsAt prefix: String) -> JSONValue {
        let json = shape.json(definitionsAt: prefix)
        guard isNullable else { return json }
        // A type can be named beside null; what has no type of its own, or lists its values, is one of two.
        if case .string(let type)? = json["type"], json["enum"] == nil {
            var copy = json
            copy["type"] = [.string(type), "null"]
            return copy
        }
        return json == [:] ? json : ["oneOf": [json, ["type": "null"]]]
    }
}

extension SchemaCatalog {
    /// The definitions that a document refers to, itself or by way of another, in the order of their names; nil if there are none.
    func json(definitionsAt prefix: String, for document: JSONValue) -> JSONValue? {
        var used: Set<String> = []
        var open = [document]
        while let next = open.popLast() {
            for name in next.references(below: prefix) where used.insert(name).inserted {
                open.append(resolved(Schema(.reference(name))).json(definitionsAt: prefix))
            }
        }
        let members = definitions.filter { used.contains($0.name) }.sorted { $0.name < $1.name }
        return .object(nonEmpty: members.map { .init($0.name, $0.schema.json(definitionsAt: prefix)) })
    }
}

extension Schema.Shape {
    fileprivate func json(definitionsAt prefix: String) -> JSONValue {
        switch self {
        case .anything, .type: [:]
        case .boolean: ["type": "boolean"]
        case .integer(let bounds, let format):
            .object(present: [
                "type": "integer", "format": format.map { .string($0) },
                "minimum": bounds.minimum.map { .integer($0) }, "maximum": bounds.maximum.map { .integer($0) },
            ])
        case .number(let bounds):
            .object(present: [
                "type": "number", "minimum": bounds.minimum.map { .number($0) },
                "maximum": bounds.maximum.map { .number($0) },
            ])
        case .string(let bounds, let format):
            .object(present: [
                "type": "string", "format": format.map { .string($0) }, "minLength": bounds.least,
                "maxLength": bounds.most,
            ])
        case .base64: ["type": "string", "contentEncoding": "base64"]
        case .choice(let values, isOpen: false): .object(present: ["type": values.type, "enum": .array(values)])
        // The values are told, and others are not refused: who checks against it bears what is added later.
        case .choice(let values, isOpen: true):
            ["anyOf": [["enum": .array(values)], .object(present: ["type": values.type])]]
        case .constant(let value): ["const": value]
        case .array(let element, let bounds):
            .object(present: [
                "type": "array", "items": element.json(definitionsAt: prefix), "minItems": bounds.least,
                "maxItems": bounds.most,
            ])
        case .map(let value, let bounds):
            .object(present: [
                "type": "object", "additionalProperties": value.json(definitionsAt: prefix),
                "minProperties": bounds.least, "maxProperties": bounds.most,
            ])
        case .object(let properties):
            .object(present: [
                "type": "object",
                "properties": .object(
                    nonEmpty: properties.map { .init($0.name, $0.schema.json(definitionsAt: prefix)) }),
                "required": .array(nonEmpty: properties.filter(\.isRequired).map { .string($0.name) }),
            ])
        case .oneOf(let schemas): ["oneOf": .array(schemas.map { $0.json(definitionsAt: prefix) })]
        case .reference(let name): ["$ref": .string(prefix + name)]
        }
    }
}

extension Schema.Bounds<Int> {
    fileprivate var least: JSONValue? { minimum.flatMap { $0 > 0 ? .integer(Int64($0)) : nil } }
    fileprivate var most: JSONValue? { maximum.map { .integer(Int64($0)) } }
}

extension [JSONValue] {
    /// The one type that all of them have, if it is text or a whole number.
    fileprivate var type: JSONValue? {
        if allSatisfy({ $0.string != nil }) { return "string" }
        return allSatisfy { if case .integer = $0 { true } else { false } } ? "integer" : nil
    }
}

extension JSONValue {
    /// An object of those members that have a value.
    static func object(present members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object(members.compactMap { name, value in value.map { Member(name, $0) } })
    }

    /// An object; nil without members.
    static func object(nonEmpty members: [Member]) -> JSONValue? { members.isEmpty ? nil : .object(members) }

    /// An array; nil without elements.
    static func array(nonEmpty elements: [JSONValue]) -> JSONValue? { elements.isEmpty ? nil : .array(elements) }

    /// The names below `prefix` that references in it lead to.
    fileprivate func references(below prefix: String) -> [String] {
        switch self {
        case .array(let elements): elements.flatMap { $0.references(below: prefix) }
        case .object(let members):
            members.flatMap { member -> [String] in
                guard member.name == "$ref", let target = member.value.string, target.hasPrefix(prefix) else {
                    return member.value.references(below: prefix)
                }
                return [String(target.dropFirst(prefix.count))]
            }
        default: []
        }
    }
}
