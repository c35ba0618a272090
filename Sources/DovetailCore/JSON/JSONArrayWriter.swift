/// Writes the elements of an array.
struct JSONArrayWriter: UnkeyedEncodingContainer {
    let writer: JSONWriter
    let depth: Int

    var codingPath: [any CodingKey] { writer.path(to: depth) }
    var count: Int { writer.count(at: depth) }

    mutating func encodeNil() throws {
        try writer.beginElement(at: depth)
        writer.write("null")
    }

    mutating func encode<T: Encodable>(_ value: T) throws {
        try writer.beginElement(at: depth)
        try writer.encode(value)
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        JSONEncoding(writer: writer.insertedElement(at: depth), depth: 0).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        JSONEncoding(writer: writer.insertedElement(at: depth), depth: 0).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        JSONEncoding(writer: writer.insertedElement(at: depth), depth: 0)
    }
}

/// Scalars, one method for each type that `Codable` knows.
extension JSONArrayWriter {
    mutating func encode(_ value: Bool) throws {
        try writer.beginElement(at: depth)
        writer.write(value ? "true" : "false")
    }
    mutating func encode(_ value: String) throws {
        try writer.beginElement(at: depth)
        writer.write(string: value)
    }
    mutating func encode(_ value: Double) throws {
        try writer.beginElement(at: depth)
        try writer.write(number: value)
    }
    mutating func encode(_ value: Float) throws {
        try writer.beginElement(at: depth)
        try writer.write(number: value)
    }
    mutating func encode(_ value: Int) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int8) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int16) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int32) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int64) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: Int128) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt8) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt16) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt32) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt64) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
    mutating func encode(_ value: UInt128) throws {
        try writer.beginElement(at: depth)
        writer.write(integer: value)
    }
}
