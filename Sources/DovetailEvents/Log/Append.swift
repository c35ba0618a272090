import DovetailCore
import Foundation

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
    /// The time that its events carry; nil for a duplicate.
    package var time: Date?

    /// An outcome.
    public init(
        position: LogPosition, streamVersions: [Int64], wasDuplicate: Bool, durability: Durability
    ) {
        self.position = position
        self.streamVersions = streamVersions
        self.wasDuplicate = wasDuplicate
        self.durability = durability
    }
}

extension Append {
    /// What else a transaction that appends events does, on the log's own database, when it knows where they stand.
    public typealias Effect = @Sendable ([StoredEvent], Transaction) throws -> Void

    /// Makes the append and has its effect, in a transaction; a duplicate has had its effect already.
    package func make(with effect: Effect, in transaction: Transaction) throws -> Appended {
        let appended = try transaction.append(self)
        guard let time = appended.time, !events.isEmpty else { return appended }
        let first = appended.position.number - Int64(events.count) + 1
        let version = stream.flatMap { _ in appended.streamVersions.first }.map { $0 - Int64(events.count) + 1 }
        let stored = events.enumerated().map { index, draft in
            var position = appended.position
            position.number = first + Int64(index)
            let place = stream.flatMap { name in version.map { (name: name, version: $0 + Int64(index)) } }
            return StoredEvent(position: position, stream: place, time: time, draft: draft)
        }
        try effect(stored, transaction)
        return appended
    }
}
