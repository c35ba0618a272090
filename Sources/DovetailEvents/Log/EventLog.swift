import DovetailCore
import Foundation

/// A durable, append-only sequence of events with one order; at once event store, outbox, bus and journal.
///
/// A log is a ``Database`` too: tables of a module that have to change together with an append live in it.
public protocol EventLog: Database {
    /// The log's id and epoch: what its positions carry.
    var identity: (log: UniqueID, epoch: Int) { get }

    /// What the log promises about what it has accepted.
    var durability: Durability { get }

    /// Whether the log takes in what it is given.
    var condition: LogCondition { get }

    /// The number of the last event that is durable; 0 for an empty log. Every number up to it is there, or was reclaimed.
    var head: Int64 { get }

    /// Hands appends to the writer, to be made together or not at all, in the order of the calls.
    ///
    /// Returns at once; the ticket is fulfilled when the events are as durable as ``durability`` says. Appends to one stream are made in the
    /// order of their `enqueue` calls. Throws `overloaded` when the writer's mailbox is full. The ticket fails with `versionConflict` if a stream is not
    /// where it was expected. Events whose ids are all there already are a duplicate: success, nothing changed, the original positions.
    func enqueue(_ appends: [Append]) throws -> Ticket<Appended>

    /// Hands one append to the writer with what else is to be done in its transaction, as `module`'s: nothing of either happens if that throws, and the ticket fails with what it throws.
    ///
    /// In order with other calls of `enqueue`. A duplicate has no effect again.
    func enqueue(_ append: Append, as module: String, with effect: @escaping Append.Effect) throws -> Ticket<Appended>

    /// Events with numbers above `number`, in order, at most `limit` and about ``EventPage/maximumBytes``; of the given types only, if any are given.
    ///
    /// The page says how far it looked, so that a reader of few types moves on past the rest. Never shows an event that is not durable. A page ends before an event that cannot be
    /// read; where that is the next one, throws ``LogError`` `unreadable`.
    func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage

    /// Events of a stream with versions above `version`, in order, at most `limit`.
    func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent]

    /// Events of a stream with versions below `version`, the newest first, at most `limit`: with `Int64.max` from its end backwards.
    func stream(_ name: String, before version: Int64, limit: Int) async throws -> [StoredEvent]

    /// The event with this id; nil if the log does not hold it.
    func event(id: UniqueID) async throws -> StoredEvent?

    /// What the log remembers of an event that was truncated with its stream; nil if it holds the event, or never did.
    ///
    /// Only of events whose id is derived from a name (version 8), as a command's under a key: so the key stays known.
    func truncatedEvent(id: UniqueID) async throws -> TruncatedEvent?

    /// Removes published events (of no stream) of these topics, from those after `number` and up to `end`, at most `limit`, in one commit with the record of it.
    ///
    /// Numbers are not given again, and that a subject is forgotten is not removed. `hold` is a query for the number up to which events may go, asked in that commit: if it has fallen behind, nothing is removed,
    /// and `scanned` is `number`. For ``Retention``, which knows what may go.
    func reclaim(
        _ topics: [TopicPattern], after number: Int64, upTo end: Int64, limit: Int, unless hold: SQL?
    ) async throws -> Reclaimed

    /// Where a stream stands; nil if it never had an event and was never deleted.
    func streamStatus(_ name: String) async throws -> StreamStatus?

    /// Removes events of a stream, in one commit with the record of it. For ``truncate(_:through:holds:)``, which knows what may go.
    ///
    /// `hold` is a query for the number up to which events may go, asked in that commit: throws `notReached` if it has fallen behind. Throws `versionConflict` if somebody
    /// else has truncated the stream meanwhile.
    func truncate(_ truncation: StreamTruncation, unless hold: SQL?) async throws

    /// Streams that were deleted for good and of which something is left, with names after `name`, in their order, at most `limit`. For ``Retention``, which lets it go.
    func tombstones(after name: String, limit: Int) async throws -> [StreamStatus]

    /// Notes that of a stream that was deleted for good nothing is left: ``tombstones(after:limit:)`` does not name it any more. For ``Retention``.
    func emptied(_ stream: String) async throws

    /// Looks through the whole log, beside the work: that every number is there or was reclaimed, that each event is as it was written, that streams have no
    /// gaps and times do not go back. `progress` is told the number reached.
    func verify(progress: @escaping @Sendable (Int64) -> Void) async throws -> LogVerification

    /// Returns the head once it lies beyond `number`. Throws `CancellationError` when cancelled, `stopped` when the log stops.
    func waitForHead(beyond number: Int64) async throws -> Int64
}

/// Some events in order, and how far the log was looked through for them.
public struct EventPage: Sendable {
    /// A page ends with the event whose payload takes it to so many bytes: whatever events weigh, a reader can bear a page.
    public static let maximumBytes = 8 << 20

    /// The events.
    public var events: [StoredEvent]
    /// Every event up to this number was looked at.
    public var scanned: Int64

    /// A page.
    public init(events: [StoredEvent], scanned: Int64) {
        self.events = events
        self.scanned = scanned
    }
}

extension EventLog {
    /// Appends and waits until the events are durable. See ``enqueue(_:)``; waits for room instead of throwing `overloaded`.
    public func append(_ appends: [Append]) async throws -> Appended {
        while true {
            do {
                return try await enqueue(appends).value
            } catch let error as LogError where error.code == .overloaded {
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }

    /// Publishes events that belong to no stream.
    public func publish(_ events: [EventDraft]) async throws -> Appended {
        try await append([Append(events: events)])
    }

    /// A position in this log.
    public func position(_ number: Int64) -> LogPosition {
        LogPosition(log: identity.log, epoch: identity.epoch, number: number)
    }

    /// The number of a position of this log. Throws `foreignPosition` for another log's or epoch's, or one beyond the head.
    public func number(of position: LogPosition) throws -> Int64 {
        guard position.log == identity.log, position.epoch == identity.epoch else {
            throw LogError(
                .foreignPosition, position.description, "the position is of another log, or of before a restore")
        }
        guard position.number <= head else {
            throw LogError(.foreignPosition, position.description, "the position lies ahead of the log's head, \(head)")
        }
        return position.number
    }
}
