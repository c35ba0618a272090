import DovetailCore
import DovetailEvents
import Foundation

/// The events of a log in memory. The caller's lock is around it.
final class MemoryEvents {
    private struct Stream {
        /// Where its events are, of those that were not truncated.
        var indices: [Int] = []
        /// How many were truncated.
        var truncated: Int64 = 0
        var ended = Ended()

        var version: Int64 { truncated + Int64(indices.count) }
    }

    /// When a stream was deleted, and when for good.
    private struct Ended {
        var deletedAt: Date?
        var tombstonedAt: Date?

        mutating func change(_ change: StreamChange, at time: Date) {
            switch change {
            case .delete: deletedAt = deletedAt ?? time
            case .restore: deletedAt = nil
            case .tombstone: (deletedAt, tombstonedAt) = (deletedAt ?? time, tombstonedAt ?? time)
            }
        }
    }

    /// A state to return to.
    struct Mark {
        fileprivate let head: Int64
    }

    private let identity: (log: UniqueID, epoch: Int)
    private let clock: @Sendable () -> Date
    /// By number; nil where an event was reclaimed.
    private var events: [StoredEvent?] = []
    private var streams: [String: Stream] = [:]
    private var indices: [UniqueID: Int] = [:]
    private var lastTime = Date.distantPast
    private var truncated: [UniqueID: TruncatedEvent] = [:]
    /// When streams that were deleted or restored since the last mark had been deleted before.
    private var deletions: [String: Ended] = [:]
    /// Streams that were deleted for good and of which something is left.
    private var leaving: Set<String> = []

    init(_ identity: (log: UniqueID, epoch: Int), clock: @escaping @Sendable () -> Date) {
        self.identity = identity
        self.clock = clock
    }

    var head: Int64 { Int64(events.count) }

    /// Appends all of it or nothing: everything is checked before anything is changed.
    func append(_ appends: [Append]) throws -> Appended {
        let drafts = appends.flatMap(\.events)
        let known = drafts.compactMap { indices[$0.id] }
        if let last = known.max(), known.count == drafts.count {
            return outcome(at: place(Int64(last) + 1), appends, wasDuplicate: true)
        }
        var versions: [String: Int64] = [:]
        var ends: [String: Ended] = [:]
        let time = max(clock(), lastTime)
        for append in appends {
            guard let name = append.stream else { continue }
            let version = versions[name] ?? version(of: name)
            var ended = ends[name] ?? streams[name]?.ended ?? Ended()
            if let tombstonedAt = ended.tombstonedAt {
                // Whatever version is expected: there is none any more at which it could go on.
                if append.events.isEmpty, append.change == .tombstone || append.change == .delete { continue }
                throw LogError.streamTombstoned(name, at: tombstonedAt)
            }
            if case .exactly(let expected) = append.expected, expected != version {
                throw LogError(
                    .versionConflict, name,
                    "it is at version \(version), not at \(expected) as expected; load it again and decide anew")
            }
            if let deletedAt = ended.deletedAt, append.change != .restore,
                !append.events.isEmpty || append.change == nil
            {
                throw LogError.streamDeleted(name, at: deletedAt)
            }
            if let change = append.change { ended.change(change, at: time) }
            ends[name] = ended
            versions[name] = version + Int64(append.events.count)
        }
        guard known.isEmpty, Set(drafts.map(\.id)).count == drafts.count else {
            throw LogError(
                .versionConflict, "append",
                "some of its event ids are in the log already, or twice in it, and others are not; give new events new ids"
            )
        }
        lastTime = time
        for append in appends {
            for draft in append.events {
                let stream = append.stream.map { (name: $0, version: version(of: $0) + 1) }
                if let stream { streams[stream.name, default: Stream()].indices.append(events.count) }
                indices[draft.id] = events.count
                events.append(StoredEvent(position: place(head + 1), stream: stream, time: time, draft: draft))
            }
            guard let name = append.stream, let change = append.change else { continue }
            let before = streams[name]?.ended ?? Ended()
            if deletions[name] == nil { deletions[name] = before }
            streams[name, default: Stream()].ended.change(change, at: time)
            if change == .tombstone, before.tombstonedAt == nil { leaving.insert(name) }
        }
        var appended = outcome(at: place(head), appends, wasDuplicate: false)
        appended.time = time
        return appended
    }

    /// The state as it is now; what is deleted or restored from here on can be taken back.
    func mark() -> Mark {
        deletions = [:]
        return Mark(head: head)
    }

