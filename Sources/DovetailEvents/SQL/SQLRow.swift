import DovetailCore
import Foundation

/// One row of a result, while it is current.
public struct SQLRow: ~Copyable {
    /// The columns' names.
    package let columns: SQLColumns
    /// The columns' values.
    package let values: [SQLValue]

    package init(columns: SQLColumns, values: [SQLValue]) {
        self.columns = columns
        self.values = values
    }

    /// The row as a value; see ``Snapshot/rows(_:_:)``.
    public borrowing func decode<Row: Decodable>(_ type: Row.Type) throws -> Row {
        try SQLRowDecoder(columns: columns, values: values).decode(Row.self)
    }

    /// A column's value; NULL if there is no such column.
    package subscript(_ index: Int) -> SQLValue {
        values.indices.contains(index) ? values[index] : .null
    }
}

/// The names of a result's columns, folded so that `user_id` and `userID` meet.
package final class SQLColumns: Sendable {
    package let names: [String]
    private let indices: [String: Int]

    package init(_ names: [String]) {
        self.names = names
        var indices: [String: Int] = [:]
        for (index, name) in names.enumerated().reversed() { indices[SQLColumns.folded(name)] = index }
        self.indices = indices
    }

    func index(of key: String) -> Int? {
        indices[SQLColumns.folded(key)]
    }

    private static func folded(_ name: String) -> String {
        name.lowercased().filter { $0 != "_" }
    }
}

/// Decodes a row: a keyed container over its columns; nested values are JSON text.
struct SQLRowDecoder: Decoder {
    let columns: SQLColumns
    let values: [SQLValue]
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func decode<Row: Decodable>(_ type: Row.Type) throws -> Row {
        if let scalar = try SQLScalar.decode(Row.self, values.first ?? .null, path: []) { return scalar }
        return try Row(from: self)
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(SQLRowContainer(row: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        throw DecodingError.typeMismatch(
            [Any].self, .init(codingPath: [], debugDescription: "a row is a struct or a single value, not an array"))
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        SQLValueContainer(value: values.first ?? .null, codingPath: [])
    }
}

private struct SQLRowContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let row: SQLRowDecoder
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { row.columns.names.compactMap { Key(stringValue: $0) } }

    private func value(_ key: Key) throws -> SQLValue {
        guard let index = row.columns.index(of: key.stringValue) else {
            throw DecodingError.keyNotFound(
                key,
                .init(
                    codingPath: [],
                    debugDescription:
                        "no column '\(key.stringValue)' among \(row.columns.names.joined(separator: ", "))"))
        }
        return row.values[index]
    }

    func contains(_ key: Key) -> Bool { row.columns.index(of: key.stringValue) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try value(key) == .null }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        let value = try value(key)
        if let scalar = try SQLScalar.decode(T.self, value, path: [key]) { return scalar }
        return try SQLValueContainer(value: value, codingPath: [key]).decode(T.self)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        throw DecodingError.dataCorruptedError(
            forKey: key, in: self, debugDescription: "a column has no nested containers")
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        throw DecodingError.dataCorruptedError(
            forKey: key, in: self, debugDescription: "a column has no nested containers")
    }

    func superDecoder() throws -> any Decoder { row }
    func superDecoder(forKey key: Key) throws -> any Decoder {
        SQLValueDecoder(value: try value(key), codingPath: [key])
    }
}

private struct SQLValueDecoder: Decoder {
    let value: SQLValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        throw mismatch("an object")
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw mismatch("an array") }
    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        SQLValueContainer(value: value, codingPath: codingPath)
    }

    private func mismatch(_ expected: String) -> DecodingError {
        .dataCorrupted(.init(codingPath: codingPath, debugDescription: "\(expected) is stored as JSON text"))
    }
}

private struct SQLValueContainer: SingleValueDecodingContainer {
    let value: SQLValue
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { value == .null }

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        if let scalar = try SQLScalar.decode(T.self, value, path: codingPath) { return scalar }
        // A type that is no scalar is either made of one (an enum with a raw value) or stored as JSON text.
        do {
            return try T(from: SQLValueDecoder(value: value, codingPath: codingPath))
        } catch let mismatch as DecodingError {
            guard case .text(let text) = value else { throw mismatch }
            return try JSON.decode(T.self, from: Array(text.utf8))
        }
    }
}

/// The types that a column holds as they are.
private enum SQLScalar {
    /// The value as `T` if that is a scalar; nil if it is not.
    static func decode<T: Decodable>(_ type: T.Type, _ value: SQLValue, path: [any CodingKey]) throws -> T? {
        switch (type, value) {
        case (is String.Type, .text(let text)): return text as? T
        case (is Int64.Type, .integer(let number)): return number as? T
        case (is Double.Type, .real(let number)): return number as? T
        case (is Double.Type, .integer(let number)): return Double(number) as? T
        case (is Float.Type, .real(let number)): return Float(number) as? T
        case (is Bool.Type, .integer(let number)): return (number != 0) as? T
        case (is [UInt8].Type, .blob(let bytes)): return bytes as? T
        case (is Data.Type, .blob(let bytes)): return Data(bytes) as? T
        case (is Date.Type, .integer(let micros)):
            return Date(timeIntervalSince1970: Double(micros) / 1e6) as? T
        case (let integer as any FixedWidthInteger.Type, .integer(let number)):
            guard let exact = exactly(integer, number) as? T else {
                throw mismatch(type, value, path)
            }
            return exact
        case (is String.Type, _), (is any FixedWidthInteger.Type, _), (is Double.Type, _), (is Float.Type, _),
            (is Bool.Type, _), (is Data.Type, _):
            throw mismatch(type, value, path)
        default: return nil
        }
    }

    private static func exactly<I: FixedWidthInteger>(_ type: I.Type, _ number: Int64) -> I? { I(exactly: number) }

    private static func mismatch<T>(_ type: T.Type, _ value: SQLValue, _ path: [any CodingKey]) -> DecodingError {
        let context = DecodingError.Context(
            codingPath: path, debugDescription: "expected \(type) in the column, found \(value)")
        return value == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }
}
