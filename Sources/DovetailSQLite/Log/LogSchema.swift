import DovetailCore
import DovetailEvents
import SQLiteBinding

/// The tables of a log, and what a store says of itself.
enum LogSchema {
    /// `PRAGMA application_id` of a store: "Dtl1".
    private static let application: Int64 = 0x4474_6C31
    /// `PRAGMA user_version`: the layout this program writes.
    static let version: Int64 = 5

    private static let tables = [
        "CREATE TABLE dovetail_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
        // What is looked at first stands first: SQLite reads a row from the left and stops where it may.
        """
        CREATE TABLE dovetail_log (
            position INTEGER PRIMARY KEY, type INTEGER NOT NULL, stream INTEGER, version INTEGER,
            committed_at INTEGER NOT NULL, checksum INTEGER NOT NULL, id BLOB NOT NULL, key TEXT NOT NULL,
            attributes BLOB NOT NULL, data BLOB NOT NULL)
        """,
        "CREATE UNIQUE INDEX dovetail_log_id ON dovetail_log (id)",
        "CREATE UNIQUE INDEX dovetail_log_stream ON dovetail_log (stream, version) WHERE stream IS NOT NULL",
        """
        CREATE TABLE dovetail_streams (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, floor INTEGER NOT NULL,
            deleted_at INTEGER, tombstoned_at INTEGER, leaving INTEGER NOT NULL DEFAULT 0)
        """,
        """
        CREATE TABLE dovetail_types (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, source TEXT NOT NULL,
            UNIQUE (name, version, source))
        """,
        reclaimed, truncated, leaving,
    ]

    /// What was reclaimed: how many of the numbers from the first to the last, and their checksums together.
    private static let reclaimed = """
        CREATE TABLE dovetail_reclaimed (
            first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, checksum INTEGER NOT NULL,
            reclaimed_at INTEGER NOT NULL, PRIMARY KEY (first, last)) WITHOUT ROWID
        """

    /// What is remembered of truncated events whose ids are names: see ``TruncatedEvent``.
    private static let truncated = """
        CREATE TABLE IF NOT EXISTS dovetail_truncated (
            id BLOB PRIMARY KEY, position INTEGER NOT NULL, version INTEGER NOT NULL, input TEXT) WITHOUT ROWID
        """

    /// Streams that were deleted for good and of which something is left.
    private static let leaving = """
        CREATE INDEX IF NOT EXISTS dovetail_streams_leaving ON dovetail_streams (name) WHERE leaving = 1
        """

    /// Columns that streams have got since the first layout.
    private static let columns = [
        ("deleted_at", "INTEGER"), ("tombstoned_at", "INTEGER"), ("leaving", "INTEGER NOT NULL DEFAULT 0"),
    ]

    /// Makes the tables in a new file; checks that an old one is a store that this program can read.
    static func prepare(_ connection: SQLiteConnection) throws {
        let application = try connection.value("PRAGMA application_id")
        let tables = try connection.value("SELECT count(*) FROM sqlite_master")
        if tables == .integer(0) {
            try create(in: connection)
        } else if application != .integer(LogSchema.application) {
            throw LogError(
                .unreadable, connection.path, "it is a SQLite database, but no Dovetail store; choose another path")
        }
        guard case .integer(let version) = try connection.value("PRAGMA user_version"), version <= LogSchema.version
        else {
            throw LogError(
                .unreadable, connection.path,
                "it was written by a newer version of Dovetail; run that version or a newer one")
        }
        guard version < LogSchema.version else { return }
        try connection.run("BEGIN IMMEDIATE")
        if version < 2 { try connection.run(reclaimed) }
        if version < 4 { try connection.run(truncated) }
        for (column, type) in columns {
            let known = "SELECT count(*) FROM pragma_table_info('dovetail_streams') WHERE name = '\(column)'"
            if try connection.value(known) == .integer(0) {
                try connection.run("ALTER TABLE dovetail_streams ADD COLUMN \(column) \(type)")
            }
        }
        try connection.run(leaving)
        try connection.run("PRAGMA user_version = \(LogSchema.version)")
        try connection.run("COMMIT")
    }

    private static func create(in connection: SQLiteConnection) throws {
        try connection.run("BEGIN IMMEDIATE")
        for table in tables { try connection.run(table) }
        try connection.run(
            "INSERT INTO dovetail_meta VALUES ('log', '\(UniqueID.v7())'), ('epoch', 1), ('position', 0)")
        try connection.run("PRAGMA application_id = \(application)")
        try connection.run("PRAGMA user_version = \(version)")
        try connection.run("COMMIT")
    }

    /// The log's id and epoch.
    static func identity(_ connection: SQLiteConnection) throws -> (log: UniqueID, epoch: Int) {
        guard case .text(let text) = try connection.value("SELECT value FROM dovetail_meta WHERE name = 'log'"),
            let log = UniqueID(text),
            case .integer(let epoch) = try connection.value("SELECT value FROM dovetail_meta WHERE name = 'epoch'")
        else {
            throw LogError(.unreadable, connection.path, "its id is missing; restore it from a backup")
        }
        return (log, Int(epoch))
    }
}
