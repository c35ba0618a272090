/// Any JSON value as a tree, for documents that no Swift type describes.
///
/// Objects keep the order of their members, which also counts when values are compared.
public enum JSONValue: Hashable, Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A whole number that 64 bits hold; read so however it is written (`1.0`, `1e2`).
    case integer(Int64)
    /// Any other number, as the nearest double.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object: its members in order. Of members with one name, the first is found by subscript.
    case object([Member])

    /// A member of an object.
    public struct Member: Hashable, Sendable {
        /// The name.
        public var name: String
        /// The value.
        public var value: JSONValue

        /// A member.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// The member of that name; nil if there is none or this is no object.
    ///
    /// Setting replaces the member in its place or appends it, setting nil removes it; a value that is no object becomes one.
    public subscript(name: String) -> JSONValue? {
        get {
            guard case .object(let members) = self else { return nil }
            return members.first { $0.name == name }?.value
        }
        set {
            var members: [Member] = []
            if case .object(let present) = self { members = present }
            // Emptied first, so that the members are not copied for being held twice.
            self = .null
            let place = members.firstIndex { $0.name == name }
            switch (place, newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil): members.remove(at: place)
            case (nil, let value?): members.append(Member(name, value))
            case (nil, nil): break
            }
            self = .object(members)
        }
    }

    /// The element at `index`; nil if there is none or this is no array.
    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// The string; nil for any other value.
    public var string: String? {
        if case .string(let string) = self { string } else { nil }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(members.map { Member($0, $1) })
    }
}

extension JSONValue: Codable {
    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Reads any value from any decoder; ``JSON`` reads it without this detour.
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Name.self) {
            self = .object(
                try container.allKeys.map { Member($0.stringValue, try container.decode(JSONValue.self, forKey: $0)) })
        } else if var container = try? decoder.unkeyedContainer() {
            var elements: [JSONValue] = []
            while !container.isAtEnd { elements.append(try container.decode(JSONValue.self)) }
            self = .array(elements)
        } else {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let bool = try? container.decode(Bool.self) {
                self = .bool(bool)
            } else if let integer = try? container.decode(Int64.self) {
                self = .integer(integer)
            } else if let number = try? container.decode(Double.self) {
                self = JSONValue(number: number)
            } else {
                self = .string(try container.decode(String.self))
            }
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let members):
            var container = encoder.container(keyedBy: Name.self)
            for member in members { try container.encode(member.value, forKey: Name(stringValue: member.name)) }
        case .array(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(element) }
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value): try Self.encode(value, to: encoder)
        case .integer(let value): try Self.encode(value, to: encoder)
        case .number(let value): try Self.encode(value, to: encoder)
        case .string(let value): try Self.encode(value, to: encoder)
        }
    }

    /// A number as read: whole ones are integers, so that what is written reads back as the same value.
    fileprivate init(number: Double) {
        self = Int64(exactly: number).map { .integer($0) } ?? .number(number)
    }

    private static func encode(_ value: some Encodable, to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

extension JSONDocument {
    /// The value at `index` as a tree.
    func value(at index: Int) throws -> JSONValue {
        switch tokens[index].kind {
        case .null: return .null
        case .yes: return .bool(true)
        case .no: return .bool(false)
        case .string, .name, .field: return .string(text(at: index))
        case .number:
            if let integer = withText(of: index, { JSONNumber.integer(Int64.self, $0) }) { return .integer(integer) }
            return JSONValue(number: try double(at: index))
        case .array, .fields:
            var elements: [JSONValue] = []
            var element = index + 1
            while element < Int(tokens[index].next) {
                elements.append(try value(at: element))
                element = Int(tokens[element].next)
            }
            return .array(elements)
        case .object:
            return .object(try names(of: index).map { .init(text(at: $0), try value(at: $0 + 1)) })
        }
    }
}

extension JSONWriter {
    /// Writes a tree, members in order.
    func write(value: JSONValue) throws {
        switch value {
        case .null: write("null")
        case .bool(let bool): write(bool ? "true" : "false")
        case .integer(let integer): write(integer: integer)
        case .number(let number): try write(number: number)
        case .string(let string): write(string: string)
        case .array(let elements):
            try withFrame { depth in
                open(.array, at: depth)
                for element in elements {
                    try beginElement(at: depth)
                    try write(value: element)
                }
            }
        case .object(let members):
            try withFrame { depth in
                open(.object, at: depth)
                for member in members {
                    try beginMember(member.name, at: depth)
                    try write(value: member.value)
                }
            }
        }
    }
}
