/// Hands out constants: what `Codable` costs when nothing is parsed. Arrays have three elements.
struct ConstantDecoder: Decoder, SingleValueDecodingContainer {
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }
    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(ConstantObject<Key>())
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { ConstantArray() }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }
    func decodeNil() -> Bool { false }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try T(from: self) }
    func decode(_ type: Bool.Type) throws -> Bool { true }
    func decode(_ type: String.Type) throws -> String { "text" }
    func decode(_ type: Double.Type) throws -> Double { 1 }
    func decode(_ type: Float.Type) throws -> Float { 1 }
    func decode(_ type: Int.Type) throws -> Int { 1 }
    func decode(_ type: Int8.Type) throws -> Int8 { 1 }
    func decode(_ type: Int16.Type) throws -> Int16 { 1 }
    func decode(_ type: Int32.Type) throws -> Int32 { 1 }
    func decode(_ type: Int64.Type) throws -> Int64 { 1 }
    func decode(_ type: UInt.Type) throws -> UInt { 1 }
    func decode(_ type: UInt8.Type) throws -> UInt8 { 1 }
    func decode(_ type: UInt16.Type) throws -> UInt16 { 1 }
    func decode(_ type: UInt32.Type) throws -> UInt32 { 1 }
    func decode(_ type: UInt64.Type) throws -> UInt64 { 1 }
}

struct ConstantObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { [] }
    func contains(_ key: Key) -> Bool { true }
    func decodeNil(forKey key: Key) throws -> Bool { false }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try T(from: ConstantDecoder()) }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? { nil }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { KeyedDecodingContainer(ConstantObject<Nested>()) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { ConstantArray() }
    func superDecoder() throws -> any Decoder { ConstantDecoder() }
    func superDecoder(forKey key: Key) throws -> any Decoder { ConstantDecoder() }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { true }
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { nil }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { "text" }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { nil }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { 1 }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { nil }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { 1 }
    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { nil }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { 1 }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { nil }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { 1 }
    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { nil }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { 1 }
    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { nil }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { 1 }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { nil }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { 1 }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { nil }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { 1 }
    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { nil }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { 1 }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { nil }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { 1 }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { nil }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { 1 }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { nil }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { 1 }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { nil }
}

struct ConstantArray: UnkeyedDecodingContainer {
    var currentIndex = 0
    var codingPath: [any CodingKey] { [] }
    var count: Int? { 3 }
    var isAtEnd: Bool { currentIndex == 3 }
    mutating func decodeNil() throws -> Bool { false }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        currentIndex += 1
        return try T(from: ConstantDecoder())
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested>
    { KeyedDecodingContainer(ConstantObject<Nested>()) }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { ConstantArray() }
    mutating func superDecoder() throws -> any Decoder { ConstantDecoder() }
    mutating func decode(_ type: Bool.Type) throws -> Bool {
        currentIndex += 1
        return true
    }
    mutating func decode(_ type: String.Type) throws -> String {
        currentIndex += 1
        return "text"
    }
    mutating func decode(_ type: Double.Type) throws -> Double {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: Float.Type) throws -> Float {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: Int.Type) throws -> Int {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: Int8.Type) throws -> Int8 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: Int16.Type) throws -> Int16 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: Int32.Type) throws -> Int32 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: Int64.Type) throws -> Int64 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: UInt.Type) throws -> UInt {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 {
        currentIndex += 1
        return 1
    }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 {
        currentIndex += 1
        return 1
    }
}

/// Throws everything away: what `Codable` costs when nothing is written.
struct DiscardingEncoder: Encoder, SingleValueEncodingContainer {
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }
    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(DiscardingObject<Key>())
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer { DiscardingArray() }
    func singleValueContainer() -> any SingleValueEncodingContainer { self }
    mutating func encodeNil() throws {}
    mutating func encode<T: Encodable>(_ value: T) throws { try value.encode(to: self) }
    mutating func encode(_ value: Bool) throws {}
    mutating func encode(_ value: String) throws {}
    mutating func encode(_ value: Double) throws {}
    mutating func encode(_ value: Float) throws {}
    mutating func encode(_ value: Int) throws {}
    mutating func encode(_ value: Int8) throws {}
    mutating func encode(_ value: Int16) throws {}
    mutating func encode(_ value: Int32) throws {}
    mutating func encode(_ value: Int64) throws {}
    mutating func encode(_ value: UInt) throws {}
    mutating func encode(_ value: UInt8) throws {}
    mutating func encode(_ value: UInt16) throws {}
    mutating func encode(_ value: UInt32) throws {}
    mutating func encode(_ value: UInt64) throws {}
}

struct DiscardingObject<Key: CodingKey>: KeyedEncodingContainerProtocol {
    var codingPath: [any CodingKey] { [] }
    mutating func encodeNil(forKey key: Key) throws {}
    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try value.encode(to: DiscardingEncoder()) }
    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { KeyedEncodingContainer(DiscardingObject<Nested>()) }
    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { DiscardingArray() }
    mutating func superEncoder() -> any Encoder { DiscardingEncoder() }
    mutating func superEncoder(forKey key: Key) -> any Encoder { DiscardingEncoder() }
    mutating func encode(_ value: Bool, forKey key: Key) throws {}
    mutating func encode(_ value: String, forKey key: Key) throws {}
    mutating func encode(_ value: Double, forKey key: Key) throws {}
    mutating func encode(_ value: Float, forKey key: Key) throws {}
    mutating func encode(_ value: Int, forKey key: Key) throws {}
    mutating func encode(_ value: Int8, forKey key: Key) throws {}
    mutating func encode(_ value: Int16, forKey key: Key) throws {}
    mutating func encode(_ value: Int32, forKey key: Key) throws {}
    mutating func encode(_ value: Int64, forKey key: Key) throws {}
    mutating func encode(_ value: UInt, forKey key: Key) throws {}
    mutating func encode(_ value: UInt8, forKey key: Key) throws {}
    mutating func encode(_ value: UInt16, forKey key: Key) throws {}
    mutating func encode(_ value: UInt32, forKey key: Key) throws {}
    mutating func encode(_ value: UInt64, forKey key: Key) throws {}
}

struct DiscardingArray: UnkeyedEncodingContainer {
    var codingPath: [any CodingKey] { [] }
    var count: Int { 0 }
    mutating func encodeNil() throws {}
    mutating func encode<T: Encodable>(_ value: T) throws { try value.encode(to: DiscardingEncoder()) }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        KeyedEncodingContainer(DiscardingObject<Nested>())
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { DiscardingArray() }
    mutating func superEncoder() -> any Encoder { DiscardingEncoder() }
    mutating func encode(_ value: Bool) throws {}
    mutating func encode(_ value: String) throws {}
    mutating func encode(_ value: Double) throws {}
    mutating func encode(_ value: Float) throws {}
    mutating func encode(_ value: Int) throws {}
    mutating func encode(_ value: Int8) throws {}
    mutating func encode(_ value: Int16) throws {}
    mutating func encode(_ value: Int32) throws {}
    mutating func encode(_ value: Int64) throws {}
    mutating func encode(_ value: UInt) throws {}
    mutating func encode(_ value: UInt8) throws {}
    mutating func encode(_ value: UInt16) throws {}
    mutating func encode(_ value: UInt32) throws {}
    mutating func encode(_ value: UInt64) throws {}
}
