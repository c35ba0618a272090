import DovetailCore
import DovetailEvents
import DovetailSQLite
import Foundation
import Synchronization
import Testing

/// Many events that a failing subscription holds back: their rows are on the disk, not in memory, and they come in order when it is mended.
///
/// `scripts/bench/events-scale` does the same with a million.
@Suite struct UnsettledTests {
    private static let keys = 50
    private static let events = 40_000

    @Test(.timeLimit(.minutes(2))) func whatIsHeldBackTakesNoMemory() async throws {
        try await withSQLiteStore { store in
            for first in stride(from: 0, to: Self.events, by: 500) {
                _ = try await store.log.publish(
                    (first..<(first + 500)).map { number in
                        EventDraft(
                            type: "a", key: "k\(number % Self.keys)", source: "t",
                            data: [UInt8](repeating: UInt8(number % 256), count: 1000))
                    })
            }
            let isMended = Mutex(false)
            let seen = Mutex<(last: [String: Int64], count: Int, isInOrder: Bool)>(([:], 0, true))
            let bus = EventBus(
                log: store.log,
                subscriptions: [
                    Subscription(
                        "s", to: ["a"], redelivery: RedeliveryPolicy(immediate: 0, delayed: 0),
                        handler: .atLeastOnce { event, _ in
                            guard isMended.withLock({ $0 }) else { throw Away() }
                            seen.withLock { seen in
                                let number = event.position.number
                                if seen.last.updateValue(number, forKey: event.key) ?? 0 >= number {
                                    seen.isInOrder = false
                                }
                                seen.count += 1
                            }
                        })
                ])
            let running = Task { try await bus.run() }
            defer { running.cancel() }
            var resident: Double?
            var most = 0.0
            while true {
                let status = try await bus.subscriptions()[0]
                // From a quarter on, when all that is needed has been taken.
                if status.scanned > Self.events / 4 {
                    resident = resident ?? Self.residentMegabytes
                    most = max(most, Self.residentMegabytes)
                }
                if status.scanned == Self.events { break }
                try await Task.sleep(for: .milliseconds(2))
            }
            #expect(try await bus.subscriptions()[0].deadLetters == Self.keys)
            isMended.withLock { $0 = true }
            try await bus.redrive("s", DeadLetterChoice())
            while seen.withLock({ $0.count }) < Self.events {
                most = max(most, Self.residentMegabytes)
                try await Task.sleep(for: .milliseconds(2))
            }
            #expect(seen.withLock { $0.isInOrder })
            // Thirty megabytes of events were held meanwhile.
            #expect(most - (resident ?? 0) < 20, "\(resident ?? 0) MB at first, at most \(most)")
        }
    }

    private struct Away: Error {}

    /// 0 where the system does not say.
    private static var residentMegabytes: Double {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            let pages = text.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
        else { return 0 }
        return pages * Double(getpagesize()) / 1_048_576
    }
}
