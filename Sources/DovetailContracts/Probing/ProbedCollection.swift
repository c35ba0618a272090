/// A type of the standard library that contains others, and has a form of its own in JSON.
protocol ProbedCollection {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema
    /// With one element, or with none.
    static func placeholder(_ placeholders: Placeholders) throws -> Self
}

extension Optional: ProbedCollection where Wrapped: Decodable {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        try catalog.schema(of: Wrapped.self).orNull
    }

    static func placeholder(_ placeholders: Placeholders) throws -> Self {
        placeholders.plenty ? try placeholders.value(Wrapped.self) : nil
    }
}

extension Array: ProbedCollection where Element: Decodable {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        .array(of: try catalog.schema(of: Element.self))
    }

    static func placeholder(_ placeholders: Placeholders) throws -> Self {
        placeholders.plenty ? [try placeholders.value(Element.self)] : []
    }
}

extension ContiguousArray: ProbedCollection where Element: Decodable {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        try [Element].schema(in: &catalog)
    }

    static func placeholder(_ placeholders: Placeholders) throws -> Self {
        Self(try [Element].placeholder(placeholders))
    }
}

extension Set: ProbedCollection where Element: Decodable {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        try [Element].schema(in: &catalog)
    }

    static func placeholder(_ placeholders: Placeholders) throws -> Self {
        Self(try [Element].placeholder(placeholders))
    }
}

extension Dictionary: ProbedCollection where Key: Decodable, Value: Decodable {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        guard Key.self == String.self || Key.self == Int.self || Key.self is any CodingKeyRepresentable.Type else {
            throw SchemaError(
                type: Self.self,
                "its keys are no member names, so it is a list of keys and values in turn; give \(Key.self) CodingKeyRepresentable"
            )
        }
        return .map(of: try catalog.schema(of: Value.self))
    }

    static func placeholder(_ placeholders: Placeholders) throws -> Self { [:] }
}
