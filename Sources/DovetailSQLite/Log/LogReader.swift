import DovetailCore
import DovetailEvents
import Foundation
import SQLiteBinding

/// Reads events out of the log's tables, on a reader's thread.
final class LogReader {
    private static let columns = "position, type, stream, version, committed_at, checksum, id, key, attributes, data"
    /// How many rows one read looks through at most: some 5 ms, so that the WAL can be checkpointed in between.
    private static let window: Int64 = 16_384

    private let path: String
    private let identity: (log: UniqueID, epoch: Int)
    private let page: SQLiteStatement
    private let ofStream: SQLiteStatement
    private let ofStreamBackwards: SQLiteStatement
    private let byID: SQLiteStatement
    private let typeByID: SQLiteStatement
    private let streamByID: SQLiteStatement
    private let streamByName: SQLiteStatement
    private var types: [Int64: EventKind] = [:]
    private var streams: [Int64: String] = [:]

    init(_ connection: SQLiteConnection, identity: (log: UniqueID, epoch: Int)) throws {
        path = connection.path
        self.identity = identity
        let columns = LogReader.columns
        page = try connection.prepare(
            "SELECT \(columns) FROM dovetail_log WHERE position > ? AND position <= ? ORDER BY position")
        ofStream = try connection.prepare(
            "SELECT \(columns) FROM dovetail_log WHERE stream = ? AND version > ? ORDER BY version LIMIT ?")
        ofStreamBackwards = try connection.prepare(
            "SELECT \(columns) FROM dovetail_log WHERE stream = ? AND version < ? ORDER BY version DESC LIMIT ?")
        byID = try connection.prepare("SELECT \(columns) FROM dovetail_log WHERE id = ?")
        typeByID = try connection.prepare("SELECT name, version, source FROM dovetail_types WHERE id = ?")
        streamByID = try connection.prepare("SELECT name FROM dovetail_streams WHERE id = ?")
        streamByName = try connection.prepare(
            "SELECT id, version, floor, deleted_at, tombstoned_at FROM dovetail_streams WHERE name = ?")
    }

    /// Events after `number` and up to `head`, at most `limit`, of these types if any are given. Throws when the first of them cannot be read: it is then the one behind `number`.
    func events(after number: Int64, upTo head: Int64, types: Set<String>?, limit: Int) throws -> EventPage {
        let after = max(0, number)
        let end = min(head, after.addingReportingOverflow(LogReader.window).partialValue)
        guard end > after, limit > 0 else { return EventPage(events: [], scanned: after) }
        page.bind(1, after)
        page.bind(2, end)
        defer { page.reset() }
        var events: [StoredEvent] = []
        var bytes = 0
        while try page.step() {
            let number = page.integer(0)
            do {
                let kind = try kind(page.integer(1))
                if let types, !types.contains(kind.name) { continue }
                let next = try event(page, kind)
                bytes += next.data.count
                events.append(next)
            } catch {
                // What comes before one that cannot be read is read all the same.
                guard number - 1 > after else { throw error }
                return EventPage(events: events, scanned: number - 1)
            }
            if events.count == limit || bytes >= EventPage.maximumBytes {
                return EventPage(events: events, scanned: number)
            }
        }
        return EventPage(events: events, scanned: end)
    }

    /// The numbers of published events that somebody does not want any more, at most `limit`, and their checksums together.
    func reclaimable(
        _ interest: Interest, after number: Int64, upTo head: Int64, limit: Int
    ) throws -> (numbers: [Int64], checksum: Int64, scanned: Int64) {
        let after = max(0, number)
        let end = min(head, after.addingReportingOverflow(LogReader.window).partialValue)
        guard end > after else { return ([], 0, max(after, head)) }
        page.bind(1, after)
        page.bind(2, end)
        defer { page.reset() }
        var numbers: [Int64] = []
        var checksum: Int64 = 0
        var wanted: [Int64: Bool] = [:]
        while try page.step() {
            let type = page.integer(1)
            guard page.isNull(2) else { continue }
            let isWanted = try wanted[type] ?? interest.wantsTopic(kind(type).name)
            wanted[type] = isWanted
            guard isWanted else { continue }
            numbers.append(page.integer(0))
            checksum &+= page.integer(5)
            if numbers.count == limit { return (numbers, checksum, page.integer(0)) }
        }
        return (numbers, checksum, end)
    }

