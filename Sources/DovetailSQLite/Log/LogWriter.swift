import DovetailCore
import DovetailEvents
import Foundation
import SQLiteBinding

/// Writes events into the log's tables, within the writer's transaction and on its thread.
///
/// Where streams and types stand is kept in memory; ``mark`` and ``rollBack(to:)`` take that back together with the database's own rollback.
final class LogWriter {
    private struct Stream {
        let id: Int64
        var version: Int64
        /// In microseconds since 1970; nil if it takes events.
        var deletedAt: Int64?
        /// The same, if it was deleted for good.
        var tombstonedAt: Int64?
    }

    /// What a rollback puts back, newest last.
    private enum Undo {
        case stream(String, Stream?)
        case type(EventKind)
    }

    /// A state to return to.
    struct Mark {
        fileprivate let position: Int64
        fileprivate let lastTime: Int64
        fileprivate let nextStream: Int64
        fileprivate let nextType: Int64
        fileprivate let undo: Int
    }

    let identity: (log: UniqueID, epoch: Int)
    private let durability: Durability
    private let clock: @Sendable () -> Date
    /// The number of the last event that was given out.
    private(set) var position: Int64
    private var durablePosition: Int64
    private var lastTime: Int64
    private var nextStream: Int64
    private var nextType: Int64
    private var streams: [String: Stream] = [:]
    private var types: [EventKind: Int64] = [:]
    private var touched: Set<String> = []
    private var undo: [Undo] = []

    private let insert: SQLiteStatement
    private let removeAfter: SQLiteStatement
    private let removeTypes: SQLiteStatement
    private let findEvent: SQLiteStatement
    private let findStream: SQLiteStatement
    private let saveStream: SQLiteStatement
    private let findType: SQLiteStatement
    private let insertType: SQLiteStatement
    private let savePosition: SQLiteStatement
    private let connection: SQLiteConnection

    /// A writer for a log whose tables are there.
    init(_ connection: SQLiteConnection, durability: Durability, clock: @escaping @Sendable () -> Date) throws {
        self.connection = connection
        self.clock = clock
        self.durability = durability
        identity = try LogSchema.identity(connection)
        func number(_ query: String) throws -> Int64 {
            guard case .integer(let number) = try connection.value(query) else { return 0 }
            return number
        }
        // The counter is the truth: the last events may have been reclaimed, and their numbers are not given out again.
        position = max(
            try number("SELECT value FROM dovetail_meta WHERE name = 'position'"),
            try number("SELECT max(position) FROM dovetail_log"))
        durablePosition = position
        lastTime = try number("SELECT committed_at FROM dovetail_log ORDER BY position DESC LIMIT 1")
        nextStream = try number("SELECT max(id) FROM dovetail_streams") + 1
        nextType = try number("SELECT max(id) FROM dovetail_types") + 1
        insert = try connection.prepare(
            """
            INSERT INTO dovetail_log (position, type, stream, version, committed_at, checksum, id, key, attributes, data)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
            """)
        removeAfter = try connection.prepare("DELETE FROM dovetail_log WHERE position > ?")
        removeTypes = try connection.prepare("DELETE FROM dovetail_types WHERE id >= ?")
        findEvent = try connection.prepare("SELECT position FROM dovetail_log WHERE id = ?")
        findStream = try connection.prepare(
            "SELECT id, version, deleted_at, tombstoned_at FROM dovetail_streams WHERE name = ?")
        saveStream = try connection.prepare(
            """
            INSERT INTO dovetail_streams (id, name, version, floor, deleted_at, tombstoned_at, leaving)
            VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5 IS NOT NULL)
            ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at,
                tombstoned_at = excluded.tombstoned_at, leaving = excluded.leaving
            """)
        findType = try connection.prepare("SELECT id FROM dovetail_types WHERE name = ? AND version = ? AND source = ?")
        insertType = try connection.prepare(
            "INSERT INTO dovetail_types (id, name, version, source) VALUES (?, ?, ?, ?)")
        savePosition = try connection.prepare("UPDATE dovetail_meta SET value = ? WHERE name = 'position'")
    }

