import DovetailCore

/// What is left of an event that was truncated with its stream: enough to know that what it stands for was done.
public struct TruncatedEvent: Sendable, Hashable {
    /// Its id.
    public var id: UniqueID
    /// Where it stood.
    public var position: LogPosition
    /// Its version in the stream.
    public var version: Int64
    /// What the command was asked with that it came of, in short; nil if that was not held against later ones.
    public var input: String?

    /// The header under which an event notes what its command was asked with.
    package static let inputHeader = "dovetail-input"

    package init(id: UniqueID, position: LogPosition, version: Int64, input: String?) {
        self.id = id
        self.position = position
        self.version = version
        self.input = input
    }

    /// What is remembered of an event; nil if its id is no name's.
    package init?(_ event: StoredEvent) {
        guard event.id.isDerived, let stream = event.stream else { return nil }
        self.init(
            id: event.id, position: event.position, version: stream.version,
            input: event.attributes.headers?[Self.inputHeader])
    }
}

extension UniqueID {
    /// Whether it was derived from a name: version 8 of RFC 9562.
    package var isDerived: Bool { high & 0xF000 == 0x8000 }
}
