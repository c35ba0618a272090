import DovetailCore
import DovetailEvents
import Foundation
import SQLiteBinding
import Synchronization

/// Threads that read, each with a connection of its own that can neither write nor checkpoint.
final class ReaderPool: Sendable {
    private typealias Job = @Sendable (ReaderCore) -> Void

    private struct State {
        var jobs: [Job] = []
        var closed = false
        var running: Int
    }

    private let path: String
    private let state: Mutex<State>
    private let bell = DispatchSemaphore(value: 0)
    private let finished = Ticket<Void>()
    private let threads: Int

    /// Opens `threads` connections to a database that its writer has opened already.
    init(path: String, threads: Int, identity: (log: UniqueID, epoch: Int)?) throws {
        self.path = path
        self.threads = threads
        state = Mutex(State(running: threads))
        let opened = Mutex<[any Error]>([])
        let ready = DispatchSemaphore(value: 0)
        for index in 0..<threads {
            let thread = Thread { [self] in
                do {
                    let core = try ReaderCore(path: path, identity: identity)
                    ready.signal()
                    serve(core)
                } catch {
                    opened.withLock { $0.append(error) }
                    ready.signal()
                }
                let isLast = state.withLock { state in
                    state.running -= 1
                    return state.running == 0
                }
                if isLast { finished.fulfil(.success(())) }
            }
            thread.name = "dovetail-reader-\(index)"
            thread.stackSize = 2 << 20
            thread.start()
        }
        for _ in 0..<threads { ready.wait() }
        if let error = opened.withLock({ $0.first }) {
            stop()
            throw (error as? SQLiteFailure)?.error(path) ?? error
        }
    }

    /// Runs `body` on one of the threads. Throws `stopped` once the pool is closed.
    func read<Value: Sendable>(_ body: @escaping @Sendable (ReaderCore) throws -> Value) async throws -> Value {
        let ticket = Ticket<Value>()
        let path = path
        let accepted = state.withLock { state in
            guard !state.closed else { return false }
            state.jobs.append { core in
                do {
                    ticket.fulfil(.success(try body(core)))
                } catch let failure as SQLiteFailure {
                    ticket.fulfil(.failure(failure.error(path)))
                } catch {
                    ticket.fulfil(.failure(error))
                }
            }
            return true
        }
        guard accepted else { throw LogError(.stopped, path, "it was shut down") }
        bell.signal()
        return try await ticket.value
    }

    private func serve(_ core: ReaderCore) {
        while true {
            bell.wait()
            let job: Job? = state.withLock { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }
            guard let job else { return }
            job(core)
        }
    }

    private func stop() {
        let first = state.withLock { state in
            defer { state.closed = true }
            return !state.closed
        }
        // A ring without a job ends a thread; jobs that wait are done first.
        if first { for _ in 0..<threads { bell.signal() } }
    }

    /// Answers what was asked already, then closes the connections.
    func close() async {
        stop()
        _ = try? await finished.value
    }
}

/// What a reader's thread owns.
final class ReaderCore {
    private let connection: SQLiteConnection
    private let logReader: LogReader?
    private let begin: SQLiteStatement
    private let end: SQLiteStatement

    init(path: String, identity: (log: UniqueID, epoch: Int)?) throws {
        connection = try SQLiteConnection(path: path)
        try connection.run("PRAGMA busy_timeout = 2000")
        try connection.run("PRAGMA query_only = ON")
        try connection.run("PRAGMA wal_autocheckpoint = 0")
        try connection.run("PRAGMA temp_store = MEMORY")
        try connection.run("PRAGMA cache_size = -8192")
        logReader = try identity.map { [connection] in try LogReader(connection, identity: $0) }
        begin = try connection.prepare("BEGIN")
        end = try connection.prepare("ROLLBACK")
    }

    /// The log's events. Throws if the database is no log.
    var log: LogReader {
        get throws {
            guard let logReader else { throw LogError(.statement, connection.path, "it holds no events") }
            return logReader
        }
    }

    /// Goes on with a look through the log, one window of it.
    func verify(with verifier: LogVerifier) throws -> (number: Int64, isDone: Bool) {
        try begin.run()
        defer { try? end.run() }
        return try verifier.step(connection, log)
    }

    /// Runs `body` on a snapshot.
    func snapshot<Value>(_ body: (Snapshot) throws -> Value) throws -> Value {
        try begin.run()
        defer { try? end.run() }
        let statements = ConnectionBackend(reading: connection)
        let snapshot = Snapshot(
            logReader.map { LogSnapshotBackend(statements, $0) as any TransactionBackend } ?? statements)
        defer { snapshot.close() }
        return try body(snapshot)
    }
}

/// What a snapshot of a log reads: tables, and the events of streams.
private final class LogSnapshotBackend: TransactionBackend {
    private let statements: ConnectionBackend
    private let log: LogReader

    init(_ statements: ConnectionBackend, _ log: LogReader) {
        self.statements = statements
        self.log = log
    }

    func execute(_ sql: SQL) throws -> Int { try statements.execute(sql) }

    func query(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws { try statements.query(sql, body) }

    func append(_ append: Append) throws -> Appended { try statements.append(append) }

    func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value { try statements.asEngine(body) }

    func stream(_ name: String, after version: Int64, limit: Int) throws -> [StoredEvent] {
        try log.stream(name, after: version, limit: limit)
    }

    func streamStatus(_ name: String) throws -> StreamStatus? { try log.status(ofStream: name) }
}
