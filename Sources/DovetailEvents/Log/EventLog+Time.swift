import Foundation

extension EventLog {
    /// The number of the last event that was committed before `date`; 0 if there is none. What comes after it was committed then or later.
    ///
    /// A binary search: the times of a log never decrease.
    public func number(before date: Date) async throws -> Int64 {
        // Events up to `low` were committed before; those after `high` were not.
        var low: Int64 = 0
        var high = head
        while low < high {
            let middle = low + (high - low) / 2
            if let event = try await firstEvent(after: middle, upTo: high), event.time < date {
                low = event.position.number
            } else {
                high = middle
            }
        }
        return low
    }

    /// The first event after `number`, over whatever was reclaimed between.
    private func firstEvent(after number: Int64, upTo end: Int64) async throws -> StoredEvent? {
        var number = number
        while number < end {
            let page = try await events(after: number, types: nil, limit: 1)
            if let event = page.events.first { return event.position.number <= end ? event : nil }
            number = page.scanned
        }
        return nil
    }

    /// The number after which a reader that is new begins.
    func number(of start: Subscription.Start) async throws -> Int64 {
        switch start {
        case .beginning: 0
        case .now: head
        case .position(let position): try number(of: position)
        case .time(let date): try await number(before: date)
        }
    }
}
