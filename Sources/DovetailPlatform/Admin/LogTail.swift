import DovetailEvents
import Synchronization

/// Reads a log event by event, and waits at its end if it is to follow. One task reads at a time.
actor LogTail {
    private let log: any EventLog
    private let types: Set<String>?
    private let follow: Bool
    private var number: Int64
    private var page: ArraySlice<StoredEvent> = []

    init(log: any EventLog, number: Int64, types: Set<String>?, follow: Bool) {
        self.log = log
        self.number = number
        self.types = types
        self.follow = follow
    }

    func next() async throws -> StoredEvent? {
        while true {
            if let event = page.popFirst() { return event }
            if number >= log.head {
                guard follow else { return nil }
                _ = try await log.waitForHead(beyond: number)
            }
            let read = try await log.events(after: number, types: types, limit: 256)
            number = read.scanned
            page = read.events[...]
        }
    }

    /// So many, and no more.
    final class Countdown: Sendable {
        private let left: Mutex<Int>

        init(_ limit: Int?) { left = Mutex(limit ?? .max) }

        func take() -> Bool {
            left.withLock { left in
                guard left > 0 else { return false }
                left -= 1
                return true
            }
        }
    }
}
