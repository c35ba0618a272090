/// Writes the members of an object, in the order in which they are encoded.
struct JSONObjectWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let writer: JSONWriter
    let depth: Int

    var codingPath: [any CodingKey] { writer.path(to: depth) }

    @inline(__always)
    private func member(_ key: Key) throws { try writer.beginMember(key.stringValue, at: depth) }

    mutating func encodeNil(forKey key: Key) throws {
        try member(key)
        writer.write("null")
    }

    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        try member(key)
        try writer.encode(value)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        JSONEncoding(writer: writer.insertedMember(key.stringValue, at: depth), depth: 0).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        JSONEncoding(writer: writer.insertedMember(key.stringValue, at: depth), depth: 0).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        JSONEncoding(writer: writer.insertedMember("super", at: depth), depth: 0)
    }

    mutating func superEncoder(forKey key: Key) -> any Encoder {
        JSONEncoding(writer: writer.insertedMember(key.stringValue, at: depth), depth: 0)
    }
}

/// Scalars, one method for each type that `Codable` knows.
extension JSONObjectWriter {
    mutating func encode(_ value: Bool, forKey key: Key) throws {
        try member(key)
        writer.write(value ? "true" : "false")
    }
    mutating func encode(_ value: String, forKey key: Key) throws {
        try member(key)
        writer.write(string: value)
    }
    mutating func encode(_ value: Double, forKey key: Key) throws {
        try member(key)
        try writer.write(number: value)
    }
    mutating func encode(_ value: Float, forKey key: Key) throws {
        try member(key)
        try writer.write(number: value)
    }
    mutating func encode(_ value: Int, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int8, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int16, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int32, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int64, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int128, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt8, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt16, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt32, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt64, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt128, forKey key: Key) throws {
        try member(key)
        writer.write(integer: value)
    }
}
