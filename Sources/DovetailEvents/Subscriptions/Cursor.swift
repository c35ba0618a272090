import DovetailCore

/// How far a reader that keeps its own place has come in a log; stored beside what it writes, and written with it.
package struct Cursor: Sendable, Hashable {
    package var log: UniqueID
    package var epoch: Int
    package var scanned: Int64

    package init(log: UniqueID, epoch: Int, scanned: Int64) {
        (self.log, self.epoch, self.scanned) = (log, epoch, scanned)
    }

    package static let table: SQL = """
        CREATE TABLE IF NOT EXISTS dovetail_cursors (
            name TEXT PRIMARY KEY, log TEXT NOT NULL, epoch BIGINT NOT NULL, scanned BIGINT NOT NULL)
        """

    package static func load(_ name: String, in snapshot: Snapshot) throws -> Cursor? {
        struct Row: Decodable { var log: UniqueID, epoch: Int, scanned: Int64 }
        return try snapshot.row(Row.self, "SELECT log, epoch, scanned FROM dovetail_cursors WHERE name = \(name)")
            .map { Cursor(log: $0.log, epoch: $0.epoch, scanned: $0.scanned) }
    }

    package func save(_ name: String, in transaction: Transaction) throws {
        try transaction.execute(
            """
            INSERT INTO dovetail_cursors (name, log, epoch, scanned) VALUES (\(name), \(log), \(epoch), \(scanned))
            ON CONFLICT (name) DO UPDATE SET log = excluded.log, epoch = excluded.epoch, scanned = excluded.scanned
            """)
    }
}
