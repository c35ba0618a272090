import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation
import Synchronization
import Testing

@testable import DovetailCQRS

/// What a counter adds up to, with snapshots every ten events.
private struct Counter: Wire, Equatable {
    var sum = 0

    struct Added: Wire { var id: String, amount: Int }
    struct Carried: Wire { var id: String, sum: Int }
    static let added = Event("counter.added", Added.self, key: \.id)
    static let carried = Event("counter.carried", Carried.self, key: \.id)
    static let plain = Aggregate("counter", Counter())
        .apply(added) { $0.sum += $1.amount }
        .restart(on: carried) { Counter(sum: $0.sum) }
    static let aggregate = plain.snapshots(.every(10))
}

/// The same with another shape of state.
private struct WideCounter: Wire {
    var sum = 0, count = 0
    static let aggregate = Aggregate("counter", WideCounter())
        .apply(Counter.added) { counter, added in
            counter.sum += added.amount
            counter.count += 1
        }
        .snapshots(.every(10))
}

@Suite struct SnapshotTests {
    private let log: any EventLog

    init() throws { log = try MemoryStore().log }

    private func add(_ count: Int, _ executor: CommandExecutor, _ aggregate: Aggregate<Counter> = Counter.aggregate)
        async throws
    {
        for _ in 0..<count {
            try await executor.execute(aggregate, "a", source: "t", context: nil) { _ in
                [Counter.added(.init(id: "a", amount: 1))]
            }
        }
    }

    private func record() async throws -> SnapshotStore.Record? {
        try await SnapshotStore(log: log).record("counter-a")
    }

    /// Puts something into the snapshot that no events say, to see whether it is read.
    private func tamper(_ state: String, fingerprint: String? = nil) async throws {
        let bytes = Array(state.utf8)
        let changed = try await log.transaction("tamper", as: .engine) { transaction in
            if let fingerprint {
                try transaction.execute("UPDATE dovetail_snapshots SET fingerprint = \(fingerprint)")
            }
            return try transaction.execute("UPDATE dovetail_snapshots SET state = \(bytes)")
        }
        #expect(changed == 1)
    }

    @Test("A snapshot is kept every so many events; loading takes it and the events after it")
    func takes() async throws {
        let executor = CommandExecutor(log: log)
        try await add(9, executor)
        #expect(try await record() == nil)
        try await add(16, executor)
        #expect(try await record()?.version == 20)
        try await tamper(#"{"sum":1000}"#)
        #expect(try await CommandExecutor(log: log).state(Counter.aggregate, "a").0.sum == 1005)
        #expect(try await CommandExecutor(log: log).state(Counter.aggregate, "a").1 == 25)
        #expect(
            try await CommandExecutor(log: log).state(Counter.plain, "a").0.sum == 25, "who declares none reads none")
    }

