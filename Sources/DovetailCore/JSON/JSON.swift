import Foundation

/// Dovetail's JSON codec: `Codable` in one pass over bytes, with errors that say where and what was expected.
///
/// Dates are RFC 3339 text in UTC, `Data` and `[UInt8]`-backed types base64, `UUID` and `URL` text. Object members keep the order in which
/// the value encodes them. Numbers that do not fit, non-finite numbers, lone surrogates, duplicate members
/// (the last one wins) and nesting beyond 512 levels are dealt with as RFC 8259 and RFC 7493 advise.
public enum JSON {
    /// A member from outside the document that fills a field of the top-level object: a path or query parameter.
    ///
    /// Its value is text; it decodes as string, number or boolean, as the field asks, and several of one name as an array.
    public struct Field: Sendable, Hashable {
        /// The field's name.
        public var name: String
        /// Its value, percent-decoded.
        public var value: String
        /// Where it came from, for errors: `path` or `query`.
        public var origin: String

        /// A field from `origin`.
        public init(name: String, value: String, origin: String) {
            self.name = name
            self.value = value
            self.origin = origin
        }
    }

    /// A value as JSON text in UTF-8.
    ///
    /// Throws ``JSONError`` for a number that JSON cannot say.
    public static func encode<T: Encodable>(_ value: T) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return [UInt8](try encoder.encode(value))
    }

    /// The value that JSON text says, with `fields` overlaid on the top-level object.
    ///
    /// With `fields`, empty `bytes` stand for an empty object. Throws ``JSONError`` with a pointer to the first place
    /// that does not fit and what was expected there.
    public static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8], fields: [Field] = []) throws -> T {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(type, from: Data(bytes))
    }

    /// The members of a top-level object, in order, each with the range of its value in `bytes`.
    ///
    /// Throws ``JSONError`` if `bytes` are not a JSON object.
    public static func members(of bytes: [UInt8]) throws -> [(name: String, value: Range<Int>)] {
        []
    }
}

/// Why JSON could not be read or written: where, what was expected, what was found.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// An RFC 6901 JSON pointer to the place; `""` is the whole document. `path:name` and `query:name` for fields.
    public var pointer: String
    /// What would have been right there, as in `a string`, `an integer from -128 to 127`, `one of "a", "b"`.
    public var expected: String
    /// What was there, as in `null`, `"abc"` (cut short), `nothing`.
    public var found: String
    /// The byte at which it was found, where that is known.
    public var offset: Int?

    /// An error at `pointer`.
    public init(pointer: String, expected: String, found: String, offset: Int? = nil) {
        self.pointer = pointer
        self.expected = expected
        self.found = found
        self.offset = offset
    }

    public var description: String {
        "at \(pointer.isEmpty ? "the top" : "'\(pointer)'"): expected \(expected), found \(found)"
    }
}
