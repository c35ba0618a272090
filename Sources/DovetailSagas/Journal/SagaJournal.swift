import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// The saga tables in a log's database: instances and their journals, each transition one transaction.
public struct SagaJournal: Sendable {
    private let log: any EventLog

    /// The journal in `log`.
    public init(log: any EventLog) {
        self.log = log
    }

    /// Makes the tables.
    public func prepare() async throws {
        try await log.migrate(
            Migrations(
                owner: "dovetail.sagas",
                steps: [
                    """
                    CREATE TABLE dovetail_sagas (
                        id TEXT PRIMARY KEY, saga TEXT NOT NULL, status TEXT NOT NULL, step BIGINT NOT NULL,
                        attempts BIGINT NOT NULL, in_doubt BIGINT NOT NULL, state TEXT NOT NULL, due_at BIGINT NOT NULL,
                        problem TEXT, correlation_id TEXT NOT NULL, traceparent TEXT, started_by TEXT NOT NULL,
                        started_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)
                    """,
                    """
                    CREATE INDEX dovetail_sagas_due ON dovetail_sagas (due_at)
                        WHERE status IN ('running', 'compensating')
                    """,
                    """
                    CREATE TABLE dovetail_saga_journal (
                        id TEXT NOT NULL, sequence BIGINT NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL,
                        outcome TEXT NOT NULL, attempt BIGINT NOT NULL, detail TEXT, started_at BIGINT NOT NULL,
                        finished_at BIGINT NOT NULL, PRIMARY KEY (id, sequence))
                    """,
                ]))
    }

    /// The instances of a saga that are due at `time` and not final, the longest due first.
    func due(_ saga: String, at time: Date, limit: Int) async throws -> [SagaRecord] {
        try await log.snapshot { snapshot in
            try snapshot.rows(
                SagaRecord.self,
                """
                SELECT * FROM dovetail_sagas
                WHERE status IN ('running', 'compensating') AND saga = \(saga) AND due_at <= \(time)
                ORDER BY due_at LIMIT \(limit)
                """)
        }
    }

    /// When the next instance of a saga is due after `time`.
    func nextDue(_ saga: String, after time: Date) async throws -> Date? {
        try await log.snapshot { snapshot in
            try snapshot.row(
                Date?.self,
                """
                SELECT MIN(due_at) FROM dovetail_sagas
                WHERE status IN ('running', 'compensating') AND saga = \(saga) AND due_at > \(time)
                """) ?? nil
        }
    }

    /// Instances, the youngest first; of one saga and in one status, if given.
    public func instances(saga: String? = nil, status: SagaStatus? = nil, limit: Int = 100) async throws -> [SagaRecord]
    {
        try await log.snapshot { snapshot in
            try snapshot.rows(
                SagaRecord.self,
                """
                SELECT * FROM dovetail_sagas
                WHERE (\(saga) IS NULL OR saga = \(saga)) AND (\(status?.rawValue) IS NULL OR status = \(status?.rawValue))
                ORDER BY started_at DESC LIMIT \(limit)
                """)
        }
    }

    /// How many instances stand in each status.
    public func counts() async throws -> [SagaStatus: Int] {
        struct Row: Decodable { var status: SagaStatus, count: Int }
        return try await log.snapshot { snapshot in
            let rows = try snapshot.rows(
                Row.self, "SELECT status, COUNT(*) AS count FROM dovetail_sagas GROUP BY status")
            return Dictionary(rows.map { ($0.status, $0.count) }, uniquingKeysWith: +)
        }
    }

    /// An instance and its journal; nil if there is none of this id.
    public func instance(_ id: UniqueID) async throws -> (SagaRecord, [SagaJournalEntry])? {
        try await log.snapshot { snapshot in
            guard let record = try snapshot.row(SagaRecord.self, "SELECT * FROM dovetail_sagas WHERE id = \(id)") else {
                return nil
            }
            let entries = try snapshot.rows(
                SagaJournalEntry.self, "SELECT * FROM dovetail_saga_journal WHERE id = \(id) ORDER BY sequence")
            return (record, entries)
        }
    }

