import CDiskWatch
import CSQLite
import DovetailEvents

/// A connection to a SQLite database: statements by text, errors with words, and a guard over who may do what.
///
/// One thread uses it, from `init` to `deinit`; it owns the `sqlite3` and every statement in its cache.
package final class SQLiteConnection {
    private struct Key: Hashable {
        let role: StatementRole
        let text: String
    }

    /// The file's path, or `:memory:`.
    package let path: String
    private let handle: OpaquePointer
    private let statementGuard = StatementGuard()
    private var lastFailure: SQLiteFailure?
    /// A place in the cache; empty while its statement runs.
    private final class Slot {
        var statement: SQLiteStatement?
        init(_ statement: SQLiteStatement?) { self.statement = statement }
    }

    private var statements: [Key: Slot] = [:]
    private let walPages = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

    /// Opens the file, and makes it if it is not there. Throws ``SQLiteFailure``.
    package init(path: String, checkpointsOnClose: Bool = false) throws(SQLiteFailure) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(path, &opened, flags, path == ":memory:" ? nil : dovetail_disk_watch_name())
        guard code == SQLITE_OK, let opened else {
            let failure = SQLiteFailure(code, opened)
            sqlite3_close_v2(opened)
            walPages.deallocate()
            throw failure
        }
        self.path = path
        handle = opened
        walPages.initialize(to: 0)
        dovetail_sqlite_harden(opened)
        if !checkpointsOnClose { dovetail_sqlite_no_checkpoint_on_close(opened) }
        // The guard outlives the handle, which is closed in `deinit` while `self` still holds it.
        sqlite3_set_authorizer(
            opened,
            { context, action, first, second, _, trigger in
                guard let context else { return SQLITE_DENY }
                let statementGuard = Unmanaged<StatementGuard>.fromOpaque(context).takeUnretainedValue()
                if statementGuard.role == .owner { return SQLITE_OK }
                let allowed = statementGuard.allows(
                    action, first.map { String(cString: $0) }, second.map { String(cString: $0) },
                    trigger: trigger.map { String(cString: $0) })
                return allowed ? SQLITE_OK : SQLITE_DENY
            }, Unmanaged.passUnretained(statementGuard).toOpaque())
    }

    deinit {
        statements = [:]
        sqlite3_close_v2(handle)
        walPages.deallocate()
    }

    /// For extensions in files of their own.
    var rawHandle: OpaquePointer { handle }

    // MARK: State

    /// Whether a transaction is open.
    package var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// Whether a foreign key is violated that was deferred to the commit.
    package var hasPendingForeignKeys: Bool {
        var current: Int32 = 0
        var highest: Int32 = 0
        let code = sqlite3_db_status(handle, SQLITE_DBSTATUS_DEFERRED_FKS, &current, &highest, 0)
        return code == SQLITE_OK && current != 0
    }

    /// How many rows the last statement changed.
    package var changes: Int { Int(sqlite3_changes(handle)) }

    /// Whether a statement is still between its first step and its end.
    package var hasBusyStatement: Bool {
        var statement = sqlite3_next_stmt(handle, nil)
        while let found = statement {
            if sqlite3_stmt_busy(found) != 0 { return true }
            statement = sqlite3_next_stmt(handle, found)
        }
        return false
    }

    // MARK: The store's own statements

    /// Compiles a statement of the store's own, for its owner to keep.
    package func prepare(_ text: String) throws(SQLiteFailure) -> SQLiteStatement {
        let (statement, _) = try compile(text, as: .owner)
        guard let statement else { throw SQLiteFailure(SQLITE_MISUSE, nil) }
        return statement
    }

    /// Executes a statement of the store's own.
    package func run(_ text: String) throws(SQLiteFailure) {
        try prepare(text).run()
    }

    /// The first column of the first row, for PRAGMAs.
    package func value(_ text: String) throws(SQLiteFailure) -> SQLValue? {
        let statement = try prepare(text)
        defer { statement.reset() }
        return try statement.step() ? statement.row()[0] : nil
    }

    // MARK: Others' statements

    /// Executes a statement for `role`; returns how many rows it changed. Several statements at once may have no values.
    package func execute(_ sql: SQL, as role: StatementRole) throws -> Int {
        defer { statementGuard.role = .owner }
        let (statement, rest, slot) = try checkOut(sql, as: role)
        guard let statement else { return 0 }
        var changed = try execute(statement, sql)
        if rest.isEmpty {
            checkIn(statement, slot, sql, role)
            return changed
        }
        guard sql.values.isEmpty else {
            throw LogError(
                .statement, sql.text, "several statements at once cannot have values; execute them one by one")
        }
        var text = rest
        while !text.isEmpty {
            let (next, rest) = try translating(sql) { () throws(SQLiteFailure) in try compile(text, as: role) }
            if let next { changed += try execute(next, sql) }
            text = rest
        }
        return changed
    }

    /// Calls `body` with each row of a query for `role` until it returns false.
    package func query(_ sql: SQL, as role: StatementRole, _ body: (borrowing SQLRow) throws -> Bool) throws {
        // A statement may be compiled anew when it is run next: the guard is asked again then, and must not take the owner for a module.
        defer { statementGuard.role = .owner }
        let (statement, rest, slot) = try checkOut(sql, as: role)
        guard let statement else { return }
        guard rest.isEmpty else { throw LogError(.statement, sql.text, "a query is one statement") }
        try bind(sql, to: statement)
        defer { checkIn(statement, slot, sql, role) }
        while try translating(sql, { () throws(SQLiteFailure) in try statement.step() }) {
            if try !body(statement.row()) { break }
        }
    }

    private func execute(_ statement: SQLiteStatement, _ sql: SQL) throws -> Int {
        try bind(sql, to: statement)
        let before = sqlite3_total_changes(handle)
        try translating(sql) { () throws(SQLiteFailure) in try statement.run() }
        return sqlite3_total_changes(handle) == before ? 0 : changes
    }

    private func bind(_ sql: SQL, to statement: SQLiteStatement) throws {
        guard statement.parameterCount == sql.values.count else {
            throw LogError(
                .statement, sql.text,
                "it has \(statement.parameterCount) parameters and \(sql.values.count) values; interpolate values instead of writing ?"
            )
        }
        for (index, value) in sql.values.enumerated() { statement.bind(Int32(index + 1), value) }
    }

    private func translating<Value>(_ sql: SQL, _ body: () throws(SQLiteFailure) -> Value) throws -> Value {
        statementGuard.forget()
        do {
            return try body()
        } catch {
            lastFailure = error
            if error.primary == SQLITE_AUTH, let refusal = statementGuard.refusal {
                throw LogError(.forbidden, sql.text, refusal)
            }
            throw error.error(sql.text)
        }
    }

    /// The last failure of a statement that was not the store's own, once: by it the writer learns that the disk is full or broken.
    package func takeFailure() -> SQLiteFailure? {
        defer { lastFailure = nil }
        return lastFailure
    }

    // MARK: Compiling

    private func compile(
        _ text: String, as role: StatementRole
    ) throws(SQLiteFailure) -> (statement: SQLiteStatement?, rest: String) {
        statementGuard.role = role
        var text = text
        var pointer: OpaquePointer?
        var rest = ""
        let code = text.withUTF8 { bytes -> Int32 in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                var tail: UnsafePointer<CChar>?
                let code = sqlite3_prepare_v3(
                    handle, characters.baseAddress, Int32(clamping: characters.count),
                    UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, &tail)
                if let tail, let start = characters.baseAddress {
                    let unread = UnsafeBufferPointer(rebasing: bytes[(tail - start)...])
                    rest = SQLiteConnection.trimmed(String(decoding: unread, as: UTF8.self))
                }
                return code
            }
        }
        guard code == SQLITE_OK else { throw SQLiteFailure(code, handle) }
        return (pointer.map { SQLiteStatement($0) }, rest)
    }

    private static func trimmed(_ text: String) -> String {
        String(text.drop { $0.isWhitespace || $0 == ";" })
    }

    /// A statement for this text, out of the cache while it runs: the same text inside its own rows gets another.
    private func checkOut(
        _ sql: SQL, as role: StatementRole
    ) throws -> (statement: SQLiteStatement?, rest: String, slot: Slot?) {
        statementGuard.role = role
        let slot = statements[Key(role: role, text: sql.text)]
        if let slot, let statement = slot.statement {
            slot.statement = nil
            return (statement, "", slot)
        }
        let (statement, rest) = try translating(sql) { () throws(SQLiteFailure) in try compile(sql.text, as: role) }
        return (statement, rest, slot)
    }

    private func checkIn(_ statement: SQLiteStatement, _ slot: Slot?, _ sql: SQL, _ role: StatementRole) {
        statement.clear()
        if let slot {
            slot.statement = statement
            return
        }
        // Texts are literals in a program and few; more than this are built at run time and not worth keeping.
        if statements.count >= 512 { statements.removeAll() }
        statements[Key(role: role, text: sql.text)] = Slot(statement)
    }

    // MARK: The write-ahead log

    /// Counts the WAL's pages from now on, instead of letting SQLite checkpoint by itself.
    package func takeOverCheckpoints() {
        sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                context?.assumingMemoryBound(to: Int32.self).pointee = pages
                return SQLITE_OK
            }, walPages)
    }

    /// The pages in the WAL after the last commit.
    package var pagesInWAL: Int { Int(walPages.pointee) }

    /// Moves the WAL's pages into the database as far as readers allow; `truncating` waits for them and empties the WAL file.
    package func checkpoint(truncating: Bool = false) throws(SQLiteFailure) {
        var pages: Int32 = 0
        var moved: Int32 = 0
        let mode = truncating ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE
        let code = sqlite3_wal_checkpoint_v2(handle, nil, mode, &pages, &moved)
        guard code == SQLITE_OK || code & 0xFF == SQLITE_BUSY else { throw SQLiteFailure(code, handle) }
        if pages == moved { walPages.pointee = 0 }
    }
}
