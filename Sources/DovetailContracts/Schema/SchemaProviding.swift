/// A type that says its schema itself, because that cannot be found out from how it is decoded: an enum with payloads, an enum that
/// does not list its cases, a type that checks itself, an `init(from:)` that decides by what it has read.
///
///     extension Payment: SchemaProviding {
///         static var schema: Schema { .oneOf([…]) }
///         static var example: Payment { .invoice }
///     }
public protocol SchemaProviding {
    /// What its JSON may be.
    static var schema: Schema { get }
    /// A value of the type, with which types that contain it are tried out. Its JSON has to fit the schema; that is checked.
    static var example: Self { get }
}
