import DovetailCore
import DovetailEvents
import DovetailPrivacy
import Foundation
import SQLiteBinding
import Synchronization

/// Keys in a SQLite file of their own, that only its owner may read: beside the log's file, and in none of its backups.
///
/// The file is made with the first key. What is deleted is overwritten, and the write-ahead log is emptied then, and at each opening, so that no byte of a key is left in the files.
public final class SQLiteKeyStore: SubjectKeyStore {
    /// The file's path.
    public let name: String
    private let writer: Mutex<Writer>
    private let reader: Mutex<KeyFile?>

    private struct Writer {
        var file: KeyFile?
        /// Whether bytes of what was removed may be left in the write-ahead log.
        var isToBeEmptied = false
        var isClosed = false
    }

    /// The keys in the file at `path`, if it is there. Throws ``LogError`` if it cannot be read.
    public init(path: String) throws {
        name = path
        let isThere = FileManager.default.fileExists(atPath: path)
        writer = Mutex(Writer(file: isThere ? try KeyFile(path, writing: true) : nil, isToBeEmptied: isThere))
        reader = Mutex(isThere ? try KeyFile(path, writing: false) : nil)
        // What the process before has removed may be left; who reads the file keeps it from being opened no more than from being read.
        try? overwrite()
    }

    /// Empties the write-ahead log and closes the file.
    public func close() {
        reader.withLock { $0 = nil }
        writer.withLock { writer in
            try? writer.file?.connection.checkpoint(truncating: true)
            writer = Writer(isClosed: true)
        }
    }

    /// Copies the keys into a new file at `path`, readable by its owner only.
    public func copy(to path: String) throws {
        guard !FileManager.default.fileExists(atPath: path) else {
            throw LogError(.readOnly, path, "there is something already; name a file that is not there yet")
        }
        try write { file in
            try KeyFile.make(path)
            do { try file.connection.copy(to: path) { _ in } } catch {
                try? FileManager.default.removeItem(atPath: path)
                throw error
            }
        }
    }

    // MARK: Access

    private func read<Value: Sendable>(_ otherwise: Value, _ body: (KeyFile) throws -> Value) throws -> Value {
        try reader.withLock { file in
            guard let file else { return otherwise }
            return try translating { try body(file) }
        }
    }

    /// Runs `body` with the file, which is made if it is not there.
    private func write<Value: Sendable>(_ body: (KeyFile) throws -> Value) throws -> Value {
        try writer.withLock { try write(&$0, body) }
    }

    private func write<Value>(_ writer: inout Writer, _ body: (KeyFile) throws -> Value) throws -> Value {
        try translating {
            let file = try writer.file ?? make(&writer)
            return try body(file)
        }
    }

    private func make(_ writer: inout Writer) throws -> KeyFile {
        // Its lock is gone with the store: the file may be another process's now.
        guard !writer.isClosed else { throw LogError(.stopped, name, "it was closed") }
        try KeyFile.make(name)
        let file = try KeyFile(name, writing: true)
        try reader.withLock { $0 = try KeyFile(name, writing: false) }
        writer.file = file
        return file
    }

    /// Runs `body`, which removes or replaces keys.
    private func remove<Value: Sendable>(_ body: (KeyFile) throws -> Value) throws -> Value {
        try writer.withLock { writer in
            writer.isToBeEmptied = true
            return try write(&writer, body)
        }
    }

    public func overwrite() throws {
        try writer.withLock { writer in
            guard writer.isToBeEmptied, let file = writer.file else { return }
            try translating { try reader.withLock { _ in try file.empty() } }
            writer.isToBeEmptied = false
        }
    }

