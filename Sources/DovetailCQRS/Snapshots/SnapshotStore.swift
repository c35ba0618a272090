import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// The snapshots of a log's aggregates: one to a stream, in the log's database.
final class SnapshotStore: Sendable {
    struct Record: Sendable {
        var version: Int64
        var fingerprint: String
        /// When the log committed the last event that it holds.
        var time: Date
        var state: [UInt8]
    }

    private let log: any EventLog
    private let isPrepared = Mutex(false)

    init(log: any EventLog) { self.log = log }

    /// Makes the table, once in a process.
    func prepare() async throws {
        if isPrepared.withLock({ $0 }) { return }
        _ = try await log.transaction("snapshots", as: .engine) { transaction in
            try transaction.execute(SnapshotTable.table)
        }
        isPrepared.withLock { $0 = true }
    }

    /// The snapshot of a stream, whatever it was taken under; nil if there is none.
    func record(_ stream: String) async throws -> Record? {
        try await prepare()
        return try await log.snapshot { try SnapshotStore.record(stream, in: $0) }
    }

    static func record(_ stream: String, in snapshot: Snapshot) throws -> Record? {
        var record: Record?
        try snapshot.each(
            "SELECT version, fingerprint, saved_at, state FROM dovetail_snapshots WHERE stream = \(stream)"
        ) { row in
            if case .integer(let version) = row[0], case .text(let fingerprint) = row[1],
                case .integer(let time) = row[2], case .blob(let state) = row[3]
            {
                record = Record(
                    version: version, fingerprint: fingerprint,
                    time: Date(timeIntervalSince1970: Double(time) / 1e6), state: state)
            }
            return false
        }
        return record
    }

    /// Keeps a snapshot, instead of an older one or one of another shape. Durable when it returns. Of a stream that was deleted for good meanwhile none is kept.
    ///
    /// `time` is when the log committed the last event that it holds: the process's own clock may be behind that.
    func save(_ stream: String, version: Int64, time: Date, fingerprint: String, state: [UInt8]) async throws {
        try await prepare()
        _ = try await log.transaction("snapshots", as: .engine) { transaction in
            try transaction.execute(
                """
                INSERT INTO dovetail_snapshots (stream, version, fingerprint, saved_at, state)
                VALUES (\(stream), \(version), \(fingerprint), \(time), \(state))
                ON CONFLICT (stream) DO UPDATE SET version = excluded.version, fingerprint = excluded.fingerprint,
                    saved_at = excluded.saved_at, state = excluded.state
                WHERE excluded.version > dovetail_snapshots.version
                    OR excluded.fingerprint <> dovetail_snapshots.fingerprint
                """)
        }
        // Who deletes it from here on removes the snapshot too.
        if try await log.streamStatus(stream)?.tombstonedAt != nil { try await log.removeSnapshot(of: stream) }
    }
}
