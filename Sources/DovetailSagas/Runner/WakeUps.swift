import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Counts the reasons to look for work, so that none is missed between a look and the wait for the next.
final class WakeUps: Sendable {
    private let count = Watermark(0)
    private let last = Mutex<Int64>(0)

    var value: Int64 { count.value }

    /// Gives a reason to look.
    func bump() {
        let next = last.withLock { last in
            last += 1
            return last
        }
        count.advance(to: next)
    }

    /// Returns when there is a reason beyond `seen`, or at `time`. Throws `CancellationError` when cancelled.
    func wait(beyond seen: Int64, until time: Date) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await self.count.wait(for: seen + 1) }
            group.addTask { try await Task.sleep(for: .seconds(max(0.001, time.timeIntervalSinceNow))) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
