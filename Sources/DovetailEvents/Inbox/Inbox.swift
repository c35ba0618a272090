import DovetailCore
import Foundation

/// Remembers which events had their effect, in the database where the effect is: for handlers that are called at least once.
///
/// In one transaction with the effect, ``accept(_:in:)`` says whether the event is new; a second delivery, a replay, or the same event from a broker finds it
/// there and does nothing. What is remembered is forgotten after ``window``, which has to be longer than an event can take to come again.
///
///     try await database.transaction { transaction in
///         guard try inbox.accept(event.id, in: transaction) else { return }
///         try transaction.execute("INSERT INTO ...")
///     }
public struct Inbox: Sendable {
    /// Whose memory it is: a name for each handler, so that several handle the same event in one database.
    public let name: String
    /// How long an event is remembered.
    public let window: Duration

    /// An inbox; by default it remembers events for 30 days.
    public init(_ name: String, window: Duration = .seconds(30 * 86_400)) {
        self.name = name
        self.window = window
    }

    /// Makes the table; idempotent.
    public func prepare(_ database: any Database) async throws {
        try await database.migrate(
            Migrations(
                owner: "dovetail_inbox",
                steps: [
                    """
                    CREATE TABLE dovetail_inbox (
                        inbox TEXT NOT NULL, event TEXT NOT NULL, accepted_at BIGINT NOT NULL, PRIMARY KEY (inbox, event))
                    """,
                    "CREATE INDEX dovetail_inbox_age ON dovetail_inbox (inbox, accepted_at)",
                ]))
    }

    /// Whether the event is new here; then it is remembered, if the transaction commits. Throws ``LogError`` `statement` if the inbox was not prepared.
    ///
    /// Forgets a few that are older than the window, so that the table stays as large as the window.
    public func accept(_ event: UniqueID, in transaction: Transaction, at now: Date = Date()) throws -> Bool {
        try accept(event.description, in: transaction, at: now)
    }

    /// The same for a message that has an id of another kind.
    public func accept(_ id: String, in transaction: Transaction, at now: Date = Date()) throws -> Bool {
        let name = name
        let oldest = now.addingTimeInterval(-window.inSeconds)
        return try transaction.asEngine {
            // Two for each that comes, so that what has gathered goes too.
            try transaction.execute(
                """
                DELETE FROM dovetail_inbox WHERE inbox = \(name) AND event IN (
                    SELECT event FROM dovetail_inbox WHERE inbox = \(name) AND accepted_at < \(oldest)
                    ORDER BY accepted_at LIMIT 2)
                """)
            return try transaction.execute(
                """
                INSERT INTO dovetail_inbox (inbox, event, accepted_at) VALUES (\(name), \(id), \(now))
                ON CONFLICT (inbox, event) DO NOTHING
                """) == 1
        }
    }
}
