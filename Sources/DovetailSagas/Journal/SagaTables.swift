import DovetailCore
import DovetailEvents
import Foundation

/// The tables of sagas in a log's database, and the statements on them. Each function runs in the transaction that it is given.
enum SagaTables {
    static let migrations = Migrations(
        owner: "dovetail.saga",
        steps: [
            // Numbers in the order of the starts: what is under way at one time lies together.
            """
            CREATE TABLE dovetail_saga_instances (
                number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, saga TEXT NOT NULL, status TEXT NOT NULL,
                revision BIGINT NOT NULL, epoch BIGINT NOT NULL, progress TEXT NOT NULL, state TEXT NOT NULL,
                due_at BIGINT, problem TEXT, request TEXT, parent TEXT, correlation_id TEXT NOT NULL, traceparent TEXT,
                started_by TEXT NOT NULL, started_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)
            """,
            // What has ended or waits for a message is not due, and not in the index.
            """
            CREATE INDEX dovetail_saga_due ON dovetail_saga_instances (saga, due_at) WHERE due_at IS NOT NULL
            """,
            """
            CREATE TABLE dovetail_saga_lines (
                number BIGINT NOT NULL, sequence BIGINT NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL,
                outcome TEXT NOT NULL, attempt BIGINT NOT NULL, detail TEXT, started_at BIGINT NOT NULL,
                finished_at BIGINT NOT NULL, PRIMARY KEY (number, sequence)) WITHOUT ROWID
            """,
            """
            CREATE TABLE dovetail_saga_owners (saga TEXT PRIMARY KEY, epoch BIGINT NOT NULL)
            """,
            """
            CREATE TABLE dovetail_saga_messages (
                number INTEGER PRIMARY KEY, saga TEXT NOT NULL, topic TEXT NOT NULL, message_key TEXT NOT NULL,
                message_id TEXT NOT NULL, data BLOB NOT NULL, received_at BIGINT NOT NULL,
                UNIQUE (saga, topic, message_id))
            """,
            """
            CREATE INDEX dovetail_saga_messages_for ON dovetail_saga_messages (saga, topic, message_key)
            """,
            """
            CREATE TABLE dovetail_saga_waits (
                saga TEXT NOT NULL, topic TEXT NOT NULL, message_key TEXT NOT NULL, number BIGINT NOT NULL,
                PRIMARY KEY (saga, topic, message_key, number)) WITHOUT ROWID
            """,
            // The version of the event that a message was kept in; NULL for what has none, and for what is older than this column.
            "ALTER TABLE dovetail_saga_messages ADD COLUMN version BIGINT",
            // What goes, by age: only what has ended is in the index.
            """
            CREATE INDEX dovetail_saga_ended ON dovetail_saga_instances (saga, updated_at)
                WHERE status IN ('completed', 'compensated')
            """,
            """
            CREATE INDEX dovetail_saga_messages_age ON dovetail_saga_messages (saga, received_at, number)
            """,
            // How many instances stand in each status: kept with the transitions, so that nobody counts rows.
            """
            CREATE TABLE dovetail_saga_counts (
                saga TEXT NOT NULL, status TEXT NOT NULL, count BIGINT NOT NULL,
                PRIMARY KEY (saga, status)) WITHOUT ROWID
            """,
            """
            INSERT INTO dovetail_saga_counts (saga, status, count)
            SELECT saga, status, COUNT(*) FROM dovetail_saga_instances GROUP BY saga, status
            """,
            // Who holds a resource, and who waits for it: in the order of the tokens.
            """
            CREATE TABLE dovetail_saga_locks (
                resource TEXT NOT NULL, lock_key TEXT NOT NULL, token BIGINT NOT NULL, number BIGINT NOT NULL,
                step TEXT NOT NULL, state TEXT NOT NULL, since BIGINT NOT NULL,
                PRIMARY KEY (resource, lock_key, token)) WITHOUT ROWID
            """,
            "CREATE INDEX dovetail_saga_locks_of ON dovetail_saga_locks (number)",
            "CREATE TABLE dovetail_saga_tokens (name TEXT PRIMARY KEY, token BIGINT NOT NULL)",
            "INSERT INTO dovetail_saga_tokens (name, token) VALUES ('lock', 0)",
            // Since when a step of an instance fails and is tried again; only those are in the index.
            "ALTER TABLE dovetail_saga_instances ADD COLUMN failing_since BIGINT",
            """
            CREATE INDEX dovetail_saga_failing ON dovetail_saga_instances (saga, failing_since)
                WHERE failing_since IS NOT NULL
            """,
            // Events that a saga went past because it could not read them.
            """
            CREATE TABLE dovetail_saga_parked (
                saga TEXT NOT NULL, position BIGINT NOT NULL, type TEXT NOT NULL, version BIGINT NOT NULL,
                error TEXT NOT NULL, parked_at BIGINT NOT NULL, PRIMARY KEY (saga, position)) WITHOUT ROWID
            """,
            // How a saga was defined from an ownership on, until the next: what instances that were changed under it have gone by.
            """
            CREATE TABLE dovetail_saga_plans (
                saga TEXT NOT NULL, epoch BIGINT NOT NULL, plan TEXT NOT NULL, PRIMARY KEY (saga, epoch)) WITHOUT ROWID
            """,
        ])

