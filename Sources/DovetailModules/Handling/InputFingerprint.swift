import DovetailCore

/// An input in short, to tell whether a later one under the same idempotency key is the same.
///
/// It is the same for what is the same in meaning: however members and elements are ordered (sets and dictionaries are written in any order), whether a
/// number came as one or as text of a path, and whether what is missing was left out or is null.
enum InputFingerprint {
    /// The fingerprint of a body with the fields of path and query; nil if it is no JSON.
    static func of(_ body: [UInt8], _ fields: [JSON.Field]) -> String? {
        guard let value = try? JSON.decode(JSONValue.self, from: body, fields: fields) else { return nil }
        return String(digest(value), radix: 16)
    }

    /// An input as JSON whose members stand in the order of their names: the same in every process, as a dictionary's is not.
    static func canonical(_ input: some Encodable) throws -> String {
        let value = try JSON.decode(JSONValue.self, from: JSON.encode(input, personal: .plain))
        return String(decoding: try JSON.encode(sorted(value)), as: UTF8.self)
    }

    private static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let elements): .array(elements.map(sorted))
        case .object(let members):
            .object(members.map { .init($0.name, sorted($0.value)) }.sorted { $0.name < $1.name })
        default: value
        }
    }

    private static func digest(_ value: JSONValue) -> UInt64 {
        switch value {
        case .null: 0
        case .bool(let bool): digest("\(bool)")
        case .integer(let integer): digest("\(integer)")
        case .number(let number): digest("\(number)")
        case .string(let string): digest(string)
        case .array(let elements): elements.reduce(1) { $0 &+ mixed(digest($1)) }
        case .object(let members):
            members.reduce(2) { sum, member in
                member.value == .null ? sum : sum &+ mixed(digest(member.name) &* 31 &+ digest(member.value))
            }
        }
    }

    private static func digest(_ text: String) -> UInt64 {
        SHA256.hash(Array(text.utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Spreads a digest over all bits, so that sums of them differ.
    private static func mixed(_ digest: UInt64) -> UInt64 {
        var generator = SeededGenerator(seed: digest)
        return generator.next()
    }
}
