/// The encoder of one value: a writer and the frame that the value fills.
struct JSONEncoding: Encoder, SingleValueEncodingContainer {
    let writer: JSONWriter
    let depth: Int

    var codingPath: [any CodingKey] { writer.path(to: depth) }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        writer.open(.object, at: depth)
        return KeyedEncodingContainer(JSONObjectWriter<Key>(writer: writer, depth: depth))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        writer.open(.array, at: depth)
        return JSONArrayWriter(writer: writer, depth: depth)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    mutating func encodeNil() throws {
        try writer.beginScalar(at: depth)
        writer.write("null")
    }

    mutating func encode<T: Encodable>(_ value: T) throws {
        if try !writer.encodeNative(value, at: depth) { try value.encode(to: self) }
    }

    mutating func encode(_ value: Bool) throws {
        try writer.beginScalar(at: depth)
        writer.write(value ? "true" : "false")
    }
    mutating func encode(_ value: String) throws {
        try writer.beginScalar(at: depth)
        writer.write(string: value)
    }
    mutating func encode(_ value: Double) throws {
        try writer.beginScalar(at: depth)
        try writer.write(number: value)
    }
    mutating func encode(_ value: Float) throws {
        try writer.beginScalar(at: depth)
        try writer.write(number: value)
    }
    mutating func encode(_ value: Int) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int8) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int16) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int32) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int64) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int128) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt8) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt16) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt32) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt64) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt128) throws {
        try writer.beginScalar(at: depth)
        writer.write(integer: value)
    }
}
