/// What is wrong with a gateway's configuration, in a sentence that names the place.
public struct GatewayConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The sentence.
    public let description: String

    /// An error that says `description`.
    public init(_ description: String) {
        self.description = description
    }
}
