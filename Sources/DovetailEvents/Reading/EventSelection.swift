import Foundation

/// Which events of a log are wanted, by what the log itself knows of them.
public struct EventSelection: Sendable, Hashable {
    /// Of these topics; nil: of all.
    public var types: Set<String>?
    /// Of the streams of this category, as `order` of `order-7`: what stands before the first `-`; nil: of all, and of none.
    public var category: String?
    /// Of this key; nil: of all.
    public var key: String?
    /// Committed then or later; nil: from the beginning.
    public var from: Date?
    /// Committed before that; nil: up to the end.
    public var until: Date?

    /// A selection; of all events unless given.
    public init(
        types: Set<String>? = nil, category: String? = nil, key: String? = nil, from: Date? = nil, until: Date? = nil
    ) {
        self.types = types
        self.category = category
        self.key = key
        self.from = from
        self.until = until
    }

    /// Whether an event is wanted, its time aside.
    func wants(_ event: StoredEvent) -> Bool {
        if let key, event.key != key { return false }
        if let category {
            guard let stream = event.stream?.name, stream.hasPrefix(category + "-"),
                stream.firstIndex(of: "-") == stream.index(stream.startIndex, offsetBy: category.count)
            else { return false }
        }
        return true
    }
}

extension EventLog {
    /// How many events a call looks at, at most: a selection of few is read page by page.
    static var selectionWindow: Int { 4096 }

    /// Events with numbers above `number` that are selected, in order, at most `limit`.
    ///
    /// As ``events(after:types:limit:)``, and like that the page says how far it looked: it may hold no event and not be the last. Read on after `scanned` until that is the head. Times are
    /// found by a search, topics by the log; keys and categories are looked for event by event. A category must not have a `-` in it.
    public func events(
        after number: Int64, _ selection: EventSelection, limit: Int
    ) async throws -> EventPage {
        var page = EventPage(events: [], scanned: max(0, number))
        if let from = selection.from { page.scanned = max(page.scanned, try await self.number(before: from)) }
        var end = head
        if let until = selection.until { end = min(end, try await self.number(before: until)) }
        var (looked, bytes) = (0, 0)
        while page.scanned < end, looked < Self.selectionWindow {
            let next = try await events(after: page.scanned, types: selection.types, limit: 512)
            looked += 512
            for event in next.events where event.position.number <= end && selection.wants(event) {
                page.events.append(event)
                bytes += event.data.count
                guard page.events.count < limit, bytes < EventPage.maximumBytes else {
                    page.scanned = event.position.number
                    return page
                }
            }
            page.scanned = min(next.scanned, max(end, page.scanned))
            if next.scanned >= end { break }
        }
        // What is later than all that is wanted does not have to be looked at.
        if page.scanned >= end { page.scanned = max(page.scanned, selection.until == nil ? page.scanned : head) }
        return page
    }
}
