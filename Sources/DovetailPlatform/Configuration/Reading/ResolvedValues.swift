/// A value of a configuration file as it holds: what was written, or the default of what was not.
///
/// Two are the same where they mean the same: `1s` and `1000ms`.
struct ResolvedValue: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// As it was written; nothing of a secret, nor of what came from the environment.
    let description: String
    private let meaning: String

    init(_ scalar: ConfigurationNode.Scalar, meaning: String, isSecret: Bool) {
        if !scalar.variables.isEmpty {
            description = scalar.variables.map { "${\($0)}" }.joined(separator: " ")
        } else {
            description = isSecret ? "(secret)" : scalar.text
        }
        self.meaning = isSecret ? scalar.text : meaning
    }

    /// A list or a mapping that is written and empty.
    static let empty = ResolvedValue(description: "none", meaning: "")

    private init(description: String, meaning: String) {
        self.description = description
        self.meaning = meaning
    }

    static func == (one: ResolvedValue, other: ResolvedValue) -> Bool { one.meaning == other.meaning }

    func hash(into hasher: inout Hasher) { hasher.combine(meaning) }

    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Collects what the values of a file are while it is read. Used by one thread.
final class ValueCollector {
    private(set) var values: [ConfigurationPath: ResolvedValue] = [:]

    func note(_ value: ResolvedValue, at path: ConfigurationPath) { values[path] = value }

    func note(_ other: ValueCollector) { values.merge(other.values) { $1 } }
}