    // MARK: Instances

    private static let insertText = """
        INSERT INTO dovetail_saga_instances (id, saga, status, revision, epoch, progress, state, due_at, problem,
            parent, correlation_id, traceparent, started_by, started_at, updated_at)
        SELECT ?, ?, ?, ?, epoch, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
        FROM (SELECT COALESCE(MAX(epoch), 0) AS epoch FROM dovetail_saga_owners WHERE saga = ?)
        WHERE ? IS NULL OR epoch = ?
        ON CONFLICT (id) DO NOTHING RETURNING number
        """

    /// Keeps a new instance, for the saga's owner, and returns its number; nil if there is one of this id already, or if the owner is not `owner`, where that is given.
    static func insert(_ record: SagaRecord, owner: Int?, in transaction: Transaction) throws -> Int64? {
        var number: Int64?
        try transaction.each(
            SQL(
                text: insertText,
                values: [
                    record.id.sqlValue, .text(record.saga), .text(record.status.rawValue),
                    .integer(Int64(record.revision)), .text(record.progress.text), .text(record.state),
                    record.dueAt.sqlValue, record.problem.sqlValue, record.parent.sqlValue,
                    .text(record.correlationID), record.traceparent.sqlValue, record.startedBy.sqlValue,
                    record.startedAt.sqlValue, record.updatedAt.sqlValue, .text(record.saga), owner.sqlValue,
                    owner.sqlValue,
                ])
        ) { row in
            if case .integer(let value) = row[0] { number = value }
            // To the end: the statement has done its work only then.
            return true
        }
        if number != nil { try count(record.saga, record.status, by: 1, in: transaction) }
        return number
    }

    private static let countText = """
        INSERT INTO dovetail_saga_counts (saga, status, count) VALUES (?, ?, ?)
        ON CONFLICT (saga, status) DO UPDATE SET count = dovetail_saga_counts.count + excluded.count
        """

    /// Counts so many more instances of a saga in a status.
    static func count(_ saga: String, _ status: SagaStatus, by change: Int, in transaction: Transaction) throws {
        guard change != 0 else { return }
        try transaction.execute(
            SQL(text: countText, values: [.text(saga), .text(status.rawValue), .integer(Int64(change))]))
    }

    private static let updateText = """
        UPDATE dovetail_saga_instances SET status = ?, revision = ?, epoch = ?, progress = ?, state = ?, problem = ?,
            request = NULL, updated_at = ?, due_at = ?, failing_since = ?
        WHERE number = ? AND revision = ? AND (request IS NULL OR ?)
        """

    /// For an instance that goes on at once: it stays due, and the index as it is.
    private static let goOnText = """
        UPDATE dovetail_saga_instances SET revision = ?, epoch = ?, progress = ?, state = ?, updated_at = ?
        WHERE number = ? AND revision = ? AND request IS NULL
        """

    /// Writes an instance that nobody has changed since `before`, and about which an operator asks nothing; false if that is not so.
    static func update(
        _ record: SagaRecord, progress: String, after before: SagaRecord, answersRequest: Bool, now: Date,
        in transaction: Transaction
    ) throws -> Bool {
        let (revision, epoch) = (Int64(record.revision), Int64(record.epoch))
        let place: [SQLValue] = [.integer(record.number), .integer(Int64(before.revision))]
        if !answersRequest, record.status == before.status, record.problem == before.problem,
            let due = record.dueAt, due <= now, let wasDue = before.dueAt, wasDue <= now,
            record.progress.failingSince == nil, before.progress.failingSince == nil
        {
            let values: [SQLValue] = [
                .integer(revision), .integer(epoch), .text(progress), .text(record.state),
                record.updatedAt.sqlValue,
            ]
            return try transaction.execute(SQL(text: goOnText, values: values + place)) == 1
        }
        let values: [SQLValue] = [
            .text(record.status.rawValue), .integer(revision), .integer(epoch), .text(progress),
            .text(record.state), record.problem.sqlValue, record.updatedAt.sqlValue, record.dueAt.sqlValue,
            record.progress.failingSince.sqlValue,
        ]
        return try transaction.execute(SQL(text: updateText, values: values + place + [answersRequest.sqlValue])) == 1
    }