    /// Takes back everything since `mark`.
    func rollBack(to mark: Mark) {
        while head > mark.head {
            guard let event = events.removeLast() else { continue }
            indices[event.id] = nil
            if let stream = event.stream { streams[stream.name]?.indices.removeLast() }
        }
        for (name, before) in deletions {
            streams[name]?.ended = before
            if before.tombstonedAt == nil { leaving.remove(name) }
        }
        deletions = [:]
    }

    func page(after number: Int64, types: Set<String>?, limit: Int) -> EventPage {
        var page = EventPage(events: [], scanned: max(0, number))
        guard limit > 0, page.scanned < head else { return page }
        var bytes = 0
        for event in events[Int(page.scanned)...] {
            page.scanned += 1
            guard let event else { continue }
            if let types, !types.contains(event.type) { continue }
            page.events.append(event)
            bytes += event.data.count
            if page.events.count == limit || bytes >= EventPage.maximumBytes { break }
        }
        return page
    }

    func stream(_ name: String, after version: Int64, limit: Int) -> [StoredEvent] {
        guard let stream = streams[name] else { return [] }
        let skipped = min(max(0, version - stream.truncated), Int64(stream.indices.count))
        return stream.indices.dropFirst(Int(skipped)).prefix(max(0, limit)).compactMap { events[$0] }
    }

    func stream(_ name: String, before version: Int64, limit: Int) -> [StoredEvent] {
        guard let stream = streams[name], version > stream.truncated else { return [] }
        let count = min(version - stream.truncated - 1, Int64(stream.indices.count))
        return stream.indices.prefix(Int(count)).suffix(max(0, limit)).reversed().compactMap { events[$0] }
    }

    func status(ofStream name: String) -> StreamStatus? {
        guard let stream = streams[name], stream.version > 0 || stream.ended.deletedAt != nil else { return nil }
        return StreamStatus(
            name: name, version: stream.version, truncated: stream.truncated, deletedAt: stream.ended.deletedAt,
            tombstonedAt: stream.ended.tombstonedAt)
    }

    func tombstones(after name: String, limit: Int) -> [StreamStatus] {
        leaving.filter { $0 > name }.sorted().prefix(max(0, limit)).compactMap(status(ofStream:))
    }

    func emptied(_ name: String) {
        if streams[name]?.indices.isEmpty ?? true { leaving.remove(name) }
    }

    func truncate(_ truncation: StreamTruncation) throws {
        guard let stream = streams[truncation.stream], stream.truncated == truncation.after,
            stream.version >= truncation.through
        else {
            throw LogError(
                .versionConflict, truncation.stream, "somebody else truncates it; look at it and try again")
        }
        let count = Int(truncation.through - truncation.after)
        for index in stream.indices.prefix(count) {
            if let event = events[index] {
                indices[event.id] = nil
                truncated[event.id] = TruncatedEvent(event)
            }
            events[index] = nil
        }
        streams[truncation.stream]?.indices.removeFirst(count)
        streams[truncation.stream]?.truncated = truncation.through
    }

    func truncatedEvent(id: UniqueID) -> TruncatedEvent? { truncated[id] }

    func event(id: UniqueID) -> StoredEvent? {
        indices[id].flatMap { events[$0] }
    }

    func reclaim(_ interest: Interest, after number: Int64, upTo end: Int64, limit: Int) -> Reclaimed {
        var reclaimed = Reclaimed(count: 0, scanned: max(0, number))
        let end = min(end, head)
        while reclaimed.scanned < end, reclaimed.count < limit {
            reclaimed.scanned += 1
            let index = Int(reclaimed.scanned) - 1
            guard let event = events[index], event.stream == nil, interest.wants(event) else { continue }
            events[index] = nil
            indices[event.id] = nil
            reclaimed.count += 1
        }
        return reclaimed
    }

    /// How many events are there, and how many were.
    var counts: (kept: Int64, head: Int64) { (Int64(events.count { $0 != nil }), head) }

    private func version(of stream: String) -> Int64 { streams[stream]?.version ?? 0 }

    private func place(_ number: Int64) -> LogPosition {
        LogPosition(log: identity.log, epoch: identity.epoch, number: number)
    }

    private func outcome(at position: LogPosition, _ appends: [Append], wasDuplicate: Bool) -> Appended {
        Appended(
            position: position, streamVersions: appends.compactMap(\.stream).map(version(of:)),
            wasDuplicate: wasDuplicate, durability: .memory)
    }
}
