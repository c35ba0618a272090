import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// What retention and verification promise over any store, sentence by sentence.
public enum RetentionConformance {
    private static func publish(_ log: any EventLog, _ type: String, _ count: Int, bytes: Int = 2) async throws {
        let data = String(repeating: "x", count: bytes)
        _ = try await log.publish((0..<count).map { EventLogConformance.draft("k\($0 % 4)", type: type, data: data) })
    }

    private static func numbers(_ log: any EventLog, _ type: String) async throws -> [Int64] {
        try await EventLogConformance.all(log, types: [type]).map(\.position.number)
    }

    private static func expectWhole(_ log: any EventLog, kept: Int64) async throws {
        let verification = try await log.verify { _ in }
        try expect(verification.isWhole, "the log is whole: \(verification.findings)")
        try expectEqual(verification.events, kept, "events that are there")
        try expectEqual(verification.reclaimed, log.head - kept, "events that were reclaimed")
        try expectEqual(verification.head, log.head, "the head that was verified")
    }

    /// All checks. Each wants a store of its own.
    public static let checks: [ConformanceCheck] = [
        ConformanceCheck("what a rule lets go is gone, nothing else is, and the log is whole before and after") {
            store in
            let log = store.log
            for _ in 0..<30 {
                try await publish(log, "metric.seen", 40)
                try await publish(log, "order.placed", 10)
            }
            _ = try await log.append([
                Append(stream: "s", events: [EventLogConformance.draft("k", type: "metric.seen")])
            ])
            try await expectWhole(log, kept: 1501)
            let before = try await EventLogConformance.all(log)
            let retention = Retention(log: log, rules: [RetentionRule(topics: ["metric.*"], positions: 501)])
            try expectEqual(try await retention.runOnce(), 800, "events reclaimed")
            let kept = before.filter { $0.type == "order.placed" || $0.position.number > 1000 }
            let after = try await EventLogConformance.all(log)
            try expectEqual(after.map(\.position), kept.map(\.position), "the numbers that are there")
            try expectEqual(after.map(\.id), kept.map(\.id), "the events that are there")
            try expectEqual(try await retention.runOnce(), 0, "events reclaimed by a second round")
            try await expectWhole(log, kept: 701)
            let gone = before.first { $0.type == "metric.seen" }
            if let gone {
                try expect(try await log.event(id: gone.id) == nil, "an event that is gone is not found by its id")
            }
            // Numbers go on where they were, and streams are as they were.
            try expectEqual(
                try await log.publish([EventLogConformance.draft("k")]).position.number, 1502, "the next number")
            try expectEqual(try await log.stream("s", after: 0, limit: 9).count, 1, "events of the stream")
            let page = try await log.events(after: 0, types: ["metric.seen"], limit: 10)
            try expectEqual(page.events.first?.position.number, 1001, "the first that is left of the topic")
        },
        ConformanceCheck("by age and by size, and by any bound that says so") { store in
            let log = store.log
            try await publish(log, "a", 10)
            try await Task.sleep(for: .milliseconds(20))
            let middle = Date()
            try await Task.sleep(for: .milliseconds(20))
            try await publish(log, "a", 10)
            let byAge = Retention(log: log, rules: [RetentionRule(topics: ["a"], age: .seconds(60))])
            try expectEqual(try await byAge.runOnce(), 0, "none is old yet")
            try expectEqual(try await byAge.runOnce(now: middle.addingTimeInterval(60)), 10, "the old ones")
            try expectEqual(try await numbers(log, "a"), Array(11...20), "those that are left")
            try await publish(log, "b", 3000, bytes: 1000)
            let bySize = Retention(log: log, rules: [RetentionRule(topics: ["b", "c"], bytes: 1_000_000)])
            _ = try await bySize.runOnce()
            let left = try await numbers(log, "b")
            try expect((800...1000).contains(left.count), "about a megabyte is left: \(left.count) events")
            try expectEqual(left.last, log.head, "the newest are left")
            try await publish(log, "b", 100, bytes: 1000)
            try expectEqual(try await bySize.runOnce(), 100, "as many go as have come")
            let either = Retention(
                log: log, rules: [RetentionRule(topics: ["b"], age: .seconds(3600), positions: 50)])
            _ = try await either.runOnce()
            try expectEqual(try await numbers(log, "b").count, 50, "the tighter bound")
        },
        ConformanceCheck(
            "nothing goes that a subscription has not done with, by failure, order or absence; its dead letters stay whole"
        ) { store in
            let log = store.log
            let gate = Gate()
            let handled = Recorder<Int64>()
            let subscription = Subscription(
                "slow", to: ["a"], redelivery: .none,
                handler: .atLeastOnce { event, _ in
                    if event.position.number == 6, event.key == "k1" { throw BusConformance.Broken() }
                    if event.position.number == 30 { try await gate.wait() }
                    handled.record(event.position.number)
                })
            let retention = Retention(log: log, rules: [RetentionRule(topics: ["#"], positions: 0)])
            try await publish(log, "a", 40)
            try await BusConformance.withBus(log, [subscription]) { bus in
                // All but the one that fails, what waits behind it, the one that hangs and what waits behind that.
                try await handled.wait(for: 40 - 9 - 3)
                try await BusConformance.eventually("the failure is written") {
                    let status = try await bus.subscriptions()[0]
                    let hold = try await bus.deadLetters(of: "slow")
                    return status.deadLetters == 1 && hold.count == 1
                }
                _ = try await retention.runOnce()
                try expectEqual(
                    try await numbers(log, "a").first, 6, "the failed event is there for what waits behind it")
                gate.open()
                try await handled.wait(for: 40 - 9)
                try await bus.redrive("slow", position: 6)
                try await BusConformance.eventually("it has failed again, and is discarded") {
                    do {
                        try await bus.discard("slow", position: 6)
                        return true
                    } catch is LogError {
                        return false
                    }
                }
                try await handled.wait(for: 39)
                try await BusConformance.eventually("all is settled") {
                    let status = try await bus.subscriptions()[0]
                    return status.lag == 0 && status.blockedKeys == 0
                }
            }
            // It does not run now, and holds all the same what it has not seen.
            try await publish(log, "a", 5)
            _ = try await retention.runOnce()
            let last = log.head
            try expectEqual(try await numbers(log, "a"), Array((last - 4)...last), "what it has not seen")
            try expectEqual(retention.status.hold?.name, "the subscription 'slow'", "who holds")
            // The operator's two interventions are nobody's to reclaim by a wildcard.
            try await expectWhole(log, kept: 7)
        },
        ConformanceCheck("a dead letter is tried again from its own copy when the log has let the event go") { store in
            let log = store.log
            let broken = Mutex(true)
            let handled = Recorder<String>()
            let subscription = Subscription(
                "loose", to: ["a"], order: .unordered, redelivery: .none,
                handler: .atLeastOnce { event, _ in
                    if event.position.number == 2, broken.withLock({ $0 }) { throw BusConformance.Broken() }
                    handled.record("\(event.position.number) \(event.key) \(event.id)")
                })
            try await publish(log, "a", 3)
            let second = try await EventLogConformance.all(log)[1]
            try await BusConformance.withBus(log, [subscription]) { bus in
                try await BusConformance.eventually("it is dead") {
                    let status = try await bus.subscriptions()[0]
                    return status.deadLetters == 1 && status.lag == 0
                }
                let retention = Retention(log: log, rules: [RetentionRule(topics: ["a"], positions: 0)])
                try await BusConformance.eventually("the log lets all go") {
                    _ = try await retention.runOnce()
                    return try await EventLogConformance.all(log).isEmpty
                }
                broken.withLock { $0 = false }
                try await bus.redrive("loose", position: 2)
                try await BusConformance.eventually("it is done") { try await bus.deadLetters(of: "loose").isEmpty }
            }
            try expectEqual(handled.elements.last, "2 k1 \(second.id)", "what came")
        },
        ConformanceCheck("who is set back, or begins, while a round goes on finds what was still there") { store in
            let log = store.log
            for _ in 0..<6 { try await publish(log, "a", 500) }
            let subscription = Subscription("late", to: ["a"], handler: .atMostOnce { _ in })
            let bus = EventBus(log: log, subscriptions: [subscription])
            let asked = Mutex(0)
            let retention = Retention(log: log, rules: [RetentionRule(topics: ["a"], positions: 0)]) {
                // After some steps a subscription begins.
                let isTime = asked.withLock { asked in
                    asked += 1
                    return asked == 4
                }
                if isTime { try await bus.prepare() }
                return []
            }
            _ = try await retention.runOnce()
            let first = try await numbers(log, "a").first ?? 0
            try expect((500...1501).contains(first), "what the subscription has not seen is there, from \(first) on")
            try expectEqual(try await retention.runOnce(), 0, "nothing more goes")
        },
        ConformanceCheck("others that hold events are asked too") { store in
            let log = store.log
            try await publish(log, "a", 20)
            let done = Mutex<Int64>(7)
            let retention = Retention(log: log, rules: [RetentionRule(topics: ["a"], positions: 0)]) {
                [RetentionHold(name: "the view", done: done.withLock { $0 }), RetentionHold(name: "other", done: 12)]
            }
            try expectEqual(try await retention.runOnce(), 7, "reclaimed")
            try expectEqual(retention.status.hold, RetentionHold(name: "the view", done: 7), "who holds")
            done.withLock { $0 = 99 }
            try expectEqual(try await retention.runOnce(), 5, "reclaimed once that one is done")
        },
    ]
}
