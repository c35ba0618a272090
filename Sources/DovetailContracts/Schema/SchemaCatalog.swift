import DovetailCore

/// The schemas of types, each derived once, with names for those that are objects.
///
/// A type's schema is found by running its `init(from:)` against a decoder that records what it asks for and answers with placeholders, several
/// times over with different ones; what differs between them has no schema of its own. Structs, optionals, arrays, sets, dictionaries by name,
/// generics and enums that list their cases are derived; ``SchemaProviding`` types say theirs; ``Constrained`` types narrow it. What is neither is a
/// ``SchemaError`` that names type and field.
public struct SchemaCatalog: Sendable {
    private enum Entry: Sendable {
        /// Being derived: who needs it meanwhile refers to it by its name.
        case underway(name: String)
        case known(Schema)
    }

    private var entries: [ObjectIdentifier: Entry] = [:]
    /// Where types met so far lead to one that says or narrows its schema: only then can a value that was decoded break it.
    private(set) var hasRules = false
    /// Whether a type met so far holds ``Personal`` data.
    package private(set) var hasPersonalData = false
    private var names: Set<String> = []
    private var depth = 0
    /// The schemas of objects, by name, in the order in which they were met.
    public private(set) var definitions: [(name: String, schema: Schema)] = []

    /// Deeper nesting of types is taken for endless.
    private static let maximumDepth = 32

    /// An empty catalog.
    public init() {}

    /// The schema of a type: itself if it is small, a reference to its definition if it is an object.
    public mutating func schema(of type: any Decodable.Type) throws(SchemaError) -> Schema {
        let id = ObjectIdentifier(type)
        switch entries[id] {
        case .known(let schema): return schema
        case .underway(let name): return Schema(.reference(name))
        case nil: break
        }
        if let native = Native.schema(of: type) { return native }
        guard depth < SchemaCatalog.maximumDepth else {
            throw SchemaError(type: type, "types are nested more than \(SchemaCatalog.maximumDepth) deep")
        }
        depth += 1
        defer { depth -= 1 }
        if let collection = type as? any ProbedCollection.Type { return try collection.schema(in: &self) }
        let name = unusedName(for: type)
        entries[id] = .underway(name: name)
        do {
            let schema = try named(name, try derive(type))
            entries[id] = .known(schema)
            return schema
        } catch {
            entries[id] = nil
            names.remove(name)
            throw error
        }
    }

    mutating func notePersonalData() { hasPersonalData = true }

    /// What a reference leads to; the schema itself if it is none.
    public func resolved(_ schema: Schema) -> Schema {
        guard case .reference(let name) = schema.shape, let found = definitions.first(where: { $0.name == name }) else {
            return schema
        }
        return schema.isNullable ? found.schema.orNull : found.schema
    }

    /// The members of an object's schema; none if it is no object.
    public func properties(of schema: Schema) -> [Schema.Property] {
        guard case .object(let properties) = resolved(schema).shape else { return [] }
        return properties
    }

    private mutating func derive(_ type: any Decodable.Type) throws(SchemaError) -> Schema {
        if let providing = type as? any (SchemaProviding & Encodable).Type {
            hasRules = true
            return try provided(by: providing)
        }
        if let cases = Native.cases(of: type) { return cases.schema }
        let schema = try TypeProbe(type).schema(in: &self)
        guard let constrained = type as? any Constrained.Type else { return schema }
        hasRules = true
        return try narrow(schema, by: constrained.constraints, of: type)
    }

    /// Gives an object its definition and returns a reference to it.
    private mutating func named(_ name: String, _ schema: Schema) throws(SchemaError) -> Schema {
        switch schema.shape {
        case .object, .oneOf:
            definitions.append((name, schema))
            return Schema(.reference(name))
        default:
            names.remove(name)
            return schema
        }
    }

    private func narrow(
        _ schema: Schema, by constraints: Constraints, of type: any Decodable.Type
    ) throws(SchemaError) -> Schema {
        guard case .object(var properties) = schema.shape else {
            throw SchemaError(type: type, "only an object's fields can be constrained; conform to SchemaProviding")
        }
        for (name, constraint) in constraints.fields {
            guard let place = properties.firstIndex(where: { $0.name == name }) else {
                throw SchemaError(
                    type: type, field: name,
                    "there is a constraint on it, but no such field; there are \(properties.map(\.name).joined(separator: ", "))"
                )
            }
            guard let narrowed = constraint.narrowing(properties[place].schema) else {
                throw SchemaError(type: type, field: name, "it cannot have \(constraint): it is something else")
            }
            properties[place].schema = narrowed
        }
        return .object(properties)
    }

    // MARK: Written schemas

    private mutating func provided<Provider: SchemaProviding & Encodable>(
        by type: Provider.Type
    ) throws(SchemaError) -> Schema {
        let schema = try replacingTypes(in: type.schema)
        guard let example = try? JSON.decode(JSONValue.self, from: JSON.encode(type.example, personal: .plain)) else {
            throw SchemaError(type: type, "its example cannot be encoded")
        }
        if let violation = SchemaValidator(self).violations(of: schema, by: example).first {
            throw SchemaError(
                type: type,
                "its example does not fit its schema: at '\(violation.pointer)' \(violation.expected); correct one of them"
            )
        }
        return schema
    }

    /// The schema with each type in it replaced by that type's schema.
    private mutating func replacingTypes(in schema: Schema) throws(SchemaError) -> Schema {
        var copy = schema
        switch schema.shape {
        case .type(let type):
            let replaced = try self.schema(of: type.type)
            return schema.isNullable ? replaced.orNull : replaced
        case .array(let element, let bounds): copy.shape = .array(try replacingTypes(in: element), bounds)
        case .map(let value, let bounds): copy.shape = .map(try replacingTypes(in: value), bounds)
        case .object(var properties):
            for place in properties.indices {
                properties[place].schema = try replacingTypes(in: properties[place].schema)
            }
            copy.shape = .object(properties)
        case .oneOf(var schemas):
            for place in schemas.indices { schemas[place] = try replacingTypes(in: schemas[place]) }
            copy.shape = .oneOf(schemas)
        case .anything, .boolean, .integer, .number, .string, .base64, .choice, .constant, .reference: break
        }
        return copy
    }

    // MARK: Names

    private mutating func unusedName(for type: any Any.Type) -> String {
        let name = SchemaCatalog.name(of: type)
        var candidate = name
        var number = 2
        while !names.insert(candidate).inserted {
            candidate = "\(name)-\(number)"
            number += 1
        }
        return candidate
    }

    /// A type's name without its module, in the characters that OpenAPI lets a component's name have: `OrdersAPI.Place`, `Page_User`.
    static func name(of type: any Any.Type) -> String {
        var name = ""
        // Types that are local to a function have a place in parentheses in front of their name.
        var isAside = false
        for part in String(reflecting: type).split(separator: ".").dropFirst() {
            if part.hasPrefix("(") { isAside = true }
            if !isAside { name += (name.isEmpty ? "" : ".") + part }
            if part.hasSuffix(")") { isAside = false }
        }
        if name.isEmpty { name = String(describing: type) }
        let plain = name.unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", ".", "-": Character(scalar)
            default: "_"
            }
        }
        return String(plain.split(separator: "_").joined(separator: "_"))
    }
}
