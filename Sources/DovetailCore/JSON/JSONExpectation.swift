import Foundation

/// What a type expects to read, in plain words.
enum JSONExpectation {
    /// What `type` would have taken in place of `found`; a missing value if that is nil.
    static func text(for type: Any.Type, found: JSONToken?) -> String {
        if let integer = type as? any FixedWidthInteger.Type { return range(of: integer, found: found) }
        switch ObjectIdentifier(type) {
        case ObjectIdentifier(String.self): return "a string"
        case ObjectIdentifier(Bool.self): return "true or false"
        case ObjectIdentifier(Double.self), ObjectIdentifier(Float.self), ObjectIdentifier(Decimal.self):
            return found?.kind == .number ? "a number that fits" : "a number"
        case ObjectIdentifier(Date.self): return "a date and time such as 2026-01-31T12:00:00Z"
        case ObjectIdentifier(Data.self): return "a string in base64"
        case ObjectIdentifier([UInt8].self): return "a string in base64"
        case ObjectIdentifier(UUID.self), ObjectIdentifier(UniqueID.self): return "a UUID"
        case ObjectIdentifier(URL.self): return "a URL"
        case ObjectIdentifier([Any].self): return "an array"
        case ObjectIdentifier([String: Any].self): return "an object"
        case ObjectIdentifier(Never?.self): return "null"
        default: break
        }
        guard let type = type as? any Decodable.Type else { return "a value" }
        return values(of: type) ?? probe(type)
    }

    /// The values of an enum that lists them: `one of "a", "b"`.
    static func values(of type: any Decodable.Type) -> String? {
        guard let type = type as? any (RawRepresentable & CaseIterable).Type else { return nil }
        let values = rawValues(of: type).map { value in (value as? String).map { "\"\($0)\"" } ?? "\(value)" }
        let shown = values.prefix(20).joined(separator: ", ")
        return values.isEmpty ? nil : "one of " + shown + (values.count > 20 ? ", …" : "")
    }

    private static func rawValues<T: RawRepresentable & CaseIterable>(of type: T.Type) -> [Any] {
        type.allCases.map(\.rawValue)
    }

    private static func range<I: FixedWidthInteger>(of type: I.Type, found: JSONToken?) -> String {
        let isWhole = found.map { $0.kind == .number && !$0.flags.contains(.fractional) } ?? false
        if I.isSigned, I.bitWidth >= 64, !isWhole { return "an integer" }
        return "an integer from \(I.min) to \(I.max)"
    }

    /// What a type asks its decoder for first says what it expects.
    private static func probe(_ type: any Decodable.Type) -> String {
        do {
            _ = try type.init(from: Probe())
        } catch let answer as Probe.Answer {
            return text(for: answer.type, found: nil)
        } catch {}
        return "a value"
    }

    private struct Probe: Decoder, SingleValueDecodingContainer {
        /// What was asked for.
        struct Answer: Error, @unchecked Sendable {
            // Unchecked for the metatype alone, which is only ever read.
            var type: Any.Type
        }

        var codingPath: [any CodingKey] { [] }
        var userInfo: [CodingUserInfoKey: Any] { [:] }

        func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
            throw Answer(type: [String: Any].self)
        }

        func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Answer(type: [Any].self) }
        func singleValueContainer() throws -> any SingleValueDecodingContainer { self }
        func decodeNil() -> Bool { false }
        func decode<T: Decodable>(_ type: T.Type) throws -> T { throw Answer(type: type) }
        func decode(_ type: Bool.Type) throws -> Bool { throw Answer(type: type) }
        func decode(_ type: String.Type) throws -> String { throw Answer(type: type) }
    }
}
