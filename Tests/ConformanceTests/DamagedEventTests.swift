import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailTesting
import Foundation
import SQLiteBinding
import Synchronization
import Testing

/// An event that the disk has damaged holds up those whom it concerns, where it lies, and nobody else.
@Suite struct DamagedEventTests {
    private let folder = TemporaryFolder()

    private var path: String { folder.path + "/log.db" }

    private func open() throws -> SQLiteStore {
        try SQLiteStore.open(path, options: .init(durability: .operatingSystem, ballastBytes: 4096))
    }

    private func draft(_ number: Int) -> EventDraft {
        EventDraft(
            type: number % 2 == 0 ? "even" : "odd", key: "k\(number)", source: "t", data: Array("\(number)".utf8))
    }

    /// Thirty events, of which the tenth, an even one, reads differently from what was stored.
    private func damage() async throws {
        let store = try open()
        for number in 1...30 { _ = try await store.log.publish([draft(number)]) }
        await store.close()
        try change("x'00'")
    }

    private func change(_ data: String) throws {
        try SQLiteConnection(path: path, checkpointsOnClose: true)
            .run("UPDATE dovetail_log SET data = \(data) WHERE position = 10")
    }

    @Test func pagesEndBeforeIt() async throws {
        try await damage()
        let log = try open().log
        let before = try await log.events(after: 0, types: nil, limit: 100)
        #expect(before.events.map(\.position.number) == Array(1...9))
        #expect(before.scanned == 9)
        await #expect(throws: LogError.self) { try await log.events(after: 9, types: nil, limit: 100) }
        let even = try await log.events(after: 4, types: ["even"], limit: 100)
        #expect(even.events.map(\.position.number) == [6, 8])
        #expect(even.scanned == 9)
        let odd = try await log.events(after: 0, types: ["odd"], limit: 100)
        #expect(odd.events.count == 15, "those whom it does not concern pass")
    }

    @Test(.timeLimit(.minutes(1)))
    func othersGoOn() async throws {
        try await damage()
        let store = try open()
        let seen = Mutex<[String: Set<Int64>]>([:])
        @Sendable func note(_ name: String, _ event: StoredEvent) {
            seen.withLock { _ = $0[name, default: []].insert(event.position.number) }
        }
        let views = try store.views(module: "m")
        func subscription(_ name: String, _ topic: TopicPattern) -> Subscription {
            Subscription(name, to: [topic], handler: .atLeastOnce { event, _ in note(name, event) })
        }
        func reader(_ name: String, _ topic: TopicPattern) -> Subscription {
            Subscription(name, to: [topic], handler: .effectivelyOnce(in: views) { event, _ in note(name, event) })
        }
        let bus = EventBus(
            log: store.log,
            subscriptions: [
                subscription("odd", "odd"), subscription("even", "even"), reader("odd once", "odd"),
                reader("even once", "even"),
            ])
        let running = Task { try await bus.run() }
        func status(_ name: String) async throws -> SubscriptionStatus {
            try #require(try await bus.subscriptions().first { $0.name == name })
        }
        for name in ["odd", "odd once"] {
            try await eventually("\(name) has handled all of its own") { seen.withLock { $0[name]?.count } == 15 }
        }
        for name in ["even", "even once"] {
            try await eventually("\(name) says what holds it up") {
                try await status(name).problem?.contains("position 10 is damaged") == true
            }
            #expect(seen.withLock { $0[name] } == [2, 4, 6, 8], "\(name)")
        }
        // What comes now finds its way too, to those who have caught up and were being handed events.
        _ = try await store.log.publish([draft(31), draft(32)])
        for name in ["odd", "odd once"] {
            try await eventually("\(name) goes on") { seen.withLock { $0[name]?.contains(31) } == true }
        }
        // An operator who lets go of it sets the subscription behind it.
        _ = try await bus.seek("even", to: .position(store.log.position(10)))
        try await eventually("it goes on behind it") { seen.withLock { $0["even"]?.contains(32) } == true }
        #expect(seen.withLock { $0["even"]?.contains(10) } == false)
        // And where the page is brought back, who waited there goes on by itself.
        try change("x'3130'")
        try await eventually("it is read again") { seen.withLock { $0["even once"]?.count } == 16 }
        running.cancel()
        try await running.value
        await store.close()
    }

