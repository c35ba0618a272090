import Foundation

/// The decoder of one value: a document and a place in it.
struct JSONReader: Decoder, SingleValueDecodingContainer {
    let document: JSONDocument
    let index: Int

    var codingPath: [any CodingKey] { document.path(of: index) }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try document.object(keyedBy: type, at: index)
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try document.array(at: index) }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { document.isNull(at: index) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try document.decode(type, at: index) }
    func decode(_ type: Bool.Type) throws -> Bool { try document.bool(at: index) }
    func decode(_ type: String.Type) throws -> String { try document.string(at: index) }
    func decode(_ type: Double.Type) throws -> Double { try document.double(at: index) }
    func decode(_ type: Float.Type) throws -> Float { try document.float(at: index) }
    func decode(_ type: Int.Type) throws -> Int { try document.integer(type, at: index) }
    func decode(_ type: Int8.Type) throws -> Int8 { try document.integer(type, at: index) }
    func decode(_ type: Int16.Type) throws -> Int16 { try document.integer(type, at: index) }
    func decode(_ type: Int32.Type) throws -> Int32 { try document.integer(type, at: index) }
    func decode(_ type: Int64.Type) throws -> Int64 { try document.integer(type, at: index) }
    func decode(_ type: Int128.Type) throws -> Int128 { try document.integer(type, at: index) }
    func decode(_ type: UInt.Type) throws -> UInt { try document.integer(type, at: index) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try document.integer(type, at: index) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try document.integer(type, at: index) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try document.integer(type, at: index) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try document.integer(type, at: index) }
    func decode(_ type: UInt128.Type) throws -> UInt128 { try document.integer(type, at: index) }
}

extension JSONDocument {
    func object<Key: CodingKey>(keyedBy type: Key.Type, at index: Int) throws -> KeyedDecodingContainer<Key> {
        guard tokens[index].kind == .object else { throw misfit([String: Any].self, at: index) }
        return KeyedDecodingContainer(JSONObjectReader<Key>(document: self, index: index))
    }

    func array(at index: Int) throws -> any UnkeyedDecodingContainer {
        switch tokens[index].kind {
        case .array, .field, .fields: return JSONArrayReader(self, at: index)
        default: throw misfit([Any].self, at: index)
        }
    }

    /// The value at `index` by `type`'s own initializer, or by ours where JSON has a form of its own for the type.
    func decode<T: Decodable>(_ type: T.Type, at index: Int) throws -> T {
        switch ObjectIdentifier(type) {
        case JSONNative.date: return unsafeBitCast(try date(at: index), to: type)
        case JSONNative.uniqueID: return unsafeBitCast(try uniqueID(at: index), to: type)
        case JSONNative.uuid: return unsafeBitCast(try uuid(at: index), to: type)
        case JSONNative.value: return unsafeBitCast(try value(at: index), to: type)
        case JSONNative.data: return unsafeBitCast(try data(at: index), to: type)
        case JSONNative.url: return unsafeBitCast(try url(at: index), to: type)
        case JSONNative.decimal: return unsafeBitCast(try decimal(at: index), to: type)
        case JSONNative.bytes where tokens[index].kind == .string:
            return unsafeBitCast([UInt8](try data(at: index)), to: type)
        default: break
        }
        do {
            return try T(from: JSONReader(document: self, index: index))
        } catch {
            throw noted(error, type, at: index)
        }
    }
}

/// The types that JSON writes in another form than their own `Codable` does.
///
/// Compared by identity, after which a bit cast between a type and itself is exact and, unlike `as?`, free.
enum JSONNative {
    static func contains(_ type: Any.Type) -> Bool {
        switch ObjectIdentifier(type) {
        case date, data, bytes, uuid, uniqueID, url, decimal, value: true
        default: false
        }
    }

    @inline(__always) static var date: ObjectIdentifier { ObjectIdentifier(Date.self) }
    @inline(__always) static var data: ObjectIdentifier { ObjectIdentifier(Data.self) }
    @inline(__always) static var bytes: ObjectIdentifier { ObjectIdentifier([UInt8].self) }
    @inline(__always) static var uuid: ObjectIdentifier { ObjectIdentifier(UUID.self) }
    @inline(__always) static var uniqueID: ObjectIdentifier { ObjectIdentifier(UniqueID.self) }
    @inline(__always) static var url: ObjectIdentifier { ObjectIdentifier(URL.self) }
    @inline(__always) static var decimal: ObjectIdentifier { ObjectIdentifier(Decimal.self) }
    @inline(__always) static var value: ObjectIdentifier { ObjectIdentifier(JSONValue.self) }
}
