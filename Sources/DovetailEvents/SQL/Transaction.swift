import DovetailContracts
import DovetailCore

/// A view of a database at one moment. Lives as long as the closure it was given to.
public class Snapshot {
    let backend: any TransactionBackend
    private var isOpen = true

    package init(_ backend: any TransactionBackend) {
        self.backend = backend
    }

    /// The rows that a query returns, decoded: columns fill the fields of their names, where `user_id` and `userID` are the same name.
    ///
    /// A scalar type takes the first column. Throws ``LogError`` `statement`, or `DecodingError` if a row does not fit.
    public func rows<Row: Decodable>(_ type: Row.Type, _ sql: SQL) throws -> [Row] {
        var rows: [Row] = []
        try each(sql) { row in
            rows.append(try row.decode(Row.self))
            return true
        }
        return rows
    }

    /// The first row that a query returns; nil if there is none.
    public func row<Row: Decodable>(_ type: Row.Type, _ sql: SQL) throws -> Row? {
        var found: Row?
        try each(sql) { row in
            found = try row.decode(Row.self)
            return false
        }
        return found
    }

    /// Calls `body` with each row until it returns false.
    package func each(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws {
        precondition(isOpen, "a transaction is used after its closure has returned")
        try sql.requireValues()
        try backend.query(sql, body)
    }

    /// Events of a stream with versions above `version`, on a snapshot of a log; see ``EventLog/stream(_:after:limit:)``.
    package func stream(_ name: String, after version: Int64, limit: Int) throws -> [StoredEvent] {
        requireOpen()
        return try backend.stream(name, after: version, limit: limit)
    }

    /// Where a stream stands, on a snapshot of a log; see ``EventLog/streamStatus(_:)``.
    package func streamStatus(_ name: String) throws -> StreamStatus? {
        requireOpen()
        return try backend.streamStatus(name)
    }

    /// Ends the snapshot's life. For the backend that made it.
    package func close() {
        isOpen = false
    }

    func requireOpen() {
        precondition(isOpen, "a transaction is used after its closure has returned")
    }
}

/// A transaction in progress: SQL and appends that commit together or not at all.
///
/// It is synchronous and not `Sendable`: the compiler refuses `await`, nesting, escape and tasks.
public final class Transaction: Snapshot {
    /// The module that events are published for; the event's `source`.
    let source: String
    let context: CallContext?

    package init(_ backend: any TransactionBackend, source: String, context: CallContext?) {
        self.source = source
        self.context = context
        super.init(backend)
    }

    /// Executes a statement; returns how many rows it changed. Throws ``LogError`` `statement` or `forbidden`.
    @discardableResult
    public func execute(_ sql: SQL) throws -> Int {
        requireOpen()
        try sql.requireValues()
        return try backend.execute(sql)
    }

    /// Publishes an event with the transaction: it is in the log when, and only when, the transaction commits.
    public func publish(_ event: NewEvent) throws {
        try append(Append(events: [try EventDraft(event, source: source, context: context)]))
    }

    /// Appends events with the transaction. Throws `versionConflict` at once if the stream is elsewhere.
    ///
    /// Streams of aggregates have one writer, their command executor, which speculates on what it has queued; so this is no public door.
    @discardableResult
    package func append(_ append: Append) throws -> Appended {
        requireOpen()
        return try backend.append(append)
    }
}

extension Transaction {
    /// Runs statements on the engine's own tables within a module's transaction.
    package func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value {
        try backend.asEngine(body)
    }
}

@available(*, unavailable)
extension Snapshot: Sendable {}

/// What a backend does for a transaction, on its own thread.
package protocol TransactionBackend: AnyObject {
    /// Executes a statement; returns how many rows it changed.
    func execute(_ sql: SQL) throws -> Int
    /// Calls `body` with each row until it returns false.
    func query(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws
    /// Appends events within the transaction.
    func append(_ append: Append) throws -> Appended
    /// Runs `body`, whose statements may touch the engine's tables.
    func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value
    /// Events of a stream, as ``EventLog/stream(_:after:limit:)``.
    func stream(_ name: String, after version: Int64, limit: Int) throws -> [StoredEvent]
    /// Where a stream stands, as ``EventLog/streamStatus(_:)``.
    func streamStatus(_ name: String) throws -> StreamStatus?
}

extension TransactionBackend {
    package func stream(_ name: String, after version: Int64, limit: Int) throws -> [StoredEvent] {
        throw LogError(.statement, name, "events are read on a snapshot of their log")
    }

    package func streamStatus(_ name: String) throws -> StreamStatus? {
        throw LogError(.statement, name, "streams are looked at on a snapshot of their log")
    }
}
