import DovetailContracts
import DovetailCore

/// Events of a log for another one, and how far the log was looked through for them.
public struct FeedPage: Wire {
    /// Every event up to this place was looked at.
    public var scanned: LogPosition
    /// The log's last number.
    public var head: Int64
    /// The events, in order.
    public var events: [FeedEvent]
    /// What reads the personal values in the events; nil if there are none.
    public var keys: SharedKeys?
}

/// An event on its way from one log to another.
public struct FeedEvent: Wire {
    /// Where it stands in the log it comes from.
    public var origin: LogPosition
    /// The event, under the id that it has in each log.
    public var event: EventDraft
}

/// A position is text.
extension LogPosition: SchemaProviding {
    public static var schema: Schema { .string }
    public static var example: LogPosition { LogPosition(log: .derived(from: "example"), epoch: 1, number: 1) }
}

extension EventAttributes {
    /// Where an event was published first, as a position: an event that carries it came by a feed.
    static let originHeader = "dovetail-origin"

    /// Where the event was published first, if that was in another log.
    public var origin: LogPosition? { headers?[Self.originHeader].flatMap(LogPosition.init) }
}

extension EventLog {
    /// The log's own events after a place that match a topic, for another log; waits up to `wait` for the first if there is none yet.
    ///
    /// Without a place, or with one of another log or of before a restore, it begins at the beginning. Events that came by a feed themselves are left
    /// out, so that two logs which feed each other do not echo. At most `limit` are returned.
    package func feed(
        after place: LogPosition?, topics: [TopicPattern], limit: Int, wait: Duration
    ) async throws -> FeedPage {
        let interest = Interest(topics: topics, filter: nil)
        var deadline = MonotonicTime.now + wait
        var scanned = place.flatMap { try? number(of: $0) } ?? 0
        while true {
            let page = try await events(after: scanned, types: interest.types, limit: limit)
            scanned = page.scanned
            let own = page.events.filter { $0.attributes.origin == nil && interest.wants($0) }
            guard own.isEmpty, MonotonicTime.now < deadline, !Task.isCancelled else {
                let sealed = own.flatMap { SealedText.found(in: $0.data).map(\.sealed) }
                return FeedPage(
                    scanned: position(scanned), head: head,
                    events: own.map { FeedEvent(origin: $0.position, event: $0.draft) },
                    keys: sealed.isEmpty ? nil : try PersonalData.vault?.share(sealed))
            }
            guard scanned >= head else { continue }
            let after = scanned
            let end = try await boundedWait(until: deadline) { _ = try await self.waitForHead(beyond: after) }
            if case .shutDown = end { deadline = .now }
        }
    }
}
