/// The decoder that a type is tried out with: notes what is asked for, and answers with placeholders.
struct ProbeDecoder: Decoder {
    let record: Record

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        record.open(type)
        return KeyedDecodingContainer(Members<Key>(record: record))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        throw record.probe.beyond(nil, "it reads a list element by element")
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { Single(record: record) }

    private struct Single: SingleValueDecodingContainer {
        let record: Record
        var codingPath: [any CodingKey] { [] }

        func decodeNil() -> Bool { record.isNull(nil) }
        func decode<T: Decodable>(_ type: T.Type) throws -> T { try record.read(type, nil) }
        func decode(_ type: Bool.Type) throws -> Bool { try record.read(type, nil) }
        func decode(_ type: String.Type) throws -> String { try record.read(type, nil) }
    }

    private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let record: Record
        var codingPath: [any CodingKey] { [] }

        var allKeys: [Key] {
            _ = record.probe.beyond(nil, "it looks at which members there are")
            return []
        }

        func contains(_ key: Key) -> Bool { record.contains(key.stringValue) }
        func decodeNil(forKey key: Key) -> Bool { record.isNull(key.stringValue) }
        func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
            try record.read(type, key.stringValue)
        }
        func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try record.read(type, key.stringValue) }
        func decode(_ type: String.Type, forKey key: Key) throws -> String { try record.read(type, key.stringValue) }

        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedDecodingContainer<Nested> {
            let members = record.members(key.stringValue)
            members.open(type)
            return KeyedDecodingContainer<Nested>(Members<Nested>(record: members))
        }

        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
            throw record.probe.beyond(key.stringValue, "it is read as a list, element by element")
        }

        func superDecoder() throws -> any Decoder {
            throw record.probe.beyond(nil, "what it inherits is decoded apart from the rest")
        }

        func superDecoder(forKey key: Key) throws -> any Decoder {
            throw record.probe.beyond(key.stringValue, "it is decoded by a decoder of its own")
        }
    }
}
