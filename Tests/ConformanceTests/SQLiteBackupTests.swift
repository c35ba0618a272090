import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailTesting
import Foundation
import Synchronization
import Testing

@Suite struct SQLiteBackupTests {
    private let folder = TemporaryFolder()

    private func open(_ name: String) throws -> SQLiteStore {
        try SQLiteStore.open(
            "\(folder.path)/\(name)/log.db", options: .init(durability: .operatingSystem, ballastBytes: 4096))
    }

    private func draft(_ number: Int) -> EventDraft {
        EventDraft(type: "a", key: "k\(number % 3)", source: "t", data: Array("\(number)".utf8))
    }

    @Test(
        "A backup taken under load is whole, and restored it is the store as it was at one moment, in a new life",
        .timeLimit(.minutes(2)))
    func underLoad() async throws {
        let store = try open("main")
        let views = try store.views(module: "shop")
        try await views.migrate(Migrations(owner: "shop", steps: ["CREATE TABLE seen (n BIGINT NOT NULL)"]))
        let reader = EffectivelyOnceReader("seen", from: store.log, into: views, types: ["a"]) { event, transaction in
            try transaction.execute("INSERT INTO seen VALUES (\(event.position.number))")
        }
        let reading = Task { try await reader.run() }
        for number in 0..<20_000 where number % 500 == 0 {
            _ = try await store.log.publish((number..<(number + 500)).map(draft))
        }
        let publishing = Task {
            var number = 20_000
            while !Task.isCancelled {
                _ = try await store.log.publish([draft(number)])
                number += 1
            }
            return number
        }
        try await Task.sleep(for: .milliseconds(50))
        let steps = Mutex<[String: Double]>([:])
        let before = store.log.head
        let manifest = try await store.backUp(into: "\(folder.path)/backup") { progress in
            steps.withLock { $0[progress.step] = progress.done }
        }
        let after = store.log.head
        publishing.cancel()
        _ = try await publishing.value
        reading.cancel()
        try await reading.value
        #expect(after > before, "publishing went on meanwhile")
        #expect((before...after).contains(manifest.head))
        #expect(steps.withLock { $0 } == ["views/shop.db": 1, "log.db": 1])
        let events = try await store.log.events(after: manifest.head - 1, types: nil, limit: 1).events
        let oldPosition = store.log.position(5)
        await store.close()

        let restored = try await SQLiteStore.restore("\(folder.path)/backup", to: "\(folder.path)/other/log.db")
        #expect(restored.head == manifest.head)
        let other = try open("other")
        #expect(other.log.head == manifest.head)
        #expect(other.log.identity.log == manifest.log)
        #expect(other.log.identity.epoch > manifest.epoch)
        let verification = try await other.log.verify { _ in }
        #expect(verification.isWhole, "\(verification.findings)")
        #expect(verification.events == manifest.head)
        let last = try await other.log.events(after: manifest.head - 1, types: nil, limit: 1).events
        #expect(last.first?.id == events.first?.id)
        #expect(throws: LogError.self, "a position of before the restore") { try other.log.number(of: oldPosition) }
        // The read model goes on where it was, without an effect made twice.
        let otherViews = try other.views(module: "shop")
        let again = EffectivelyOnceReader("seen", from: other.log, into: otherViews, types: ["a"]) {
            event, transaction in
            try transaction.execute("INSERT INTO seen VALUES (\(event.position.number))")
        }
        let rereading = Task { try await again.run() }
        _ = try await other.log.publish([draft(1)])
        try await again.wait(for: manifest.head + 1, until: .now + .seconds(20))
        rereading.cancel()
        try await rereading.value
        let count = try await otherViews.snapshot { try $0.row(Int.self, "SELECT count(*) FROM seen") }
        let distinct = try await otherViews.snapshot { try $0.row(Int.self, "SELECT count(DISTINCT n) FROM seen") }
        #expect(count == Int(manifest.head) + 1)
        #expect(distinct == count)
        await other.close()
    }

    @Test("Neither overwrites anything, and what is no backup is refused by name") func refusals() async throws {
        let store = try open("main")
        _ = try await store.log.publish([draft(1)])
        let backup = "\(folder.path)/backup"
        _ = try await store.backUp(into: backup)
        await #expect(throws: LogError.self) { try await store.backUp(into: backup) }
        await #expect(throws: LogError.self) { try await store.backUp(into: "/proc/none/backup") }
        #expect(!FileManager.default.fileExists(atPath: backup + ".partial"))
        await #expect(throws: LogError.self) { try await SQLiteStore.restore(backup, to: "\(folder.path)/main/log.db") }
        await #expect(throws: LogError.self) {
            try await SQLiteStore.restore(folder.path, to: "\(folder.path)/new/log.db")
        }
        try Data("{}".utf8).write(to: URL(fileURLWithPath: backup + "/backup.json"))
        await #expect(throws: LogError.self) { try await SQLiteStore.restore(backup, to: "\(folder.path)/new/log.db") }
        await store.close()
    }

    @Test(
        "Each restore begins another life, also of the same backup; effects in the log's own file go on too",
        .timeLimit(.minutes(1)))
    func lives() async throws {
        var name = "main"
        var epochs: [Int] = []
        for life in 1...3 {
            let store = try open(name)
            epochs.append(store.log.identity.epoch)
            let seen = Recorder<Int64>()
            let bus = EventBus(
                log: store.log,
                subscriptions: [
                    Subscription(
                        "own", to: ["a"],
                        handler: .effectivelyOnce(in: store.log) { event, _ in seen.record(event.position.number) })
                ])
            let running = Task { try await bus.run() }
            defer { running.cancel() }
            _ = try await store.log.publish([draft(life)])
            try await seen.wait(for: 1)
            running.cancel()
            try await running.value
            #expect(seen.elements == [Int64(life)], "an effect is not made again in another life")
            _ = try await store.backUp(into: "\(folder.path)/backup-\(life)")
            await store.close()
            name = "life-\(life + 1)"
            _ = try await SQLiteStore.restore("\(folder.path)/backup-\(life)", to: "\(folder.path)/\(name)/log.db")
        }
        try await Task.sleep(for: .milliseconds(20))
        _ = try await SQLiteStore.restore("\(folder.path)/backup-1", to: "\(folder.path)/again/log.db")
        let again = try open("again")
        epochs.append(again.log.identity.epoch)
        await again.close()
        #expect(Set(epochs).count == 4, "\(epochs)")
    }
}
