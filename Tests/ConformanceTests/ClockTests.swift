import DovetailEvents
import DovetailMemory
import Foundation
import Synchronization
import Testing

@testable import DovetailSQLite

/// A clock that is set back under a log.
@Suite struct ClockTests {
    private func draft() -> EventDraft { EventDraft(type: "thing.happened", key: "k", source: "t", data: [1]) }

    @Test(
        "The times of events never go back when the clock does: appended, published, in transactions, and over a restart",
        arguments: ["memory", "disk"])
    func timesNeverGoBack(_ engine: String) async throws {
        let folder = TemporaryFolder()
        let start = Date(timeIntervalSince1970: 1_700_000_000)
        let now = Mutex(start)
        var options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
        options.clock = { now.withLock { $0 } }
        func open() throws -> (log: any EventLog, close: () async -> Void) {
            if engine == "memory" {
                let store = try MemoryStore { now.withLock { $0 } }
                return (store.log, {})
            }
            let store = try SQLiteStore.open(folder.path + "/log.db", options: options)
            return (store.log, { await store.close() })
        }
        var store = try open()
        for (index, seconds) in [0, 10, -50, 5, 20, -4000].enumerated() {
            now.withLock { $0 = start + Double(seconds) }
            _ = try await store.log.append([Append(stream: "s", events: [draft(), draft()])])
            _ = try await store.log.publish([draft()])
            let append = Append(stream: "s", events: [draft()])
            _ = try await store.log.enqueue(append, as: "m") { events, _ in
                #expect(events.allSatisfy { $0.time >= start })
            }.value
            guard index == 2, engine == "disk" else { continue }
            await store.close()
            store = try open()
        }
        let times = try await store.log.events(after: 0, types: nil, limit: 100).events.map(\.time)
        #expect(times.count == 24)
        #expect(times == times.sorted())
        #expect(Set(times) == [start, start + 10, start + 20])
        #expect(try await store.log.verify { _ in }.findings.isEmpty)
        await store.close()
    }
}
