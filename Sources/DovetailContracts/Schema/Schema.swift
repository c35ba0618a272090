import DovetailCore

/// What a JSON value may be: the part of JSON Schema 2020-12 that contracts need.
///
/// Schemas are derived from types (see ``SchemaCatalog``); one is written by hand where that cannot be (see ``SchemaProviding``):
///
///     Schema.oneOf([
///         .object([.required("kind", .constant("card")), .required("number", .string(length: 12...19))]),
///         .object([.required("kind", .constant("invoice"))]),
///     ])
public struct Schema: Sendable, Hashable {
    /// What it may be, apart from null.
    public indirect enum Shape: Sendable, Hashable {
        /// Anything.
        case anything
        /// `true` or `false`.
        case boolean
        /// A whole number within bounds.
        case integer(Bounds<Int64>, format: String?)
        /// A number within bounds.
        case number(Bounds<Double>)
        /// Text whose length in characters (Unicode scalars) lies within bounds.
        case string(Bounds<Int>, format: String?)
        /// Bytes, as text in base64.
        case base64
        /// One of these. An open choice may get further values, so who reads it has to bear one that is not listed.
        case choice([JSONValue], isOpen: Bool)
        /// This.
        case constant(JSONValue)
        /// A list of so many.
        case array(Schema, Bounds<Int>)
        /// An object whose member names are data.
        case map(Schema, Bounds<Int>)
        /// An object with these members, and perhaps others that readers pass over.
        case object([Property])
        /// Exactly one of these.
        case oneOf([Schema])
        /// Whatever a type's schema is.
        case type(SchemaType)
        /// The definition of that name in the catalog.
        case reference(String)
    }

    /// A member of an object.
    public struct Property: Sendable, Hashable {
        /// The member's name.
        public var name: String
        /// What it may be.
        public var schema: Schema
        /// Whether it has to be there.
        public var isRequired: Bool

        /// A member that has to be there.
        public static func required(_ name: String, _ schema: Schema) -> Property {
            Property(name: name, schema: schema, isRequired: true)
        }

        /// A member that may be missing, or null.
        public static func optional(_ name: String, _ schema: Schema) -> Property {
            Property(name: name, schema: schema.orNull, isRequired: false)
        }
    }

    /// The least and the greatest, each of them if there is one.
    public struct Bounds<Value: Comparable & Hashable & Sendable>: Sendable, Hashable {
        /// The least.
        public var minimum: Value?
        /// The greatest.
        public var maximum: Value?

        /// No bounds, or these.
        public init(minimum: Value? = nil, maximum: Value? = nil) {
            self.minimum = minimum
            self.maximum = maximum
        }

        /// Whether it lies within.
        public func contains(_ value: Value) -> Bool {
            if let minimum, value < minimum { return false }
            if let maximum, value > maximum { return false }
            return true
        }
    }

    /// What it may be, apart from null.
    public var shape: Shape
    /// Whether it may be null.
    public var isNullable = false

    /// A value of this shape.
    public init(_ shape: Shape) {
        self.shape = shape
    }

    /// The same, or null.
    public var orNull: Schema {
        var copy = self
        copy.isNullable = true
        return copy
    }
}

/// A Swift type as part of a schema.
public struct SchemaType: Sendable, Hashable {
    let type: any Wire.Type

    public static func == (one: SchemaType, other: SchemaType) -> Bool { one.type == other.type }

    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(type)) }
}

/// Schemas written by hand.
extension Schema {
    /// Anything.
    public static let anything = Schema(.anything)
    /// `true` or `false`.
    public static let boolean = Schema(.boolean)
    /// Text.
    public static let string = Schema(.string(Bounds(), format: nil))
    /// A whole number.
    public static let integer = Schema(.integer(Bounds(), format: nil))
    /// A number.
    public static let number = Schema(.number(Bounds()))

    /// Text of so many characters.
    public static func string(length: ClosedRange<Int>) -> Schema {
        Schema(.string(Bounds(minimum: length.lowerBound, maximum: length.upperBound), format: nil))
    }

    /// Text in a format that JSON Schema names, as `email`. A format is told, not checked.
    public static func string(format: String) -> Schema { Schema(.string(Bounds(), format: format)) }

    /// A whole number in a range.
    public static func integer(_ range: ClosedRange<Int64>) -> Schema {
        Schema(.integer(Bounds(minimum: range.lowerBound, maximum: range.upperBound), format: nil))
    }

    /// A number in a range.
    public static func number(_ range: ClosedRange<Double>) -> Schema {
        Schema(.number(Bounds(minimum: range.lowerBound, maximum: range.upperBound)))
    }

    /// One of these; with `isOpen`, further ones may come.
    public static func choice(_ values: [JSONValue], isOpen: Bool = false) -> Schema {
        Schema(.choice(values, isOpen: isOpen))
    }

    /// This value only.
    public static func constant(_ value: JSONValue) -> Schema { Schema(.constant(value)) }

    /// A list.
    public static func array(of element: Schema) -> Schema { Schema(.array(element, Bounds())) }

    /// An object whose member names are data.
    public static func map(of value: Schema) -> Schema { Schema(.map(value, Bounds())) }

    /// An object with these members.
    public static func object(_ properties: [Property]) -> Schema { Schema(.object(properties)) }

    /// Exactly one of these. Told apart by a member that is a constant in each, where there is one.
    public static func oneOf(_ schemas: [Schema]) -> Schema { Schema(.oneOf(schemas)) }

    /// Whatever the schema of a type is.
    public static func type(_ type: any Wire.Type) -> Schema { Schema(.type(SchemaType(type: type))) }
}
