/// The names that a configuration file gives to nodes, upstreams, policies and authenticators.
enum ConfigurationName {
    static let rule = "a letter, then up to 63 letters, digits, '-' or '_'"
    static let pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"

    static func isValid(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) || $0 == 45 || $0 == 95 }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
}

extension ConfigurationType where Value == String {
    /// A name: of a module, a node, an upstream, a policy, an authenticator.
    static var name: ConfigurationType {
        text("a name (\(ConfigurationName.rule))", pattern: ConfigurationName.pattern, example: "name") {
            ConfigurationName.isValid($0) ? $0 : nil
        }
    }

    /// Any text but none.
    static func line(_ expected: String) -> ConfigurationType {
        text(expected, pattern: "^[^\\x00-\\x1f]+$", example: "text") { text in
            !text.isEmpty && text.unicodeScalars.allSatisfy { $0.value >= 32 } ? text : nil
        }
    }

    /// A path on a server, as in `/health`.
    static var urlPath: ConfigurationType {
        text("a path such as /health", pattern: "^/[!-~]*$", example: "/") { text in
            text.hasPrefix("/") && text.utf8.allSatisfy { (33...126).contains($0) } ? text : nil
        }
    }
}