    // MARK: The group's transaction

    /// The state as it is now.
    var mark: Mark {
        Mark(position: position, lastTime: lastTime, nextStream: nextStream, nextType: nextType, undo: undo.count)
    }

    /// Returns to a state, as the database has.
    func rollBack(to mark: Mark) {
        position = mark.position
        lastTime = mark.lastTime
        nextStream = mark.nextStream
        nextType = mark.nextType
        while undo.count > mark.undo {
            switch undo.removeLast() {
            case .stream(let name, let before): streams[name] = before
            case .type(let kind): types[kind] = nil
            }
        }
    }

    /// Writes what changes once per transaction however many events it holds: streams' versions and the position.
    func flush() throws(SQLiteFailure) {
        for name in touched {
            // A stream that was taken back by a rollback is not in the cache any more.
            guard let stream = streams[name] else { continue }
            saveStream.bind(1, stream.id)
            saveStream.bind(2, name)
            saveStream.bind(3, stream.version)
            if let deletedAt = stream.deletedAt { saveStream.bind(4, deletedAt) } else { saveStream.bindNull(4) }
            if let tombstonedAt = stream.tombstonedAt {
                saveStream.bind(5, tombstonedAt)
            } else {
                saveStream.bindNull(5)
            }
            try saveStream.run()
        }
        guard position > durablePosition else { return }
        savePosition.bind(1, position)
        try savePosition.run()
    }

    /// The transaction has ended: with `committed`, what it did is there for good.
    func ended(committed: Bool) {
        if committed { durablePosition = position }
        touched.removeAll(keepingCapacity: true)
        undo.removeAll(keepingCapacity: true)
        if streams.count > 65_536 { streams.removeAll() }
        if types.count > 65_536 { types.removeAll() }
    }

    // MARK: Appending

    /// Appends all of it or nothing. Throws ``LogError`` `versionConflict`, or ``SQLiteFailure`` when the transaction is lost.
    func append(_ appends: [PreparedAppend]) throws -> Appended {
        let before = mark
        do {
            let now = max(lastTime, Int64(clock().timeIntervalSince1970 * 1e6))
            var versions: [Int64] = []
            for append in appends {
                if let version = try write(append, at: now) { versions.append(version) }
            }
            lastTime = now
            var appended = Appended(
                position: place(position), streamVersions: versions, wasDuplicate: false, durability: durability)
            appended.time = Date(timeIntervalSince1970: Double(now) / 1e6)
            return appended
        } catch let failure as SQLiteFailure {
            throw failure
        } catch {
            if position > before.position {
                removeAfter.bind(1, before.position)
                try removeAfter.run()
            }
            if nextType > before.nextType {
                // Their numbers are given out again.
                removeTypes.bind(1, before.nextType)
                try removeTypes.run()
            }
            rollBack(to: before)
            if let duplicate = try duplicate(of: appends) { return duplicate }
            throw error
        }
    }

    private func write(_ append: PreparedAppend, at now: Int64) throws -> Int64? {
        guard let name = append.stream else {
            for event in append.events { try write(event, stream: nil, at: now) }
            return nil
        }
        var stream = try stream(name)
        if let tombstonedAt = stream.tombstonedAt {
            // Whatever version is expected: there is none any more at which it could go on.
            if append.events.isEmpty, append.change == .tombstone || append.change == .delete { return stream.version }
            throw LogError.streamTombstoned(name, at: LogWriter.date(tombstonedAt))
        }
        if case .exactly(let version) = append.expected, version != stream.version {
            throw LogError(
                .versionConflict, name,
                "it is at version \(stream.version), not at \(version) as expected; load it again and decide anew")
        }
        if let deletedAt = stream.deletedAt, append.change != .restore {
            let isEnding = append.events.isEmpty && append.change != nil
            guard isEnding else { throw LogError.streamDeleted(name, at: LogWriter.date(deletedAt)) }
            if append.change == .delete { return stream.version }
        }
        guard !append.events.isEmpty || append.change != nil else { return stream.version }
        undo.append(.stream(name, streams[name]))
        for event in append.events {
            stream.version += 1
            try write(event, stream: stream, at: now)
        }
        switch append.change {
        case .delete: stream.deletedAt = now
        case .restore: stream.deletedAt = nil
        case .tombstone:
            stream.deletedAt = stream.deletedAt ?? now
            stream.tombstonedAt = now
        case nil: break
        }
        streams[name] = stream
        touched.insert(name)
        return stream.version
    }

