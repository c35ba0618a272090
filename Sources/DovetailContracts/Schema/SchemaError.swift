/// Why a type has no schema.
public struct SchemaError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The type.
    public var type: String
    /// The field of it that is the reason; nil if it is the type as a whole.
    public var field: String?
    /// What is in the way, and what to do.
    public var message: String

    /// A reason.
    public init(type: any Any.Type, field: String? = nil, _ message: String) {
        self.type = SchemaCatalog.name(of: type)
        self.field = field
        self.message = message
    }

    public var description: String { type + (field.map { ".\($0)" } ?? "") + ": " + message }
}