    /// The columns of an instance, in the order in which ``SagaRecord/init(_:)`` takes them.
    static let columns: SQL = """
        number, id, saga, status, revision, epoch, progress, state, due_at, problem, request, parent, correlation_id,
        traceparent, started_by, started_at, updated_at
        """

    /// The instances that a query of ``columns`` finds.
    static func instances(_ sql: SQL, in snapshot: Snapshot) throws -> [SagaRecord] {
        var found: [SagaRecord] = []
        try snapshot.each(sql) { row in
            found.append(SagaRecord(row))
            return true
        }
        return found
    }

    static func instance(_ number: Int64, in snapshot: Snapshot) throws -> SagaRecord? {
        try instances("SELECT \(columns) FROM dovetail_saga_instances WHERE number = \(number)", in: snapshot).first
    }

    static func instance(_ id: UniqueID, in snapshot: Snapshot) throws -> SagaRecord? {
        try instances("SELECT \(columns) FROM dovetail_saga_instances WHERE id = \(id)", in: snapshot).first
    }

    static func revision(of number: Int64, in snapshot: Snapshot) throws -> Int? {
        try snapshot.row(Int.self, "SELECT revision FROM dovetail_saga_instances WHERE number = \(number)")
    }

    // MARK: Lines

    private static let lineText = """
        INSERT INTO dovetail_saga_lines
            (number, sequence, step, kind, outcome, attempt, detail, started_at, finished_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """

    /// How many failed attempts of a series have lines of their own; of those that follow, the last has.
    static let keptAttempts = 16

    static func note(_ line: SagaJournalEntry, of number: Int64, in transaction: Transaction) throws {
        if line.outcome == .retry, line.attempt > keptAttempts + 1 {
            try transaction.execute(
                """
                DELETE FROM dovetail_saga_lines WHERE number = \(number) AND step = \(line.step)
                    AND kind = \(line.kind.rawValue) AND outcome = 'retry' AND attempt > \(keptAttempts)
                """)
        }
        try transaction.execute(
            SQL(
                text: lineText,
                values: [
                    .integer(number), .integer(line.sequence), .text(line.step), .text(line.kind.rawValue),
                    .text(line.outcome.rawValue), .integer(Int64(line.attempt)), line.detail.sqlValue,
                    line.startedAt.sqlValue, line.finishedAt.sqlValue,
                ]))
    }

    // MARK: Messages

    /// Keeps a message for a saga, and makes those due that wait for it; false if it is there already. `version` is that of the event whose payload it is.
    static func deliver(
        _ data: [UInt8], version: Int? = nil, id: String, to saga: String, _ address: SagaAddress, at time: Date,
        in transaction: Transaction
    ) throws -> Bool {
        let isNew =
            try transaction.execute(
                """
                INSERT INTO dovetail_saga_messages (saga, topic, message_key, message_id, data, received_at, version)
                VALUES (\(saga), \(address.topic), \(address.key), \(id), \(data), \(time), \(version))
                ON CONFLICT (saga, topic, message_id) DO NOTHING
                """) == 1
        guard isNew else { return false }
        try transaction.execute(
            """
            UPDATE dovetail_saga_instances SET due_at = \(time) WHERE number IN (
                SELECT number FROM dovetail_saga_waits
                WHERE saga = \(saga) AND topic = \(address.topic) AND message_key = \(address.key))
                AND status NOT IN ('completed', 'compensated')
            """)
        return true
    }

    /// A message as it is kept.
    struct Message: Decodable, Sendable {
        var number: Int64
        var data: [UInt8]
        /// The version of the event whose payload it is; nil: the one that the program had.
        var version: Int?
    }

    /// The first message for a wait that was not taken yet.
    static func message(
        for saga: String, _ address: SagaAddress, besides taken: [Int64], in snapshot: Snapshot
    ) throws -> Message? {
        let rows = try snapshot.rows(
            Message.self,
            """
            SELECT number, data, version FROM dovetail_saga_messages
            WHERE saga = \(saga) AND topic = \(address.topic) AND message_key = \(address.key)
            ORDER BY number LIMIT \(taken.count + 1)
            """)
        return rows.first { !taken.contains($0.number) }
    }

    static func listen(_ record: SagaRecord, at address: SagaAddress, in transaction: Transaction) throws {
        try transaction.execute(
            """
            INSERT INTO dovetail_saga_waits (saga, topic, message_key, number)
            VALUES (\(record.saga), \(address.topic), \(address.key), \(record.number)) ON CONFLICT DO NOTHING
            """)
    }

    static func stopListening(_ record: SagaRecord, at address: SagaAddress, in transaction: Transaction) throws {
        try transaction.execute(
            """
            DELETE FROM dovetail_saga_waits WHERE saga = \(record.saga) AND topic = \(address.topic)
                AND message_key = \(address.key) AND number = \(record.number)
            """)
    }
}
