/// The elements of an array, or the several values of a field.
struct JSONArrayReader: UnkeyedDecodingContainer {
    // Narrow, so that the whole fits an existential without an allocation.
    private let document: JSONDocument
    private let index: UInt32
    private var next: UInt32
    private let end: UInt32
    private var ordinal: UInt32 = 0

    /// The elements of the value at `index`; a single field is its own only element.
    init(_ document: JSONDocument, at index: Int) {
        self.document = document
        self.index = UInt32(index)
        end = document.tokens[index].next
        next = document.tokens[index].kind == .field ? self.index : self.index + 1
    }

    var codingPath: [any CodingKey] { document.path(of: Int(index)) }
    var isAtEnd: Bool { next == end }
    var currentIndex: Int { Int(ordinal) }
    var count: Int? {
        switch document.tokens[Int(index)].kind {
        case .array: Int(document.tokens[Int(index)].mark)
        case .field: 1
        default: Int(end - index) - 1
        }
    }

    /// Reads the next element with `read`; it counts as read only if that succeeds.
    @inline(__always)
    private mutating func element<T>(_ type: Any.Type, _ read: (Int) throws -> T) throws -> T {
        guard next != end else { throw document.missing(Int(ordinal), type, in: Int(index)) }
        let value = try read(Int(next))
        next = document.tokens[Int(next)].next
        ordinal += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard next != end else { throw document.missing(Int(ordinal), Never?.self, in: Int(index)) }
        guard document.isNull(at: Int(next)) else { return false }
        return try element(Never?.self) { _ in true }
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let document = document
        return try element(type) { try document.decode(type, at: $0) }
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        let document = document
        return try element([String: Any].self) { try document.object(keyedBy: type, at: $0) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let document = document
        return try element([Any].self) { try document.array(at: $0) }
    }

    mutating func superDecoder() throws -> any Decoder {
        let document = document
        return try element([String: Any].self) { JSONReader(document: document, index: $0) }
    }
}

/// Scalars, one method for each type that `Codable` knows.
extension JSONArrayReader {
    mutating func decode(_ type: Bool.Type) throws -> Bool {
        let document = document
        return try element(type, document.bool)
    }
    mutating func decode(_ type: String.Type) throws -> String {
        let document = document
        return try element(type, document.string)
    }
    mutating func decode(_ type: Double.Type) throws -> Double {
        let document = document
        return try element(type, document.double)
    }
    mutating func decode(_ type: Float.Type) throws -> Float {
        let document = document
        return try element(type, document.float)
    }
    mutating func decode(_ type: Int.Type) throws -> Int {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: Int8.Type) throws -> Int8 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: Int16.Type) throws -> Int16 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: Int32.Type) throws -> Int32 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: Int64.Type) throws -> Int64 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: Int128.Type) throws -> Int128 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: UInt.Type) throws -> UInt {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
    mutating func decode(_ type: UInt128.Type) throws -> UInt128 {
        let document = document
        return try element(type) { try document.integer(type, at: $0) }
    }
}
