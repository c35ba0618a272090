/// An event's name and version: its identity on the wire and in the log.
public struct EventIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The topic.
    public var name: String
    /// The payload's version.
    public var version: Int

    /// The identity of an event.
    public init(_ name: String, _ version: Int) {
        self.name = name
        self.version = version
    }

    public var description: String { "\(name) v\(version)" }
}