    private func translating<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch let failure as SQLiteFailure { throw failure.error(name) }
    }

    // MARK: Keys

    public func lock() throws -> String? {
        try read(nil) { file in
            guard case .text(let lock)? = try file.first("SELECT value FROM meta WHERE name = 'lock'")?[0] else {
                return nil
            }
            return lock
        }
    }

    public func relock(_ lock: String, _ change: (SubjectKey) throws -> SubjectKey) throws {
        try remove { file in
            try file.transaction {
                for key in try file.keys("SELECT id, subject, secret, created_at FROM subject_keys") {
                    let changed = try change(key)
                    try file.run("UPDATE subject_keys SET secret = \(changed.secret) WHERE id = \(key.id)")
                }
                try file.set("lock", lock)
            }
        }
    }

    public func newestKey(of subject: String) throws -> SubjectKey? {
        try read(nil) { file in
            try file.keys(
                """
                SELECT id, subject, secret, created_at FROM subject_keys WHERE subject = \(subject)
                ORDER BY created_at DESC LIMIT 1
                """
            ).first
        }
    }

    public func key(_ id: UniqueID) throws -> SubjectKey? {
        try read(nil) { try $0.keys("SELECT id, subject, secret, created_at FROM subject_keys WHERE id = \(id)").first }
    }

    public func add(_ keys: [SubjectKey], lock: String) throws {
        try write { file in
            try file.transaction {
                try file.run("INSERT INTO meta (name, value) VALUES ('lock', \(lock)) ON CONFLICT (name) DO NOTHING")
                for key in keys {
                    try file.run(
                        """
                        INSERT INTO subject_keys (id, subject, secret, created_at)
                        SELECT \(key.id), \(key.subject), \(key.secret), \(key.createdAt)
                        WHERE NOT EXISTS (SELECT 1 FROM forgotten_subjects WHERE subject = \(key.subject))
                        ON CONFLICT (id) DO NOTHING
                        """)
                }
            }
        }
    }

    // MARK: Forgetting

    public func forgotten(_ subject: String) throws -> ForgottenSubject? {
        try read(nil) { try $0.forgotten("WHERE subject = \(subject)").first }
    }

    public func forget(_ subject: ForgottenSubject, announced: Bool) throws -> ForgottenSubject {
        try remove { file in
            try file.transaction {
                try file.run("DELETE FROM subject_keys WHERE subject = \(subject.subject)")
                try file.run(
                    """
                    INSERT INTO forgotten_subjects (subject, forgotten_at, reason, announced)
                    VALUES (\(subject.subject), \(subject.at), \(subject.reason), \(announced)) ON CONFLICT (subject) DO NOTHING
                    """)
                return try file.forgotten("WHERE subject = \(subject.subject)").first ?? subject
            }
        }
    }

    public func unannounced() throws -> [ForgottenSubject] {
        try read([]) { try $0.forgotten("WHERE announced = 0 ORDER BY forgotten_at") }
    }

    public func announced(_ subject: String) throws {
        try write { try $0.run("UPDATE forgotten_subjects SET announced = 1 WHERE subject = \(subject)") }
    }

    // MARK: Looking

    public func status(of subject: String) throws -> SubjectStatus? {
        try read(nil) { file in
            let forgotten = try file.forgotten("WHERE subject = \(subject)").first
            let row = try file.first("SELECT count(*), min(created_at) FROM subject_keys WHERE subject = \(subject)")
            guard case .integer(let count)? = row?[0], count > 0 || forgotten != nil else { return nil }
            return SubjectStatus(
                subject: subject, keys: Int(count), since: row?[1].date, forgotten: forgotten)
        }
    }

    public func subjects(after subject: String, limit: Int) throws -> [SubjectStatus] {
        let names: [String] = try read([]) { file in
            try file.all(
                """
                SELECT subject FROM (SELECT subject FROM subject_keys UNION SELECT subject FROM forgotten_subjects)
                WHERE subject > \(subject) ORDER BY subject LIMIT \(limit)
                """
            ).compactMap { if case .text(let name) = $0[0] { name } else { nil } }
        }
        return try names.compactMap { try status(of: $0) }
    }

    public func place() throws -> LogPosition? {
        try read(nil) { file in
            guard case .text(let text)? = try file.first("SELECT value FROM meta WHERE name = 'place'")?[0] else {
                return nil
            }
            return LogPosition(text)
        }
    }

    public func keep(_ place: LogPosition) throws {
        try write { try $0.set("place", place.description) }
    }
}

/// A connection to the file of keys.
private final class KeyFile: @unchecked Sendable {
    // Unchecked: one thread at a time uses it, under the lock that holds it.
    let connection: SQLiteConnection

