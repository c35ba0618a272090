/// An event in an aggregate's stream that today's code cannot apply.
public struct AggregateError: Error, CustomStringConvertible {
    /// The event.
    public var event: EventIdentity
    /// The stream.
    public var stream: String
    /// Why.
    public var reason: String

    public var description: String { "the aggregate of stream '\(stream)' cannot apply \(event): \(reason)" }
}

/// A stream from which an aggregate's state cannot be made any more: its first events were truncated, and nothing stands for them.
public struct TruncatedStreamError: Error, CustomStringConvertible {
    /// The stream.
    public var stream: String
    /// The version that the state was made up to.
    public var version: Int64
    /// The version up to which events were truncated.
    public var truncated: Int64

    public var description: String {
        "the events of stream '\(stream)' from version \(version + 1) to \(truncated) were truncated, and there is neither a snapshot of today's shape that stands for them nor an event that begins afresh: run the program that wrote the snapshot, have it append an event that `restart(on:)` knows, and truncate up to before that one"
    }
}
