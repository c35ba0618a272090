import DovetailContracts
import DovetailCore
import Foundation

/// What is said of a stream beside its events: how many of them are kept, and whatever else somebody wants to note.
///
/// Limits are carried out by ``Retention``: in its rounds, never while somebody has not done with an event. Until then an event beyond a limit can still be read. An aggregate whose
/// first events go needs an event that begins afresh, or a snapshot, in their place, as with ``EventLog/truncate(_:through:holds:)``.
public struct StreamMetadata: Wire, Hashable {
    /// Of how many last events the stream is kept; nil: of all.
    public var maxCount: Int64?
    /// How many seconds after their commit events are kept; nil: for good.
    public var maxAge: Int64?
    /// What anybody notes, by names of their own.
    public var values: [String: String]

    /// Metadata; without limits unless given.
    public init(maxCount: Int64? = nil, maxAge: Int64? = nil, values: [String: String] = [:]) {
        self.maxCount = maxCount
        self.maxAge = maxAge
        self.values = values
    }

    /// Whether events of the stream may have to go.
    var hasLimits: Bool { maxCount != nil || maxAge != nil }

    /// What cannot be meant, in words; nil if all can.
    var mistake: String? {
        if let maxCount, maxCount < 1 {
            return "maxCount is \(maxCount); keep at least one event, or delete the stream"
        }
        if let maxAge, maxAge < 1 { return "maxAge is \(maxAge); keep events at least for a second" }
        return nil
    }
}

/// A row of what is said of streams.
private struct MetadataRow: Decodable, Sendable {
    var stream: String
    var version: Int64
    var data: String
}

extension EventLog {
    private static var metadataTables: Migrations {
        Migrations(
            owner: "dovetail.streams",
            steps: [
                """
                CREATE TABLE dovetail_stream_metadata (
                    stream TEXT PRIMARY KEY, version BIGINT NOT NULL, limited BIGINT NOT NULL, data TEXT NOT NULL)
                """,
                "CREATE INDEX dovetail_stream_limited ON dovetail_stream_metadata (stream) WHERE limited = 1",
            ])
    }

    /// What is said of a stream, and how often that was changed; nothing, and 0, where nobody has said anything.
    public func metadata(of stream: String) async throws -> (metadata: StreamMetadata, version: Int64) {
        try await migrate(Self.metadataTables)
        let row = try await snapshot { snapshot in
            try snapshot.row(
                MetadataRow.self, "SELECT stream, version, data FROM dovetail_stream_metadata WHERE stream = \(stream)")
        }
        guard let row else { return (StreamMetadata(), 0) }
        return (try JSON.decode(StreamMetadata.self, from: Array(row.data.utf8)), row.version)
    }

    /// Says something of a stream, in place of all that was said before; also of one that is not there yet. Durable when it returns; returns the version that the metadata has reached.
    ///
    /// Throws `versionConflict` if somebody has changed it since the version that is expected, `statement` for a limit that cannot be.
    @discardableResult
    public func setMetadata(
        _ metadata: StreamMetadata, of stream: String, expected: ExpectedVersion = .any
    ) async throws -> Int64 {
        if let mistake = metadata.mistake { throw LogError(.statement, stream, mistake) }
        let text = String(decoding: try JSON.encode(metadata), as: UTF8.self)
        try await migrate(Self.metadataTables)
        return try await transaction("metadata", as: .engine) { transaction in
            let version =
                try transaction.row(
                    Int64.self, "SELECT version FROM dovetail_stream_metadata WHERE stream = \(stream)") ?? 0
            if case .exactly(let wanted) = expected, wanted != version {
                throw LogError(
                    .versionConflict, stream,
                    "its metadata is at version \(version), not at \(wanted) as expected; look at it again")
            }
            try transaction.execute(
                """
                INSERT INTO dovetail_stream_metadata (stream, version, limited, data)
                VALUES (\(stream), \(version + 1), \(metadata.hasLimits), \(text))
                ON CONFLICT (stream) DO UPDATE SET
                    version = excluded.version, limited = excluded.limited, data = excluded.data
                """)
            return version + 1
        }
    }

    /// Removes what lies beyond the limits of streams, as far as nobody needs it; returns how many events went.
    ///
    /// A stream that somebody holds back is trimmed as far as that goes, and again in the next round.
    func trimStreams(now: Date, holds: @Sendable () async throws -> [RetentionHold]) async throws -> Int {
        try await migrate(Self.metadataTables)
        var total = 0
        var after = ""
        /// How far everybody has come; asked for when something is to go.
        var done: Int64?
        while true {
            let last = after
            let rows = try await snapshot { snapshot in
                try snapshot.rows(
                    MetadataRow.self,
                    """
                    SELECT stream, version, data FROM dovetail_stream_metadata WHERE limited = 1 AND stream > \(last)
                    ORDER BY stream LIMIT 100
                    """)
            }
            for row in rows {
                try Task.checkCancellation()
                let metadata = try JSON.decode(StreamMetadata.self, from: Array(row.data.utf8))
                guard let status = try await streamStatus(row.stream),
                    case let through = try await end(of: status, in: row.stream, by: metadata, now: now),
                    through > status.truncated
                else { continue }
                if done == nil { done = try await (holds() + DeliveryStore.holds(self)).map(\.done).min() ?? .max }
                do {
                    total += try await trim(
                        row.stream, status, through: through, upTo: done ?? 0, holds: holds)
                } catch let error as LogError where error.code == .notReached {
                    // Somebody was set back meanwhile.
                    continue
                }
            }
            guard rows.count == 100, let end = rows.last else { return total }
            after = end.stream
        }
    }

    /// The last version that is beyond a stream's limits.
    private func end(
        of status: StreamStatus, in stream: String, by metadata: StreamMetadata, now: Date
    ) async throws -> Int64 {
        var through = status.truncated
        if let maxCount = metadata.maxCount { through = max(through, status.version - maxCount) }
        if let maxAge = metadata.maxAge {
            let old = now.addingTimeInterval(-Double(maxAge))
            // Times of a stream do not go back: half of what is left is looked at each time.
            through = try await last(of: stream, in: through...max(through, status.version)) { $0.time < old }
        }
        return through
    }

    /// Truncates a stream as far as everybody has come: what is beyond stays until they have.
    func trim(
        _ stream: String, _ status: StreamStatus, through: Int64, upTo done: Int64,
        holds: @Sendable () async throws -> [RetentionHold]
    ) async throws -> Int {
        let last = try await last(of: stream, in: status.truncated...through) { $0.position.number <= done }
        guard last > status.truncated else { return 0 }
        let reached = try await truncate(stream, through: last, holds: holds())
        return Int(reached.truncated - status.truncated)
    }

    /// The last version of which something is true that is true of all before it; the range's first if of none.
    private func last(
        of stream: String, in versions: ClosedRange<Int64>, where isSo: (StoredEvent) -> Bool
    ) async throws -> Int64 {
        var (low, high) = (versions.lowerBound, versions.upperBound)
        while low < high {
            let middle = low + (high - low + 1) / 2
            let event = try await self.stream(stream, after: middle - 1, limit: 1).first
            if let event, isSo(event) { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