    init(_ path: String, writing: Bool) throws {
        do { connection = try SQLiteConnection(path: path, checkpointsOnClose: writing) } catch {
            throw error.error(path)
        }
        do { try prepare(writing: writing) } catch { throw error.error(path) }
    }

    private func prepare(writing: Bool) throws(SQLiteFailure) {
        try connection.run("PRAGMA busy_timeout = 2000")
        guard writing else { return try connection.run("PRAGMA query_only = ON") }
        _ = try connection.value("PRAGMA journal_mode = WAL")
        try connection.run("PRAGMA synchronous = FULL")
        #if canImport(Darwin)
            try connection.run("PRAGMA fullfsync = 1")
            try connection.run("PRAGMA checkpoint_fullfsync = 1")
        #endif
        // What is deleted is overwritten with zeros.
        _ = try connection.value("PRAGMA secure_delete = ON")
        for table in KeyFile.tables { try connection.run(table) }
    }

    private static let tables = [
        "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE IF NOT EXISTS subject_keys (
            id TEXT PRIMARY KEY, subject TEXT NOT NULL, secret BLOB NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID
        """,
        "CREATE INDEX IF NOT EXISTS subject_keys_by_subject ON subject_keys (subject, created_at)",
        """
        CREATE TABLE IF NOT EXISTS forgotten_subjects (
            subject TEXT PRIMARY KEY, forgotten_at INTEGER NOT NULL, reason TEXT, announced INTEGER NOT NULL) WITHOUT ROWID
        """,
    ]

    /// Makes an empty file that only its owner may read: what SQLite puts beside it gets the same mode.
    static func make(_ path: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LogError(
                .readOnly, path,
                "the file of keys cannot be made (\(String(cString: strerror(errno)))); check that its folder can be written"
            )
        }
        fchmod(descriptor, 0o600)
        close(descriptor)
    }

    /// Empties the write-ahead log, with what is in it of what was deleted. Throws if somebody reads who keeps it from that.
    func empty() throws {
        try connection.checkpoint(truncating: true)
        let left = try? FileManager.default.attributesOfItem(atPath: connection.path + "-wal")[.size] as? Int
        guard (left ?? 0) == 0 else {
            throw LogError(
                .locked, connection.path,
                "another process reads the file of keys, so that what was deleted is still beside it; end it, then forget again or restart"
            )
        }
    }

    func transaction<Value>(_ body: () throws -> Value) throws -> Value {
        try connection.run("BEGIN IMMEDIATE")
        do {
            let value = try body()
            try connection.run("COMMIT")
            return value
        } catch {
            if connection.isInTransaction { try? connection.run("ROLLBACK") }
            throw error
        }
    }

    func run(_ sql: SQL) throws { _ = try connection.execute(sql, as: .owner) }

    func set(_ name: String, _ value: String) throws {
        try run(
            "INSERT INTO meta (name, value) VALUES (\(name), \(value)) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
    }

    func all(_ sql: SQL) throws -> [[SQLValue]] {
        var rows: [[SQLValue]] = []
        try connection.query(sql, as: .owner) { row in
            rows.append(row.values)
            return true
        }
        return rows
    }

    func first(_ sql: SQL) throws -> [SQLValue]? { try all(sql).first }

    func keys(_ sql: SQL) throws -> [SubjectKey] {
        try all(sql).compactMap { row in
            guard case .text(let text) = row[0], let id = UniqueID(text), case .text(let subject) = row[1],
                case .blob(let secret) = row[2], let date = row[3].date
            else { return nil }
            return SubjectKey(id: id, subject: subject, secret: secret, createdAt: date)
        }
    }

    func forgotten(_ condition: SQL) throws -> [ForgottenSubject] {
        try all("SELECT subject, forgotten_at, reason FROM forgotten_subjects \(condition)").compactMap { row in
            guard case .text(let subject) = row[0], let date = row[1].date else { return nil }
            var reason: String?
            if case .text(let text) = row[2] { reason = text }
            return ForgottenSubject(subject, at: date, reason: reason)
        }
    }
}

extension SQLValue {
    fileprivate var date: Date? {
        if case .integer(let micros) = self { Date(timeIntervalSince1970: Double(micros) / 1e6) } else { nil }
    }
}
