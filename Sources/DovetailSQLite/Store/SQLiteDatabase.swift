import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// A database file with its writer and its readers.
final class SQLiteDatabase: Database {
    let writer: Writer
    let readers: ReaderPool
    let identity: (log: UniqueID, epoch: Int)?

    init(_ settings: Writer.Settings, readers threads: Int) throws {
        let (writer, identity) = try Writer.start(settings)
        self.writer = writer
        self.identity = identity
        readers = try ReaderPool(path: settings.path, threads: threads, identity: identity)
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await writer.transaction(label, as: role, body)
    }

    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        let body = PersonalData.carried(body)
        return try await readers.read { try $0.snapshot(body) }
    }

    func close() async {
        await writer.close()
        await readers.close()
    }
}

/// The log of a store.
final class SQLiteLog: EventLog {
    let identity: (log: UniqueID, epoch: Int)
    let durability: Durability
    private let database: SQLiteDatabase
    /// Whether anything is remembered of what was truncated; nil until somebody has looked. Most logs remember nothing, and commands need not ask them.
    private let remembers = Mutex<Bool?>(nil)

    init(_ database: SQLiteDatabase, identity: (log: UniqueID, epoch: Int), durability: Durability) {
        self.database = database
        self.identity = identity
        self.durability = durability
    }

    var condition: LogCondition { database.writer.condition.condition }

    var head: Int64 { database.writer.head.value }

    func enqueue(_ appends: [Append]) throws -> Ticket<Appended> {
        let request = AppendRequest(appends)
        try database.writer.mailbox.put(.append(request))
        return request.ticket
    }

    func enqueue(_ append: Append, as module: String, with effect: @escaping Append.Effect) throws -> Ticket<Appended> {
        let work = Work(
            module, role: .module, context: CallContext.current,
            body: PersonalData.carried { try append.make(with: effect, in: $0) })
        try database.writer.mailbox.put(.closure(work))
        return work.ticket
    }

    func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage {
        let head = head
        return try await database.readers.read {
            try $0.log.events(after: number, upTo: head, types: types, limit: limit)
        }
    }

