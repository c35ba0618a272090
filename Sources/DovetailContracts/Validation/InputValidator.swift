import DovetailCore

/// Holds the input of an endpoint to the bounds that its Swift type does not say.
///
/// What was decoded has the structure of its schema already; only types that are ``Constrained`` or ``SchemaProviding`` ask for more.
package struct InputValidator<Input: Wire>: Sendable {
    private let validator: SchemaValidator
    private let schema: Schema
    private let origin: @Sendable (String) -> String?

    /// The validator for an endpoint; nil if its input has no bounds. Throws if the input has no schema.
    package init?(_ endpoint: EndpointDescription) throws(SchemaError) {
        var catalog = SchemaCatalog()
        schema = try catalog.schema(of: Input.self)
        guard catalog.hasRules else { return nil }
        validator = SchemaValidator(catalog)
        let parameters = Set(endpoint.path.parameters)
        let takesQuery = endpoint.takesQuery
        origin = { parameters.contains($0) ? "path" : takesQuery ? "query" : nil }
    }

    /// Where the input is out of bounds; empty if it is not.
    package func violations(of input: Input) throws -> [Problem.Violation] {
        let value = try JSON.decode(JSONValue.self, from: JSON.encode(input, personal: .plain))
        return validator.violations(of: schema, by: value).map { violation in
            // Fields of path and query are called by where the caller wrote them.
            let name = String(violation.pointer.dropFirst().prefix { $0 != "/" })
            guard let origin = origin(name) else { return violation }
            return .init(pointer: "\(origin):\(name)", expected: violation.expected)
        }
    }
}
