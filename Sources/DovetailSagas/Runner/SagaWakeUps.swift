import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Reasons for the sagas of a node to look for work at once, counted by saga, so that none is missed between a look and the wait for the next.
public final class SagaWakeUps: Sendable {
    private let counts = Mutex<[String: WakeUps]>([:])

    /// None yet.
    public init() {}

    /// Has the saga of this name look for work.
    public func wake(_ saga: String) {
        of(saga).bump()
    }

    /// Has all sagas look for work.
    public func wakeAll() {
        for one in counts.withLock({ Array($0.values) }) { one.bump() }
    }

    func of(_ saga: String) -> WakeUps {
        counts.withLock { counts in
            if let count = counts[saga] { return count }
            let count = WakeUps()
            counts[saga] = count
            return count
        }
    }
}

/// Counts the reasons for one saga.
final class WakeUps: Sendable {
    private let count = Watermark(0)
    private let last = Mutex<(all: Int64, looks: Int64)>((0, 0))

    var value: Int64 { count.value }
    /// How many of them were reasons to look into the journal.
    var looks: Int64 { last.withLock { $0.looks } }

    /// Gives a reason to look; with `isArrival` only for what is handed over.
    func bump(isArrival: Bool = false) {
        let next = last.withLock { last in
            last.all += 1
            if !isArrival { last.looks += 1 }
            return last.all
        }
        count.advance(to: next)
    }

    /// Returns when there is a reason beyond `seen`, at `time`, or after a minute. Throws `CancellationError` when cancelled.
    func wait(beyond seen: Int64, until time: Date, _ clock: SagaClock) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await self.count.wait(for: seen + 1) }
            group.addTask { try await clock.sleep(until: time) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
