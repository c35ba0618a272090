import DovetailCore

/// What a writer knows of a stream before it appends.
public enum ExpectedVersion: Sendable, Hashable {
    /// Nothing; append whatever is there.
    case any
    /// The number of events in the stream; 0 for a stream that is new.
    case exactly(Int64)
}

/// Events for one stream, or for none: they are only published then.
public struct Append: Sendable {
    /// The stream's name, as `order-7`; nil for published events.
    public var stream: String?
    /// What the writer knows of it.
    public var expected: ExpectedVersion
    /// The events, in order.
    public var events: [EventDraft]
    /// What becomes of the stream after them; nothing unless given.
    public var change: StreamChange?

    /// An append.
    public init(
        stream: String? = nil, expected: ExpectedVersion = .any, events: [EventDraft], change: StreamChange? = nil
    ) {
        self.stream = stream
        self.expected = expected
        self.events = events
        self.change = change
    }
}

/// What became of an append.
public struct Appended: Sendable {
    /// The position of the last event; of the log's head if there was none.
    public var position: LogPosition
    /// The version each named stream has reached, in the order of the appends.
    public var streamVersions: [Int64]
    /// Whether the log held the events already (by id), so that nothing changed.
    public var wasDuplicate: Bool
    /// What the log promises about it.
    public var durability: Durability

    /// An outcome.
    public init(position: LogPosition, streamVersions: [Int64], wasDuplicate: Bool, durability: Durability) {
        self.position = position
        self.streamVersions = streamVersions
        self.wasDuplicate = wasDuplicate
        self.durability = durability
    }
}
