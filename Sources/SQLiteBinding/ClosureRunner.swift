import CSQLite
import DovetailCore
import DovetailEvents

/// Runs a transaction's closure inside a transaction that is already open, so that nothing it does can reach beyond its own savepoint.
///
/// The savepoint's name is random and users cannot make savepoints at all. Afterwards the transaction has to be open still, with no deferred
/// foreign key violated and no statement busy: each of these would otherwise strike the whole group at its commit.
package final class ClosureRunner {
    /// How a closure came out.
    package enum Outcome<Value> {
        /// It did its work.
        case done(Value)
        /// It failed and left no trace.
        case failed(any Error)
        /// It failed and took the whole transaction with it: what others did in it has to be done again.
        case brokeTransaction(any Error)
    }

    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let release: SQLiteStatement
    private let rollBack: SQLiteStatement

    package init(_ connection: SQLiteConnection) throws(SQLiteFailure) {
        self.connection = connection
        let name = "dovetail_\(UInt64.random(in: .min ... .max))"
        begin = try connection.prepare("SAVEPOINT \(name)")
        release = try connection.prepare("RELEASE \(name)")
        rollBack = try connection.prepare("ROLLBACK TO \(name)")
    }

    /// Runs `body`. `append` appends events within the transaction; `undo` takes back what it did when the closure fails.
    package func run<Value>(
        _ label: String, as role: TransactionRole, context: CallContext?,
        append: @escaping (Append) throws -> Appended, undo: () -> Void, _ body: (Transaction) throws -> Value
    ) -> Outcome<Value> {
        do { try begin.run() } catch { return .brokeTransaction(error.error(label)) }
        let backend = ConnectionBackend(connection, role: StatementRole(role), append: append)
        let transaction = Transaction(backend, source: label, context: context)
        do {
            defer { transaction.close() }
            let value = try body(transaction)
            try check(label)
            try translating(label) { () throws(SQLiteFailure) in try release.run() }
            return .done(value)
        } catch {
            undo()
            guard connection.isInTransaction else { return .brokeTransaction(error) }
            do {
                try rollBack.run()
                try release.run()
            } catch {
                return .brokeTransaction(error.error(label))
            }
            return .failed(error)
        }
    }

    private func check(_ label: String) throws {
        guard connection.isInTransaction else {
            throw LogError(.statement, label, "one of its statements rolled the transaction back")
        }
        guard !connection.hasPendingForeignKeys else {
            throw LogError(.statement, label, "FOREIGN KEY constraint failed at the end of the transaction")
        }
        guard !connection.hasBusyStatement else {
            throw LogError(.statement, label, "one of its statements is still running")
        }
    }

    private func translating(_ label: String, _ body: () throws(SQLiteFailure) -> Void) throws(LogError) {
        do { try body() } catch { throw error.error(label) }
    }
}

/// A transaction's or a snapshot's statements on a connection.
package final class ConnectionBackend: TransactionBackend {
    private let connection: SQLiteConnection
    private var role: StatementRole
    private let appendEvents: (Append) throws -> Appended

    package init(
        _ connection: SQLiteConnection, role: StatementRole, append: @escaping (Append) throws -> Appended
    ) {
        self.connection = connection
        self.role = role
        appendEvents = append
    }

    /// A snapshot's: it reads.
    package convenience init(reading connection: SQLiteConnection) {
        self.init(connection, role: .reader) { _ in throw LogError(.forbidden, "append", "a snapshot cannot write") }
    }

    package func execute(_ sql: SQL) throws -> Int {
        try requireTransaction(sql.text)
        return try connection.execute(sql, as: role)
    }

    package func query(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws {
        try requireTransaction(sql.text)
        try connection.query(sql, as: role, body)
    }

    package func append(_ append: Append) throws -> Appended {
        try requireTransaction(append.stream ?? "append")
        return try appendEvents(append)
    }

    package func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value {
        let before = role
        if role == .module { role = .engine }
        defer { role = before }
        return try body()
    }

    /// A closure that goes on after `OR ROLLBACK` struck would write outside of any transaction.
    private func requireTransaction(_ subject: String) throws {
        guard connection.isInTransaction else {
            throw LogError(.statement, subject, "the transaction was rolled back by an earlier statement")
        }
    }
}
