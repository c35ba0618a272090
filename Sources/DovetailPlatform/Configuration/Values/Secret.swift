/// A value that must not be seen: it describes itself as `(secret)`, also inside of what holds it.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The value itself. Pass it on to what needs it and to nothing that writes.
    public let revealed: String

    /// A secret.
    public init(_ revealed: String) {
        self.revealed = revealed
    }

    public var description: String { "(secret)" }
    public var debugDescription: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension ConfigurationType where Value == Secret {
    /// A secret of so many visible ASCII characters at least (it may travel in a header), usually written as `${NAME}`.
    static func secret(minimumBytes: Int) -> ConfigurationType {
        text(
            "a secret of at least \(minimumBytes) visible ASCII characters, best written as ${NAME}",
            pattern: "^[!-~]+$",
            example: Secret(""), isSecret: true
        ) { text in
            text.utf8.count >= minimumBytes && text.utf8.allSatisfy { (33...126).contains($0) } ? Secret(text) : nil
        }
    }
}