    /// Reads the rows of a window for a look through the log: each event, or why it cannot be read.
    func inspect(
        after number: Int64, upTo end: Int64, _ body: (_ number: Int64, Result<StoredEvent, any Error>) -> Void
    ) throws {
        page.bind(1, number)
        page.bind(2, end)
        defer { page.reset() }
        while try page.step() {
            let number = page.integer(0)
            body(number, Result { try event(page, kind(page.integer(1))) })
        }
    }

    /// Events of a stream after `version`, at most `limit`.
    func stream(_ name: String, after version: Int64, limit: Int) throws -> [StoredEvent] {
        try stream(name, from: version, limit, by: ofStream)
    }

    /// Events of a stream before `version`, the newest first, at most `limit`.
    func stream(_ name: String, before version: Int64, limit: Int) throws -> [StoredEvent] {
        try stream(name, from: version, limit, by: ofStreamBackwards)
    }

    private func stream(
        _ name: String, from version: Int64, _ limit: Int, by rows: SQLiteStatement
    ) throws -> [StoredEvent] {
        streamByName.bind(1, name)
        defer { streamByName.reset() }
        guard try streamByName.step() else { return [] }
        rows.bind(1, streamByName.integer(0))
        rows.bind(2, version)
        rows.bind(3, Int64(max(0, limit)))
        defer { rows.reset() }
        var events: [StoredEvent] = []
        while try rows.step() { events.append(try event(rows, kind(rows.integer(1)))) }
        return events
    }

    /// Where a stream stands; nil if there is none of that name.
    func status(ofStream name: String) throws -> StreamStatus? {
        streamByName.bind(1, name)
        defer { streamByName.reset() }
        guard try streamByName.step() else { return nil }
        func date(_ column: Int32) -> Date? {
            streamByName.isNull(column)
                ? nil : Date(timeIntervalSince1970: Double(streamByName.integer(column)) / 1e6)
        }
        return StreamStatus(
            name: name, version: streamByName.integer(1), truncated: streamByName.integer(2), deletedAt: date(3),
            tombstonedAt: date(4))
    }

    /// The event with this id.
    func event(id: UniqueID) throws -> StoredEvent? {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { byID.bind(1, $0) }
        defer { byID.reset() }
        return try byID.step() ? event(byID, kind(byID.integer(1))) : nil
    }

    private func event(_ row: SQLiteStatement, _ kind: EventKind) throws -> StoredEvent {
        let position = row.integer(0)
        let stream = row.isNull(2) ? nil : (id: row.integer(2), version: row.integer(3))
        let committedAt = row.integer(4)
        let attributes = row.bytes(8)
        let decoded =
            attributes.isEmpty ? .some(EventAttributes()) : attributes.withUnsafeBytes(AttributesCoding.decode)
        let draft = EventDraft(
            id: row.withBytes(6) { UniqueID(bytes: $0) }, type: kind.name, version: kind.version, key: row.text(7),
            source: kind.source, attributes: decoded ?? EventAttributes(), data: row.bytes(9))
        let checksum = ContentsChecksum(
            id: draft.id, type: kind, key: draft.key, attributes: attributes, data: draft.data)
        guard decoded != nil,
            row.integer(5) == checksum.placed(position: position, committedAt: committedAt, stream: stream)
        else {
            throw LogError(
                .unreadable, path,
                "the event at position \(position) is damaged: its checksum is wrong; restore a backup")
        }
        return StoredEvent(
            position: LogPosition(log: identity.log, epoch: identity.epoch, number: position),
            stream: try stream.map { (try streamName($0.id), $0.version) },
            time: Date(timeIntervalSince1970: Double(committedAt) / 1e6), draft: draft)
    }

    private func kind(_ id: Int64) throws -> EventKind {
        if let known = types[id] { return known }
        typeByID.bind(1, id)
        defer { typeByID.reset() }
        guard try typeByID.step() else {
            throw LogError(.unreadable, path, "the event type \(id) is missing from its table; restore a backup")
        }
        let kind = EventKind(
            name: typeByID.text(0), version: Int(typeByID.integer(1)), source: typeByID.text(2))
        if types.count >= 65_536 { types.removeAll() }
        types[id] = kind
        return kind
    }

    private func streamName(_ id: Int64) throws -> String {
        if let known = streams[id] { return known }
        streamByID.bind(1, id)
        defer { streamByID.reset() }
        guard try streamByID.step() else {
            throw LogError(.unreadable, path, "the stream \(id) is missing from its table; restore a backup")
        }
        let name = streamByID.text(0)
        if streams.count >= 16_384 { streams.removeAll() }
        streams[id] = name
        return name
    }
}
