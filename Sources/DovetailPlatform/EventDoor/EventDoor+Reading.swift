import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import HTTPTypes
import Synchronization

/// Events out, for a reader that keeps its own place: a page, or a stream of server-sent events.
extension EventDoor {
    /// What a reader wants, as far as it may.
    private struct Wish: Sendable {
        var topics: [TopicPattern]
        var allowed: [TopicPattern]
        var filter: EventFilter?
        var after: Int64
    }

    func read(
        _ request: RawRequest, _ query: EventQuery, for client: PlatformConfiguration.EventClient
    ) async throws -> RawResponse {
        try query.allow("topics", "filter", "after", "from", "limit", "wait")
        let isStream = request.headers[.accept]?.contains("text/event-stream") == true
        let wish = try await wish(request, query, for: client)
        let reader = SelectiveReader(
            log: log, topics: wish.topics, allowed: wish.allowed, filter: wish.filter, after: wish.after)
        if isStream {
            return RawResponse(
                status: .ok,
                headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store"],
                body: .stream(EventDoor.serverSentEvents(reader)))
        }
        let limit = try query.number("limit", 1...1000, default: 100)
        let wait = try query.number("wait", 0...60, default: 0)
        let events = try await reader.page(limit, until: .now + .seconds(wait)) ?? []
        let position = log.position(await reader.scanned)
        var body: [UInt8] = [UInt8(ascii: "[")]
        for (index, event) in events.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            body += CloudEvent(event).json
        }
        body.append(UInt8(ascii: "]"))
        return RawResponse(
            status: .ok,
            headers: [.contentType: CloudEvent.batchMediaType, .dovetailPosition: position.description],
            body: .bytes(body))
    }

    private func wish(
        _ request: RawRequest, _ query: EventQuery, for client: PlatformConfiguration.EventClient
    ) async throws -> Wish {
        let asked = query.list("topics").map { TopicPattern($0) }
        if let denied = asked.first(where: { pattern in
            pattern.topic.map { topic in !client.read.contains { $0.matches(topic) } } ?? false
        }) {
            throw Problem("forbidden", status: 403)("the client '\(client.name)' may not read '\(denied)'")
        }
        guard !client.read.isEmpty else {
            throw Problem("forbidden", status: 403)("the client '\(client.name)' may read no topics")
        }
        var filter: EventFilter?
        if let text = query["filter"] {
            do { filter = try EventFilter(parsing: text) } catch {
                throw query.invalid("filter", "a filter (\(error))")
            }
        }
        return Wish(
            topics: asked.isEmpty ? client.read : asked, allowed: client.read, filter: filter,
            after: try await start(request, query))
    }

    /// Where the reader begins: behind the event that it saw last, behind a position, at a time; with what comes unless it says so.
    private func start(_ request: RawRequest, _ query: EventQuery) async throws -> Int64 {
        if let last = request.headers[.lastEventID], !last.isEmpty {
            guard let position = LogPosition(last) else {
                throw Problem.invalidInput([
                    .init(pointer: "header:last-event-id", expected: "expected a position as an event's id gave it")
                ])
            }
            return try log.number(of: position)
        }
        if let after = query["after"] {
            guard let position = LogPosition(after) else {
                throw query.invalid("after", "a position as Dovetail-Position gave it")
            }
            return try log.number(of: position)
        }
        switch query["from"] {
        case nil, "now": return log.head
        case "beginning": return 0
        case .some(let text):
            guard let date = Timestamp.date(text) else {
                throw query.invalid("from", "beginning, now, or a time as 2026-01-31T12:00:00Z")
            }
            return try await log.number(before: date)
        }
    }

    /// How long a stream is silent at most.
    private static let heartbeat = Duration.seconds(15)

    /// Events as they come, each with its position as the id from which a reader goes on; a comment when there is nothing to say.
    private static func serverSentEvents(_ reader: SelectiveReader) -> AsyncThrowingStream<[UInt8], any Error> {
        let isFirst = Mutex(true)
        return AsyncThrowingStream {
            // At once something, so that the reader knows that it is connected.
            if isFirst.withLock({ isFirst in
                defer { isFirst = false }
                return isFirst
            }) {
                return Array("retry: 1000\n: connected\n\n".utf8)
            }
            guard let events = try await reader.page(100, until: .now + heartbeat) else { return nil }
            if events.isEmpty { return Array(": \n\n".utf8) }
            return events.reduce(into: []) { text, event in
                text += "id: \(event.position)\ndata: ".utf8
                text += CloudEvent(event).line
                text += "\n\n".utf8
            }
        }
    }
}

/// Reads a log for somebody who may see some of it. One task reads at a time.
actor SelectiveReader {
    private let log: any EventLog
    private let wanted: Interest
    private let allowed: Interest
    private(set) var scanned: Int64

    init(
        log: any EventLog, topics: [TopicPattern], allowed: [TopicPattern], filter: EventFilter?, after number: Int64
    ) {
        self.log = log
        wanted = Interest(topics: topics, filter: filter)
        self.allowed = Interest(topics: allowed, filter: nil)
        scanned = number
    }

    /// A reader who wants little of a long log is told in between how far it was looked through.
    private static let longestScan = Duration.seconds(1)

    /// The next events, at most `limit`; waits for the first until `deadline`. Fewer, or none, where a second of looking found no more. Nil once the process shuts down.
    func page(_ limit: Int, until deadline: MonotonicTime) async throws -> [StoredEvent]? {
        var events: [StoredEvent] = []
        let end = MonotonicTime.now + SelectiveReader.longestScan
        while true {
            if scanned < log.head, MonotonicTime.now >= end { return events }
            if scanned >= log.head {
                guard events.isEmpty else { return events }
                guard MonotonicTime.now < deadline else { return [] }
                let (log, after) = (log, scanned)
                switch try await boundedWait(until: deadline, { _ = try await log.waitForHead(beyond: after) }) {
                case .reached: break
                case .timedOut: return []
                case .shutDown: return nil
                }
            }
            let page = try await log.events(after: scanned, types: wanted.types, limit: limit - events.count)
            scanned = page.scanned
            events += page.events.filter { allowed.wants($0) && wanted.wants($0) && !$0.hasExpired }
            let bytes = events.reduce(0) { $0 + $1.data.count }
            if events.count == limit || bytes >= EventPage.maximumBytes { return events }
        }
    }
}
