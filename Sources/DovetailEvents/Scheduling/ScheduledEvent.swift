import DovetailContracts
import DovetailCore
import Foundation

/// An event that waits for its time to be published.
public struct ScheduledEvent: Sendable {
    /// When it is published.
    public var due: Date
    /// The event, under the id by which it can be cancelled.
    public var event: EventDraft
}

/// The rows of events that wait for their time, in the log's own database.
enum ScheduleTable {
    static let migrations = Migrations(
        owner: "dovetail_schedule",
        steps: [
            """
            CREATE TABLE dovetail_schedule (
                id TEXT PRIMARY KEY, due_at BIGINT NOT NULL, type TEXT NOT NULL, version BIGINT NOT NULL, event_key TEXT NOT NULL,
                source TEXT NOT NULL, attributes TEXT NOT NULL, data BYTEA NOT NULL)
            """,
            "CREATE INDEX dovetail_schedule_due ON dovetail_schedule (due_at, id)",
        ])

    private struct Row: Decodable {
        var id: UniqueID, dueAt: Date, type: String, version: Int, eventKey: String, source: String
        var attributes: EventAttributes
        var data: [UInt8]

        var scheduled: ScheduledEvent {
            ScheduledEvent(
                due: dueAt,
                event: EventDraft(
                    id: id, type: type, version: version, key: eventKey, source: source, attributes: attributes,
                    data: data))
        }
    }

    static func insert(_ event: EventDraft, due: Date, in transaction: Transaction) throws {
        let attributes = String(decoding: try JSON.encode(event.attributes), as: UTF8.self)
        try transaction.execute(
            """
            INSERT INTO dovetail_schedule (id, due_at, type, version, event_key, source, attributes, data)
            VALUES (\(event.id), \(due), \(event.type), \(event.version), \(event.key), \(event.source), \(attributes), \(event.data))
            ON CONFLICT (id) DO NOTHING
            """)
    }

    static func delete(_ id: UniqueID, in transaction: Transaction) throws -> Bool {
        try transaction.execute("DELETE FROM dovetail_schedule WHERE id = \(id)") == 1
    }

    /// The first that are due at `date`, by their time.
    static func due(at date: Date, limit: Int, in snapshot: Snapshot) throws -> [ScheduledEvent] {
        try snapshot.rows(
            Row.self, "SELECT * FROM dovetail_schedule WHERE due_at <= \(date) ORDER BY due_at, id LIMIT \(limit)"
        ).map(\.scheduled)
    }

    static func event(_ id: UniqueID, in snapshot: Snapshot) throws -> ScheduledEvent? {
        try snapshot.row(Row.self, "SELECT * FROM dovetail_schedule WHERE id = \(id)")?.scheduled
    }

    static func count(in snapshot: Snapshot) throws -> Int {
        try snapshot.row(Int.self, "SELECT count(*) FROM dovetail_schedule") ?? 0
    }

    static func next(in snapshot: Snapshot) throws -> Date? {
        try snapshot.row(Date.self, "SELECT due_at FROM dovetail_schedule ORDER BY due_at LIMIT 1")
    }
}

extension Transaction {
    /// Has an event published at `date`, or at once if that has passed: decided, and kept, with the transaction. Returns the id to cancel it by.
    ///
    /// Published once, by the log's ``EventScheduler``, a little after its time: within milliseconds where that knows of it, within a second otherwise. The time is
    /// the calendar's: a clock that is set back makes it later.
    @discardableResult
    public func schedule(_ event: NewEvent, at date: Date) throws -> UniqueID {
        let draft = try EventDraft(event, source: source, context: context)
        try schedule(draft, at: date)
        return draft.id
    }

    /// Has an event published at `date`. An id that waits already changes nothing.
    package func schedule(_ draft: EventDraft, at date: Date) throws {
        try asEngine { try ScheduleTable.insert(draft, due: date, in: self) }
    }

    /// Takes back an event that waits for its time: false if it was published already, or never scheduled.
    @discardableResult
    public func cancelScheduled(_ id: UniqueID) throws -> Bool {
        try asEngine { try ScheduleTable.delete(id, in: self) }
    }
}
