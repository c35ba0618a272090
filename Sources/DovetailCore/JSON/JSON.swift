/// Dovetail's JSON codec: `Codable` in one pass over bytes, with errors that say where and what was expected.
///
/// Dates are RFC 3339 text in UTC, `Data` and `[UInt8]` base64, `UUID` and `URL` text, `Decimal` a number. Object members
/// keep the order in which the value encodes them. RFC 8259 is taken strictly, within RFC 7493's advice: text is UTF-8,
/// lone surrogates and numbers that do not fit are errors, nesting ends at 512 levels; of members that share a name
/// the last one wins.
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
    /// Throws ``JSONError`` for a number or date that JSON cannot say, and what the value's own `encode(to:)` throws.
    public static func encode<T: Encodable>(_ value: T) throws -> [UInt8] { try encode(value, personal: .sealed) }

    /// A value as JSON text, with personal data in this form.
    package static func encode<T: Encodable>(_ value: T, personal form: PersonalForm) throws -> [UInt8] {
        let writer = JSONWriter(personalForm: form)
        do {
            var encoder = JSONEncoding(writer: writer, depth: 0)
            try encoder.encode(value)
            return try writer.finish()
        } catch EncodingError.invalidValue(_, let context) {
            if let error = context.underlyingError as? JSONError { throw error }
            throw JSONError(
                pointer: JSONPointer.of(context.codingPath), expected: "a value that JSON can say",
                found: JSONExcerpt.of(context.debugDescription))
        }
    }

    /// The value that JSON text says, with `fields` overlaid on the top-level object.
    ///
    /// A field takes the place of a member of its name; with fields, empty `bytes` stand for an empty object. Throws
    /// ``JSONError`` with a pointer to the first place that does not fit and what was expected there. A ``Problem``, or another
    /// ``ClassifiedFailure``, that a type's own `init(from:)` throws passes through.
    public static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8], fields: [Field] = []) throws -> T {
        try decode(type, from: bytes, fields: fields, personal: .sealed)
    }

    /// The value that JSON text says, with personal data in this form.
    package static func decode<T: Decodable>(
        _ type: T.Type, from bytes: [UInt8], fields: [Field] = [], personal form: PersonalForm
    ) throws -> T {
        let document = try JSONDocument(bytes, fields: fields, personalForm: form)
        do { return try document.decode(type, at: 0) } catch { throw document.told(error) }
    }

    /// The members of a top-level object, in order, each with the range of its value in `bytes`.
    ///
    /// Checks the whole document; of members that share a name only the last is listed. Throws ``JSONError`` if `bytes`
    /// are not a JSON object.
    public static func members(of bytes: [UInt8]) throws -> [(name: String, value: Range<Int>)] {
        let document = try JSONDocument(bytes)
        guard document.tokens[0].kind == .object else {
            throw document.told(document.misfit([String: Any].self, at: 0))
        }
        return document.names(of: 0).map { (document.text(at: $0), document.range(of: $0 + 1)) }
    }

    /// The elements of a top-level array, in order, each as the range of its value in `bytes`.
    ///
    /// Checks the whole document. Throws ``JSONError`` if `bytes` are not a JSON array.
    public static func elements(of bytes: [UInt8]) throws -> [Range<Int>] {
        let document = try JSONDocument(bytes)
        guard document.tokens[0].kind == .array else { throw document.told(document.misfit([Any].self, at: 0)) }
        var ranges: [Range<Int>] = []
        var index = 1
        while index < Int(document.tokens[0].next) {
            ranges.append(document.range(of: index))
            index = Int(document.tokens[index].next)
        }
        return ranges
    }

    /// Whether `bytes` are one whole JSON value.
    public static func isDocument(_ bytes: [UInt8]) -> Bool { (try? JSONDocument(bytes)) != nil }
}