    func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await database.readers.read { try $0.log.stream(name, after: version, limit: limit) }
    }

    func stream(_ name: String, before version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await database.readers.read { try $0.log.stream(name, before: version, limit: limit) }
    }

    func event(id: UniqueID) async throws -> StoredEvent? {
        try await database.readers.read { try $0.log.event(id: id) }
    }

    func reclaim(
        _ topics: [TopicPattern], after number: Int64, upTo end: Int64, limit: Int, unless hold: SQL?
    ) async throws -> Reclaimed {
        let interest = Interest(topics: topics, filter: nil, except: RetentionRule.exceptions)
        let end = min(end, head)
        // What may go is found beside the writer; only the removal is its work.
        let found = try await database.readers.read {
            try $0.log.reclaimable(interest, after: number, upTo: end, limit: limit)
        }
        guard let first = found.numbers.first, let last = found.numbers.last else {
            return Reclaimed(count: 0, scanned: found.scanned)
        }
        let (numbers, count, checksum) = (found.numbers, found.numbers.count, found.checksum)
        let isDone = try await database.transaction("reclaim", as: .engine) { transaction in
            if let hold, let done = try transaction.row(Int64?.self, hold), let done, done < last { return false }
            for number in numbers {
                guard try transaction.execute("DELETE FROM dovetail_log WHERE position = \(number)") == 1 else {
                    throw LogError(.statement, "reclaim", "the event at \(number) is gone already")
                }
            }
            try transaction.execute(
                """
                INSERT INTO dovetail_reclaimed (first, last, count, checksum, reclaimed_at)
                VALUES (\(first), \(last), \(count), \(checksum), \(Date()))
                ON CONFLICT (first, last) DO UPDATE SET
                    count = count + excluded.count, checksum = checksum + excluded.checksum
                """)
            return true
        }
        return isDone ? Reclaimed(count: count, scanned: found.scanned) : Reclaimed(count: 0, scanned: number)
    }

    func truncatedEvent(id: UniqueID) async throws -> TruncatedEvent? {
        struct Row: Decodable, Sendable { var position: Int64, version: Int64, input: String? }
        if remembers.withLock({ $0 }) == false { return nil }
        if remembers.withLock({ $0 }) == nil {
            let any = try await database.snapshot {
                try $0.row(Bool.self, "SELECT EXISTS (SELECT 1 FROM dovetail_truncated)") ?? false
            }
            // A truncation meanwhile has said so itself.
            remembers.withLock { $0 = $0 ?? any }
        }
        let row = try await database.snapshot { snapshot in
            try snapshot.row(
                Row.self, "SELECT position, version, input FROM dovetail_truncated WHERE id = \(id.bytes)")
        }
        return row.map {
            TruncatedEvent(id: id, position: position($0.position), version: $0.version, input: $0.input)
        }
    }

    func streamStatus(_ name: String) async throws -> StreamStatus? {
        try await database.readers.read { try $0.log.status(ofStream: name) }
    }

    func truncate(_ truncation: StreamTruncation, unless hold: SQL?) async throws {
        struct Row: Decodable { var position: Int64, checksum: Int64, id: [UInt8], version: Int64, attributes: [UInt8] }
        let stream = truncation.stream
        remembers.withLock { $0 = true }
        try await database.transaction("truncate", as: .engine) { transaction in
            if let hold, let done = try transaction.row(Int64?.self, hold), let done, done < truncation.last {
                throw LogError(
                    .notReached, stream,
                    "a subscription was set back to \(done) meanwhile; try again when it has passed")
            }
            let id = try transaction.row(Int64.self, "SELECT id FROM dovetail_streams WHERE name = \(stream)")
            let moved = try transaction.execute(
                """
                UPDATE dovetail_streams SET floor = \(truncation.through) WHERE id = \(id) AND floor = \(truncation.after)
                """)
            guard moved == 1 else {
                throw LogError(.versionConflict, stream, "somebody else truncates it; look at it and try again")
            }
            let rows = try transaction.rows(
                Row.self,
                """
                SELECT position, checksum, id, version, attributes FROM dovetail_log
                WHERE stream = \(id) AND version <= \(truncation.through)
                """)
            for row in rows where row.id.withUnsafeBytes({ UniqueID(bytes: $0) }).isDerived {
                let attributes = row.attributes.withUnsafeBytes(AttributesCoding.decode)
                try transaction.execute(
                    """
                    INSERT INTO dovetail_truncated (id, position, version, input)
                    VALUES (\(row.id), \(row.position), \(row.version), \(attributes?.headers?[TruncatedEvent.inputHeader]))
                    ON CONFLICT (id) DO NOTHING
                    """)
            }
            try transaction.execute(
                "DELETE FROM dovetail_log WHERE stream = \(id) AND version <= \(truncation.through)")
            // A stream's events lie all over the log: their record goes by parts of the log, so that it has no more rows than those.
            for (part, rows) in Dictionary(grouping: rows, by: { ($0.position - 1) / LogVerifier.window }) {
                let first = part * LogVerifier.window + 1
                try transaction.execute(
                    """
                    INSERT INTO dovetail_reclaimed (first, last, count, checksum, reclaimed_at)
                    VALUES (\(first), \(first + LogVerifier.window - 1), \(rows.count),
                        \(rows.reduce(0) { $0 &+ $1.checksum }), \(Date()))
                    ON CONFLICT (first, last) DO UPDATE SET
                        count = count + excluded.count, checksum = checksum + excluded.checksum
                    """)
            }
        }
    }

    func tombstones(after name: String, limit: Int) async throws -> [StreamStatus] {
        try await database.snapshot { snapshot in
            try snapshot.rows(
                String.self,
                "SELECT name FROM dovetail_streams WHERE leaving = 1 AND name > \(name) ORDER BY name LIMIT \(limit)"
            ).compactMap { try snapshot.streamStatus($0) }
        }
    }

    func emptied(_ stream: String) async throws {
        try await database.transaction("emptied", as: .engine) { transaction in
            _ = try transaction.execute(
                "UPDATE dovetail_streams SET leaving = 0 WHERE name = \(stream) AND leaving = 1 AND floor = version")
        }
    }

    func verify(progress: @escaping @Sendable (Int64) -> Void) async throws -> LogVerification {
        let verifier = LogVerifier()
        while true {
            let reached = try await database.readers.read { try $0.verify(with: verifier) }
            progress(reached.number)
            if reached.isDone { return verifier.verification }
        }
    }

    func waitForHead(beyond number: Int64) async throws -> Int64 {
        try await database.writer.head.wait(for: number + 1)
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await database.transaction(label, as: role, body)
    }

    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        try await database.snapshot(body)
    }
}
