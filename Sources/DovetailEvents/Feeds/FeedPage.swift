import DovetailContracts
import DovetailCore
import ServiceLifecycle

/// Events of a log for another one, and how far the log was looked through for them.
public struct FeedPage: Wire {
    /// The log.
    public var log: UniqueID
    /// Its epoch: another one means that it was restored.
    public var epoch: Int
    /// Its last number.
    public var head: Int64
    /// Every event up to this number was looked at.
    public var scanned: Int64
    /// The events, in order.
    public var events: [FeedEvent]
}

/// An event on its way from one log to another.
public struct FeedEvent: Wire {
    /// Its number in the log it comes from.
    public var number: Int64
    /// Its id, the same in each log.
    public var id: UniqueID
    /// The topic.
    public var type: String
    /// The payload's version.
    public var version: Int
    /// The value that orders it.
    public var key: String
    /// Who published it.
    public var source: String
    /// What travels with it.
    public var attributes: EventAttributes
    /// The payload.
    public var data: [UInt8]
}

extension EventAttributes {
    /// Where an event was published first, as a position: an event that carries it came by a feed.
    static let originHeader = "dovetail-origin"

    /// Where the event was published first, if that was in another log.
    public var origin: LogPosition? { headers?[Self.originHeader].flatMap(LogPosition.init) }
}

extension EventLog {
    /// The log's own events after a number that match a topic, for another log; waits up to `wait` for the first if there is none yet.
    ///
    /// Events that came by a feed themselves are left out, so that two logs which feed each other do not echo. At most `limit` are returned.
    package func feed(
        after number: Int64, topics: [TopicPattern], limit: Int, wait: Duration
    ) async throws -> FeedPage {
        var trie = TopicTrie<Bool>()
        for topic in topics { trie.insert(true, for: topic) }
        let exact = topics.compactMap(\.topic)
        let types = exact.count == topics.count ? Set(exact) : nil
        var deadline = MonotonicTime.now + wait
        var scanned = number
        while true {
            let page = try await events(after: scanned, types: types, limit: limit)
            scanned = page.scanned
            let own = page.events.filter { $0.attributes.origin == nil && !trie.values(matching: $0.type).isEmpty }
            guard own.isEmpty, MonotonicTime.now < deadline, !Task.isCancelled else {
                return FeedPage(
                    log: identity.log, epoch: identity.epoch, head: head, scanned: scanned,
                    events: own.map { event in
                        FeedEvent(
                            number: event.position.number, id: event.id, type: event.type, version: event.version,
                            key: event.key, source: event.source, attributes: event.attributes, data: event.data)
                    })
            }
            if scanned >= head { deadline = try await waitForHead(beyond: scanned, until: deadline) }
        }
    }

    /// Waits for more, and returns until when there is to be waited further: no longer, once the process shuts down.
    private func waitForHead(beyond number: Int64, until deadline: MonotonicTime) async throws -> MonotonicTime {
        do {
            try await cancelWhenGracefulShutdown {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try await self.waitForHead(beyond: number) }
                    group.addTask { try await Task.sleep(for: deadline - .now) }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
            return deadline
        } catch is CancellationError where !Task.isCancelled {
            return .now
        }
    }
}