    @Test(.timeLimit(.minutes(1)))
    func oneThatIsMetOnTheWayDismissesNobodyForGood() async throws {
        let store = try open()
        for number in 1...9 { _ = try await store.log.publish([draft(number)]) }
        let odd = Mutex<Set<Int64>>([])
        let bus = EventBus(
            log: store.log,
            subscriptions: [
                Subscription(
                    "odd", to: ["odd"],
                    handler: .atLeastOnce { event, _ in
                        odd.withLock { _ = $0.insert(event.position.number) }
                        // Held for a while, so that what comes next is damaged before it is read.
                        if event.position.number == 9 { try await Task.sleep(for: .milliseconds(300)) }
                    }),
                Subscription("even", to: ["even"], handler: .atLeastOnce { _, _ in }),
            ])
        let running = Task { try await bus.run() }
        try await eventually("they have caught up") { try await bus.subscriptions().allSatisfy { $0.scanned == 9 } }
        let connection = try SQLiteConnection(path: path)
        try connection.run(
            "CREATE TRIGGER damage AFTER INSERT ON dovetail_log WHEN NEW.position = 10 BEGIN UPDATE dovetail_log SET data = x'00' WHERE position = 10; END"
        )
        for number in 10...20 { _ = try await store.log.publish([draft(number)]) }
        try await eventually("the others are handled") { odd.withLock { $0 } == Set((1...20).filter { $0 % 2 == 1 }) }
        try await eventually("the one says so") {
            try await bus.subscriptions().contains { $0.problem?.contains("position 10 is damaged") == true }
        }
        running.cancel()
        try await running.value
        await store.close()
    }

    @Test(.timeLimit(.minutes(1)))
    func oneThatWasUnderWayHoldsUpItsSubscriptionOnly() async throws {
        let store = try open()
        for number in 1...20 { _ = try await store.log.publish([draft(number)]) }
        func bus(_ log: any EventLog, _ odd: Counter, _ even: Counter) -> EventBus {
            EventBus(
                log: log,
                subscriptions: [
                    Subscription("odd", to: ["odd"], handler: .atLeastOnce { event, _ in odd.note(event) }),
                    Subscription("even", to: ["even"], handler: .atLeastOnce { event, _ in even.note(event) }),
                ])
        }
        let (odd, even) = (Counter(), Counter())
        let first = bus(store.log, odd, even)
        let running = Task { try await first.run() }
        try await eventually("all are handled") { odd.count == 10 && even.count == 10 }
        running.cancel()
        try await running.value
        await store.close()
        try change("x'00'")
        // As a process leaves it that was killed over the one.
        try SQLiteConnection(path: path, checkpointsOnClose: true)
            .run("UPDATE dovetail_subscriptions SET open_positions = '10' WHERE name = 'even'")

        let again = try open()
        _ = try await again.log.publish([draft(21), draft(22)])
        let second = bus(again.log, odd, even)
        let rerunning = Task { try await second.run() }
        try await eventually("the other one goes on") { odd.count == 11 }
        try await eventually("the one says what holds it up") {
            try await second.subscriptions().contains { $0.problem?.contains("position 10 is damaged") == true }
        }
        _ = try await second.seek("even", to: .position(again.log.position(10)))
        try await eventually("it goes on behind it") { even.contains(22) }
        rerunning.cancel()
        try await rerunning.value
        await again.close()
    }

    /// The numbers of the events that were handled.
    private final class Counter: Sendable {
        private let numbers = Mutex<Set<Int64>>([])
        var count: Int { numbers.withLock { $0.count } }
        func contains(_ number: Int64) -> Bool { numbers.withLock { $0.contains(number) } }
        func note(_ event: StoredEvent) { numbers.withLock { _ = $0.insert(event.position.number) } }
    }

    private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = MonotonicTime.now + .seconds(20)
        while try await !condition() {
            guard MonotonicTime.now < deadline else {
                Issue.record("\(what): not so after 20 s")
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