    /// Starts an instance, unless this event has already started it.
    static func start(_ record: SagaRecord, in transaction: Transaction) throws {
        let inserted = try transaction.execute(
            """
            INSERT INTO dovetail_sagas (id, saga, status, step, attempts, in_doubt, state, due_at, problem, correlation_id,
                traceparent, started_by, started_at, updated_at)
            VALUES (\(record.id), \(record.saga), \(record.status.rawValue), \(record.step), \(record.attempts),
                \(record.inDoubt), \(record.state), \(record.dueAt), \(record.problem), \(record.correlationID),
                \(record.traceparent), \(record.startedBy), \(record.startedAt), \(record.updatedAt))
            ON CONFLICT (id) DO NOTHING
            """)
        guard inserted == 1 else { return }
        try note(
            SagaJournalEntry(
                sequence: 1, step: "", kind: .started, outcome: .done, attempt: 1, detail: nil,
                startedAt: record.startedAt, finishedAt: record.startedAt), of: record.id, in: transaction)
        try publish("$saga.started", record, in: transaction)
    }

    /// Takes over a saga's instances from an earlier process: whether it was in the middle of a step's attempt is not known.
    func takeOver(_ saga: String) async throws {
        _ = try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try transaction.execute(
                "UPDATE dovetail_sagas SET in_doubt = 1 WHERE saga = \(saga) AND status = 'running'")
        }
    }

    /// Writes a transition: the instance as it is now, and the line that tells what happened. Both or neither.
    func commit(_ record: SagaRecord, _ entries: [SagaJournalEntry]) async throws {
        try await log.transaction("saga \(record.saga)", as: .engine) { transaction in
            try transaction.execute(
                """
                UPDATE dovetail_sagas SET status = \(record.status.rawValue), step = \(record.step),
                    attempts = \(record.attempts), in_doubt = \(record.inDoubt), state = \(record.state),
                    due_at = \(record.dueAt), problem = \(record.problem), updated_at = \(record.updatedAt)
                WHERE id = \(record.id)
                """)
            let last =
                try transaction.row(
                    Int.self, "SELECT COUNT(*) FROM dovetail_saga_journal WHERE id = \(record.id)") ?? 0
            for (index, entry) in entries.enumerated() {
                var numbered = entry
                numbered.sequence = last + index + 1
                try Self.note(numbered, of: record.id, in: transaction)
            }
            if record.status.isFinal { try Self.publish("$saga.\(record.status.rawValue)", record, in: transaction) }
        }
    }

    private static func note(_ entry: SagaJournalEntry, of id: UniqueID, in transaction: Transaction) throws {
        try transaction.execute(
            """
            INSERT INTO dovetail_saga_journal (id, sequence, step, kind, outcome, attempt, detail, started_at, finished_at)
            VALUES (\(id), \(entry.sequence), \(entry.step), \(entry.kind.rawValue), \(entry.outcome.rawValue),
                \(entry.attempt), \(entry.detail), \(entry.startedAt), \(entry.finishedAt))
            """)
    }

    /// What others may want to know of an instance.
    struct Notice: Wire {
        var id: UniqueID
        var saga: String
        var status: SagaStatus
        var problem: String?
    }

    private static func publish(_ type: String, _ record: SagaRecord, in transaction: Transaction) throws {
        let notice = Notice(id: record.id, saga: record.saga, status: record.status, problem: record.problem)
        var attributes = EventAttributes()
        attributes.correlationID = record.correlationID
        attributes.causationID = record.startedBy.description
        attributes.traceparent = record.traceparent
        try transaction.append(
            Append(events: [
                EventDraft(
                    type: type, key: record.id.description, source: "saga:\(record.saga)", attributes: attributes,
                    data: try JSON.encode(notice))
            ]))
    }
}
