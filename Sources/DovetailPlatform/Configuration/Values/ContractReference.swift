/// A contract and its major version, written `orders@1`.
public struct ContractReference: Sendable, Hashable, CustomStringConvertible {
    /// The contract's name.
    public let name: String
    /// The major version.
    public let major: Int

    /// A contract's major version.
    public init(name: String, major: Int) {
        self.name = name
        self.major = major
    }

    /// Reads `orders@1`.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, ConfigurationName.isValid(String(parts[0])), let major = Int(parts[1]), major >= 0,
            String(major) == parts[1]
        else { return nil }
        self.init(name: String(parts[0]), major: major)
    }

    public var description: String { "\(name)@\(major)" }
}

extension ConfigurationType where Value == ContractReference {
    /// A contract and its major version.
    static var contract: ConfigurationType {
        text(
            "a contract and its major version such as orders@1",
            pattern: "^[A-Za-z][A-Za-z0-9_-]{0,63}@(0|[1-9][0-9]*)$",
            example: ContractReference(name: "name", major: 1),
            parse: ContractReference.init)
    }
}
