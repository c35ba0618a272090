/// The table of aggregates' snapshots, in the log's database: what is left of a stream when its events are gone.
package enum SnapshotTable {
    /// Makes the table where it is not there.
    package static let table: SQL = """
        CREATE TABLE IF NOT EXISTS dovetail_snapshots (
            stream TEXT PRIMARY KEY, version BIGINT NOT NULL, fingerprint TEXT NOT NULL,
            saved_at BIGINT NOT NULL, state BLOB NOT NULL)
        """
}

extension EventLog {
    /// Removes the snapshot of a stream, if there is one. Durable when it returns.
    package func removeSnapshot(of stream: String) async throws {
        try await transaction("snapshots", as: .engine) { transaction in
            try transaction.execute(SnapshotTable.table)
            try transaction.execute("DELETE FROM dovetail_snapshots WHERE stream = \(stream)")
        }
    }
}
