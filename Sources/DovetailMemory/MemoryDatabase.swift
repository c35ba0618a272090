import DovetailCore
import DovetailEvents
import SQLiteBinding
import Synchronization

/// Tables in memory.
final class MemoryDatabase: Database {
    private let tables: Mutex<MemoryTables>

    /// Tables; `beforeCommit` keeps what a commit rests on.
    init(beforeCommit: @escaping @Sendable () throws -> Void) throws {
        tables = Mutex(try MemoryTables(beforeCommit: beforeCommit))
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        let context = CallContext.current
        return try tables.withLock { tables in
            try tables.transaction(
                label, as: role, context: context,
                append: { _ in
                    throw LogError(
                        .forbidden, label, "events are appended to a log, and this database holds read models")
                }, undo: {}, body)
        }
    }

    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        try tables.withLock { try $0.snapshot(body) }
    }
}

/// A connection to a database in memory, with whole transactions.
final class MemoryTables {
    private let connection: SQLiteConnection
    private let runner: ClosureRunner
    private let beforeCommit: @Sendable () throws -> Void

    init(beforeCommit: @escaping @Sendable () throws -> Void) throws {
        self.beforeCommit = beforeCommit
        do {
            connection = try SQLiteConnection(path: ":memory:")
            try connection.run("PRAGMA foreign_keys = ON")
            runner = try ClosureRunner(connection)
        } catch {
            throw error.error("memory")
        }
    }

    /// Runs `body` and commits; if it throws, nothing it did remains, and `undo` has taken back its appends.
    func transaction<Value>(
        _ label: String, as role: TransactionRole, context: CallContext?,
        append: @escaping (Append) throws -> Appended, undo: () -> Void, _ body: (Transaction) throws -> Value
    ) throws -> Value {
        do {
            try connection.run("BEGIN IMMEDIATE")
            defer { if connection.isInTransaction { try? connection.run("ROLLBACK") } }
            switch runner.run(label, as: role, context: context, append: append, undo: undo, body) {
            case .done(let value):
                do {
                    try beforeCommit()
                    try connection.run("COMMIT")
                } catch {
                    undo()
                    throw error
                }
                return value
            case .failed(let error), .brokeTransaction(let error):
                throw error
            }
        } catch let failure as SQLiteFailure {
            throw failure.error(label)
        }
    }

    /// Runs `body` on a snapshot, which shows the events of a log too, if there are some.
    func snapshot<Value>(of events: MemoryEvents? = nil, _ body: (Snapshot) throws -> Value) throws -> Value {
        do {
            try connection.run("BEGIN")
            defer { try? connection.run("ROLLBACK") }
            let statements = ConnectionBackend(reading: connection)
            let snapshot = Snapshot(
                events.map { MemorySnapshotBackend(statements, $0) as any TransactionBackend } ?? statements)
            defer { snapshot.close() }
            return try body(snapshot)
        } catch let failure as SQLiteFailure {
            throw failure.error("snapshot")
        }
    }
}

/// What a snapshot of a log in memory reads: tables, and the events of streams.
private final class MemorySnapshotBackend: TransactionBackend {
    private let statements: ConnectionBackend
    private let events: MemoryEvents

    init(_ statements: ConnectionBackend, _ events: MemoryEvents) {
        self.statements = statements
        self.events = events
    }

    func execute(_ sql: SQL) throws -> Int { try statements.execute(sql) }

    func query(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws { try statements.query(sql, body) }

    func append(_ append: Append) throws -> Appended { try statements.append(append) }

    func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value { try statements.asEngine(body) }

    func stream(_ name: String, after version: Int64, limit: Int) throws -> [StoredEvent] {
        events.stream(name, after: version, limit: limit)
    }

    func streamStatus(_ name: String) throws -> StreamStatus? { events.status(ofStream: name) }
}