    @Test("A snapshot of another shape, of other event versions or of another number is not read, and made anew")
    func fingerprints() async throws {
        try await add(20, CommandExecutor(log: log))
        try await tamper(#"{"sum":1000,"count":1000}"#)
        let wide = try await CommandExecutor(log: log).state(WideCounter.aggregate, "a").0
        #expect(wide.sum == 20)
        #expect(wide.count == 20)
        #expect(try await record()?.fingerprint == WideCounter.aggregate.fingerprint)
        #expect(try await CommandExecutor(log: log).state(Counter.aggregate, "a").0.sum == 20)
        #expect(try await record()?.fingerprint == Counter.aggregate.fingerprint)

        let newer = Counter.added.upcast(to: Counter.Added.self, key: \.id) { $0 }
        let others = [
            Counter.plain.snapshots(.every(10), version: 2),
            Aggregate("counter", Counter()).apply(newer) { $0.sum += $1.amount }.snapshots(.every(10)),
            Aggregate("counter", Counter()).snapshots(.every(10)).apply(Counter.added) { $0.sum += $1.amount },
        ]
        #expect(Set(others.map(\.fingerprint) + [Counter.aggregate.fingerprint]).count == 4)
        for other in others {
            try await tamper(#"{"sum":1000}"#)
            #expect(try await CommandExecutor(log: log).state(other, "a").0.sum == 20)
        }
    }

    @Test("A snapshot that cannot be read is passed over: the events are the truth")
    func unreadable() async throws {
        try await add(20, CommandExecutor(log: log))
        try await tamper("{")
        #expect(try await CommandExecutor(log: log).state(Counter.aggregate, "a").0.sum == 20)
    }

    @Test("A policy decides by the state; loading many events takes a snapshot too")
    func policies() async throws {
        let executor = CommandExecutor(log: log)
        try await add(12, executor, Counter.plain)
        #expect(try await CommandExecutor(log: log).state(Counter.aggregate, "a").0.sum == 12)
        #expect(try await record()?.version == 12)
        let choosy = Counter.plain.snapshots(.when { counter, since in counter.sum == 15 && since > 1 })
        let chooser = CommandExecutor(log: log)
        try await add(5, chooser, choosy)
        #expect(try await record()?.version == 15)
    }

    @Test(
        "Of snapshots that are kept at the same time the newest stays; a hot instance has its snapshots of what is committed"
    )
    func concurrent() async throws {
        let executor = CommandExecutor(log: log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { try await add(10, executor) } }
            try await group.waitForAll()
        }
        let version = try #require(try await record()?.version)
        #expect(version > 150 && version <= 200)
        let found = try #require(try await record())
        #expect(String(decoding: found.state, as: UTF8.self) == "{\"sum\":\(found.version)}")
    }

    @Test("A state as of a version and as of a time, with and without snapshots")
    func asOf() async throws {
        let executor = CommandExecutor(log: log)
        try await add(14, executor)
        let middle = Date()
        try await Task.sleep(for: .milliseconds(2))
        try await add(11, executor)
        try await tamper(#"{"sum":1020}"#)
        for aggregate in [Counter.plain, Counter.aggregate] {
            for version: Int64 in [0, 1, 13, 19] {
                let (state, reached) = try await executor.state(aggregate, "a", asOf: .version(version))
                #expect(state.sum == Int(version))
                #expect(reached == version)
            }
            #expect(try await executor.state(aggregate, "a", asOf: .time(middle)).0.sum == 14)
            #expect(try await executor.state(aggregate, "a", asOf: .time(.distantPast)).1 == 0)
        }
        #expect(try await executor.state(Counter.aggregate, "a", asOf: .version(22)).0.sum == 1022, "from the snapshot")
        #expect(try await executor.state(Counter.plain, "a", asOf: .time(.distantFuture)).0.sum == 25)
        #expect(try await executor.state(Counter.plain, "none", asOf: .version(3)).1 == 0)
    }

    @Test(
        "After the clock went back a state as of a time is what it was, whether it is made from a snapshot or without",
        arguments: [false, true])
    func clockGoesBack(_ onDisk: Bool) async throws {
        // Ahead of the machine's own clock, as it was when the events came that lie ahead of it now.
        let start = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 + 86_400).rounded())
        let now = Mutex(start)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("dovetail-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
        options.clock = { now.withLock { $0 } }
        let store = onDisk ? try SQLiteStore.open(folder + "/log.db", options: options) : nil
        let log = try store?.log ?? MemoryStore { now.withLock { $0 } }.log
        let executor = CommandExecutor(log: log)
        try await add(5, executor)
        // Five more, of which a snapshot is made, at a time that was an hour off.
        now.withLock { $0 = start + 3600 }
        try await add(5, executor)
        #expect(try await SnapshotStore(log: log).record("counter-a")?.time == start + 3600)
        now.withLock { $0 = start }
        try await add(3, executor)
        let times = try await log.stream("counter-a", after: 0, limit: 100).map(\.time)
        #expect(times == times.sorted(), "times never go back")
        #expect(times.last == start + 3600)
        for aggregate in [Counter.plain, Counter.aggregate] {
            for executor in [executor, CommandExecutor(log: log)] {
                for (seconds, sum) in [(-1, 0), (0, 5), (60, 5), (3599, 5), (3600, 13), (7200, 13)] {
                    let state = try await executor.state(aggregate, "a", asOf: .time(start + Double(seconds))).0
                    #expect(state.sum == sum, "\(seconds) s after the start")
                }
            }
        }
        await store?.close()
    }

    @Test("Compacted, an instance lives on from its snapshot; where nothing stands for what is gone, that is said")
    func compacts() async throws {
        let executor = CommandExecutor(log: log)
        try await add(25, executor)
        #expect(try await executor.compact(Counter.aggregate, "a")?.truncated == 25)
        try await add(2, CommandExecutor(log: log))
        #expect(try await CommandExecutor(log: log).state(Counter.aggregate, "a").0.sum == 27)
        #expect(try await executor.state(Counter.aggregate, "a", asOf: .version(26)).0.sum == 26)
        for version: Int64 in [3, 25] where version < 25 {
            await #expect(throws: TruncatedStreamError.self) {
                try await executor.state(Counter.aggregate, "a", asOf: .version(version))
            }
        }
        let error = await #expect(throws: TruncatedStreamError.self) {
            try await CommandExecutor(log: log).state(WideCounter.aggregate, "a")
        }
        #expect(error?.truncated == 25)
        await #expect(throws: TruncatedStreamError.self) {
            try await CommandExecutor(log: log).execute(WideCounter.aggregate, "a", source: "t", context: nil) { _ in
                [Counter.added(.init(id: "a", amount: 1))]
            }
        }
        #expect(try await executor.compact(Counter.aggregate, "none") == nil)
    }

    @Test("A stream of which nothing is left is not taken for a new one")
    func allTruncated() async throws {
        try await add(3, CommandExecutor(log: log), Counter.plain)
        try await log.truncate("counter-a", through: 3)
        await #expect(throws: TruncatedStreamError.self) { try await add(1, CommandExecutor(log: log), Counter.plain) }
        await #expect(throws: TruncatedStreamError.self) {
            try await CommandExecutor(log: log).state(Counter.plain, "a")
        }
        #expect(log.head == 3)
    }

    @Test("An event that begins afresh stands for all before it")
    func restarts() async throws {
        let executor = CommandExecutor(log: log)
        try await add(5, executor, Counter.plain)
        try await executor.execute(Counter.plain, "a", source: "t", context: nil) {
            [Counter.carried(.init(id: "a", sum: $0.sum + 100))]
        }
        try await log.truncate("counter-a", through: 5)
        try await add(1, executor, Counter.plain)
        #expect(try await CommandExecutor(log: log).state(Counter.plain, "a").0.sum == 106)
        await #expect(throws: TruncatedStreamError.self) {
            try await executor.state(Counter.plain, "a", asOf: .version(5))
        }
    }

    @Test("A command on a deleted stream is refused with the reason, whether it would do something or nothing")
    func deleted() async throws {
        let executor = CommandExecutor(log: log)
        try await add(1, executor)
        try await log.delete("counter-a")
        for count in [0, 1] {
            let error = await #expect(throws: LogError.self) {
                try await executor.execute(Counter.aggregate, "a", source: "t", context: nil) { _ in
                    Array(repeating: Counter.added(.init(id: "a", amount: 1)), count: count)
                }
            }
            #expect(error?.code == .streamDeleted)
        }
        #expect(try await executor.state(Counter.aggregate, "a").0.sum == 1)
    }

    @Test("A command on an instance that was deleted for good is refused with the reason, and its state is not shown")
    func tombstoned() async throws {
        let executor = CommandExecutor(log: log)
        let first = try await executor.execute(Counter.aggregate, "a", key: "first", source: "t", context: nil) { _ in
            [Counter.added(.init(id: "a", amount: 1))]
        }
        try await add(14, executor)
        try await executor.compact(Counter.aggregate, "a")
        try await add(5, executor)
        let status = try await executor.tombstone(
            Counter.aggregate, "a", holds: [RetentionHold(name: "the view", done: 17)])
        #expect(status.truncated == 17 && status.version == 20)
        let snapshots = SnapshotStore(log: log)
        #expect(try await snapshots.record("counter-a") == nil)
        // With events that somebody still needs, and without; with the state in memory, and without.
        for executor in [executor, CommandExecutor(log: log), CommandExecutor(log: log)] {
            for count in [0, 1] {
                let error = await #expect(throws: LogError.self) {
                    try await executor.execute(Counter.aggregate, "a", source: "t", context: nil) { _ in
                        Array(repeating: Counter.added(.init(id: "a", amount: 1)), count: count)
                    }
                }
                #expect(error?.code == .streamTombstoned, "\(String(describing: error))")
            }
            for moment in [AsOf.now, .version(19)] {
                let error = await #expect(throws: LogError.self) {
                    try await executor.state(Counter.aggregate, "a", asOf: moment)
                }
                #expect(error?.code == .streamTombstoned)
            }
            try await Retention(log: log, rules: []).runOnce()
        }
        let again = try await executor.execute(Counter.aggregate, "a", key: "first", source: "t", context: nil) { _ in
            [Counter.added(.init(id: "a", amount: 1))]
        }
        #expect(again.wasDuplicate && again.position == first.position)
        // One that was being taken meanwhile is not kept.
        try await snapshots.save("counter-a", version: 20, time: .now, fingerprint: "f", state: [1])
        #expect(try await snapshots.record("counter-a") == nil)
    }

    @Test("Snapshots over SQLite outlive a restart, and go back with the log's own transactions")
    func sqlite() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("dovetail-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
        for round in 1...2 {
            let store = try SQLiteStore.open(folder + "/log.db", options: options)
            let executor = CommandExecutor(log: store.log)
            try await add(15, executor)
            #expect(try await SnapshotStore(log: store.log).record("counter-a")?.version == Int64(round == 1 ? 10 : 30))
            #expect(try await executor.state(Counter.aggregate, "a").0.sum == round * 15)
            await store.close()
        }
    }
}
