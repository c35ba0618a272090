import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Recorded histories of publishers and subscriptions at work together, held against what each guarantee says.
public enum HistoryConformance {
    private typealias Event = DeliveryHistory.Event

    /// Publishes `count` events of each key, by a publisher for each.
    private static func publish(
        _ log: any EventLog, keys: Int, _ count: Int, from first: Int = 1, into histories: [DeliveryHistory]
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in 0..<keys {
                group.addTask {
                    for number in first..<(first + count) {
                        let event = Event("k\(key)", number)
                        for history in histories { history.attempting(event) }
                        _ = try await log.publish([EventLogConformance.draft(event.key, data: "\(number)")])
                        for history in histories { history.acknowledged(event) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func event(_ stored: StoredEvent) -> Event {
        Event(stored.key, Int(String(decoding: stored.data, as: UTF8.self)) ?? 0)
    }

    private static func expectClean(
        _ history: DeliveryHistory, _ expectation: DeliveryHistory.Expectation, _ what: String
    ) throws {
        let findings = history.findings(expectation)
        try expect(findings.isEmpty, "\(what): \(findings.count) findings, as \(findings.prefix(3))")
    }

    /// All checks. Each wants a store of its own.
    public static let checks: [ConformanceCheck] = [
        ConformanceCheck("appends to one stream, and what others see of it meanwhile, have one order in time") {
            store in
            let (log, history) = (store.log, AppendHistory())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for round in 0..<60 {
                            let seen = try await log.streamStatus("s")?.version ?? 0
                            let count = Int64(1 + (writer + round) % 3)
                            let events = (0..<count).map { EventLogConformance.draft("k", data: "\($0)") }
                            try await history.record {
                                do {
                                    _ = try await log.append([
                                        Append(stream: "s", expected: .exactly(seen), events: events)
                                    ])
                                    return .appended(from: seen, to: seen + count)
                                } catch let error as LogError where error.code == .versionConflict {
                                    return nil
                                }
                            }
                        }
                    }
                }
                for reader in 0..<4 {
                    group.addTask {
                        for _ in 0..<200 {
                            try await history.record {
                                if reader % 2 == 0 { return .observed(try await log.streamStatus("s")?.version ?? 0) }
                                let events = try await log.stream("s", after: 0, limit: 10_000)
                                return .observed(events.last?.stream?.version ?? 0)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let findings = history.findings
            try expect(findings.isEmpty, "\(findings.count) findings, as \(findings.prefix(3))")
            try expect(try await log.streamStatus("s")?.version ?? 0 >= 60, "appends were made")
        },
        ConformanceCheck("while events are published: nothing lost, skipped or out of order, whatever the guarantee") {
            store in
            let (plain, small, once, most) = (
                DeliveryHistory(), DeliveryHistory(), DeliveryHistory(), DeliveryHistory()
            )
            let subscriptions = [
                Subscription("plain", to: ["#"], handler: .atLeastOnce { stored, _ in plain.delivered(event(stored)) }),
                Subscription(
                    "small", to: ["thing.*"], concurrency: 3, prefetch: 5,
                    handler: .atLeastOnce { stored, _ in
                        if stored.position.number % 5 == 0 { await Task.yield() }
                        small.delivered(event(stored))
                    }),
                Subscription(
                    "once", to: ["#"],
                    handler: .effectivelyOnce(in: try store.views("once")) { stored, _ in once.delivered(event(stored))
                    }),
                Subscription("most", to: ["#"], handler: .atMostOnce { most.delivered(event($0)) }),
            ]
            try await BusConformance.withBus(store.log, subscriptions) { bus in
                try await publish(store.log, keys: 16, 100, into: [plain, small, once, most])
                try await BusConformance.eventually("all is settled") {
                    try await bus.subscriptions().allSatisfy { $0.lag == 0 }
                }
            }
            for history in [plain, small, once, most] { try expectEqual(history.distinct, 1600, "events that came") }
            try expectClean(plain, .effectivelyOnce, "plain: without a failure nothing comes twice")
            try expectClean(small, .effectivelyOnce, "small")
            try expectClean(once, .effectivelyOnce, "once")
            try expectClean(most, .atMostOnce, "most")
        },
        ConformanceCheck(
            "through failures, retries and buses that stop in the middle: nothing lost, skipped or out of order"
        ) { store in
            let history = DeliveryHistory()
            let effects = DeliveryHistory()
            let failures = Mutex<[Event: Int]>([:])
            let views = try store.views("effects")
            try await views.migrate(
                Migrations(
                    owner: "effects", steps: ["CREATE TABLE effects (key TEXT NOT NULL, number BIGINT NOT NULL)"]))
            let subscriptions = [
                Subscription(
                    "retrying", to: ["#"], prefetch: 32,
                    redelivery: RedeliveryPolicy(
                        immediate: 1, delayed: 20, baseDelay: .milliseconds(2), maximumDelay: .milliseconds(10)),
                    handler: .atLeastOnce { stored, _ in
                        let event = event(stored)
                        // Every seventh event fails one to three times.
                        let fails = failures.withLock { failures in
                            let before = failures[event, default: 0]
                            guard stored.position.number % 7 == 0, before < 1 + event.number % 3 else { return false }
                            failures[event] = before + 1
                            return true
                        }
                        if fails { throw BusConformance.Broken() }
                        history.delivered(event)
                    }),
                Subscription(
                    "effects", to: ["#"],
                    handler: .effectivelyOnce(in: views) { stored, transaction in
                        let event = event(stored)
                        try transaction.execute("INSERT INTO effects VALUES (\(event.key), \(event.number))")
                    }),
            ]
            for round in 0..<6 {
                try await BusConformance.withBus(store.log, subscriptions) { bus in
                    try await publish(store.log, keys: 8, 25, from: round * 25 + 1, into: [history, effects])
                    guard round == 5 else { return }
                    try await BusConformance.eventually("all is settled") {
                        try await bus.subscriptions().allSatisfy { $0.lag == 0 && $0.blockedKeys == 0 }
                    }
                }
            }
            try expectEqual(history.acknowledgements, 1200, "events published")
            try expectClean(history, .atLeastOnce, "retrying")
            struct Row: Decodable { var key: String, number: Int }
            for row in try await views.snapshot({ try $0.rows(Row.self, "SELECT * FROM effects ORDER BY rowid") }) {
                effects.delivered(Event(row.key, row.number))
            }
            try expectClean(effects, .effectivelyOnce, "effects")
        },
    ]
}