    private func write(_ event: PreparedEvent, stream: Stream?, at now: Int64) throws {
        let draft = event.draft
        let next = position + 1
        insert.bind(1, next)
        insert.bind(2, try type(draft.kind))
        if let stream {
            insert.bind(3, stream.id)
            insert.bind(4, stream.version)
        } else {
            insert.bindNull(3)
            insert.bindNull(4)
        }
        insert.bind(5, now)
        insert.bind(
            6, event.checksum.placed(position: next, committedAt: now, stream: stream.map { ($0.id, $0.version) }))
        withUnsafeBytes(of: (draft.id.high.bigEndian, draft.id.low.bigEndian)) { insert.bind(7, $0) }
        insert.bind(8, draft.key)
        insert.bind(9, event.attributes)
        insert.bind(10, draft.data)
        try insert.run()
        guard connection.changes == 1 else {
            throw LogError(
                .versionConflict, draft.id.description,
                "an event with this id is in the log already, and others of the same append are not; give new events new ids"
            )
        }
        position = next
    }

    /// The outcome if the log holds every event of the appends already; nil if not.
    private func duplicate(of appends: [PreparedAppend]) throws -> Appended? {
        var last: Int64 = 0
        for event in appends.lazy.flatMap(\.events) {
            guard let found = try find(event.draft.id) else { return nil }
            last = max(last, found)
        }
        guard last > 0 else { return nil }
        let versions = try appends.compactMap(\.stream).map { try stream($0).version }
        return Appended(position: place(last), streamVersions: versions, wasDuplicate: true, durability: durability)
    }

    private func find(_ id: UniqueID) throws -> Int64? {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { findEvent.bind(1, $0) }
        defer { findEvent.reset() }
        return try findEvent.step() ? findEvent.integer(0) : nil
    }

    private func place(_ number: Int64) -> LogPosition {
        LogPosition(log: identity.log, epoch: identity.epoch, number: number)
    }

    private static func date(_ microseconds: Int64) -> Date {
        Date(timeIntervalSince1970: Double(microseconds) / 1e6)
    }

    // MARK: Streams and types

    private func stream(_ name: String) throws -> Stream {
        if let known = streams[name] { return known }
        findStream.bind(1, name)
        defer { findStream.reset() }
        if try findStream.step() {
            let found = Stream(
                id: findStream.integer(0), version: findStream.integer(1),
                deletedAt: findStream.isNull(2) ? nil : findStream.integer(2),
                tombstonedAt: findStream.isNull(3) ? nil : findStream.integer(3))
            streams[name] = found
            return found
        }
        let new = Stream(id: nextStream, version: 0)
        nextStream += 1
        return new
    }

    private func type(_ kind: EventKind) throws -> Int64 {
        if let known = types[kind] { return known }
        findType.bind(1, kind.name)
        findType.bind(2, Int64(kind.version))
        findType.bind(3, kind.source)
        defer { findType.reset() }
        if try findType.step() {
            types[kind] = findType.integer(0)
            return findType.integer(0)
        }
        let id = nextType
        insertType.bind(1, id)
        insertType.bind(2, kind.name)
        insertType.bind(3, Int64(kind.version))
        insertType.bind(4, kind.source)
        try insertType.run()
        nextType += 1
        types[kind] = id
        undo.append(.type(kind))
        return id
    }
}
