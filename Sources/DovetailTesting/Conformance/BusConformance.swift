import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import ServiceContextModule
import Synchronization

/// What the bus promises over any log, sentence by sentence.
public enum BusConformance {
    /// All checks. Each wants a store of its own.
    public static let checks: [ConformanceCheck] = delivery + selection + failure + operating + intervening

    struct Broken: Error {}

    /// What a handler saw.
    struct Seen: Sendable, Equatable {
        var key: String
        var data: String
        init(_ event: StoredEvent) {
            key = event.key
            data = String(decoding: event.data, as: UTF8.self)
        }
    }

    /// Runs `body` while a bus delivers, then stops the bus.
    static func withBus(
        _ log: any EventLog, _ subscriptions: [Subscription], clock: any MonotonicClock = .system,
        _ body: (EventBus) async throws -> Void
    ) async throws {
        let bus = EventBus(log: log, subscriptions: subscriptions, clock: clock)
        let running = Task { try await bus.run() }
        do {
            try await body(bus)
        } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
        running.cancel()
        try await running.value
    }

    static func publish(_ log: any EventLog, _ events: [(key: String, data: String)], type: String = "thing.happened")
        async throws
    {
        _ = try await log.publish(events.map { EventLogConformance.draft($0.key, type: type, data: $0.data) })
    }

    static let quickRetries = RedeliveryPolicy(
        immediate: 1, delayed: 3, baseDelay: .milliseconds(5), maximumDelay: .milliseconds(20))

    /// Asks until `condition` holds. For what only a status can tell.
    static func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = MonotonicTime.now + .seconds(20)
        while !(try await condition()) {
            try expect(MonotonicTime.now < deadline, "in vain: \(what)")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    static let delivery: [ConformanceCheck] = [
        ConformanceCheck("every subscription gets every event that matches, each key's in order") { store in
            let expected = (0..<1000).map { (key: "k\($0 % 16)", data: "\($0)") }
            try await publish(store.log, Array(expected.prefix(400)))
            let seen = (0..<3).map { _ in Recorder<Seen>() }
            let patterns: [TopicPattern] = ["thing.happened", "thing.*", "#"]
            let subscriptions = zip(patterns, seen).enumerated().map { index, pair in
                Subscription(
                    "s\(index)", to: [pair.0, "thing.happened"], prefetch: 32,
                    handler: .atLeastOnce { event, _ in
                        if event.position.number % 7 == 0 { await Task.yield() }
                        pair.1.record(Seen(event))
                    })
            }
            try await withBus(store.log, subscriptions) { _ in
                for event in expected.dropFirst(400) { try await publish(store.log, [event]) }
                for recorder in seen { try await recorder.wait(for: 1000) }
            }
            for recorder in seen {
                try expectEqual(recorder.elements.count, 1000, "deliveries")
                for (key, own) in Dictionary(grouping: recorder.elements, by: \.key) {
                    try expectEqual(
                        own.map(\.data), expected.filter { $0.key == key }.map(\.data), "the order of \(key)")
                }
            }
        },
        ConformanceCheck("a subscription goes on where it was, and gets nothing twice after a clean stop") { store in
            let seen = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["thing.*"], handler: .atLeastOnce { event, _ in seen.record(Seen(event)) })
            for round in 1...5 {
                try await withBus(store.log, [subscription]) { _ in
                    try await publish(store.log, (0..<20).map { ("k", "\(round).\($0)") })
                    try await seen.wait(for: round * 20)
                }
                try await publish(store.log, [("k", "other")], type: "other")
            }
            try expectEqual(
                seen.elements.map(\.data), (1...5).flatMap { round in (0..<20).map { "\(round).\($0)" } }, "deliveries")
        },
        ConformanceCheck("a new subscription from now sees nothing older, and everything since") { store in
            try await publish(store.log, [("k", "old")])
            let seen = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["#"], start: .now, handler: .atLeastOnce { event, _ in seen.record(Seen(event)) })
            try await withBus(store.log, [subscription]) { bus in
                try await eventually("it has started") { try await bus.subscriptions()[0].problem == nil }
            }
            try await publish(store.log, [("k", "while it was away")])
            try await withBus(store.log, [subscription]) { _ in try await seen.wait(for: 1) }
            try expectEqual(seen.elements.map(\.data), ["while it was away"], "deliveries")
        },
        ConformanceCheck("never more handlers run than allowed, and so many do; of one key never two") { store in
            try await publish(store.log, (0..<60).map { ("k\($0 % 6)", "\($0)") })
            let running = Mutex<[String]>([])
            let started = Recorder<Int>()
            let gate = Gate()
            let subscription = Subscription(
                "s", to: ["#"], concurrency: 4,
                handler: .atLeastOnce { event, _ in
                    let now = running.withLock { running in
                        running.append(event.key)
                        return running
                    }
                    if Set(now).count != now.count { started.record(1000) }
                    started.record(now.count)
                    try await gate.wait()
                    running.withLock { running in running.removeAll { $0 == event.key } }
                })
            try await withBus(store.log, [subscription]) { _ in
                try await started.wait(for: 4)
                gate.open()
                try await started.wait(for: 60)
            }
            try expectEqual(started.elements.max(), 4, "the most at once")
        },
        ConformanceCheck("an unordered subscription handles events of one key at the same time") { store in
            try await publish(store.log, (0..<4).map { ("k", "\($0)") })
            let started = Recorder<String>()
            let subscription = Subscription(
                "s", to: ["#"], order: .unordered, concurrency: 4,
                handler: .atLeastOnce { event, _ in
                    started.record(event.key)
                    try await started.wait(for: 4)
                })
            try await withBus(store.log, [subscription]) { _ in try await started.wait(for: 4) }
        },
        ConformanceCheck("wildcards leave the engine's own events alone") { store in
            try await publish(store.log, [("k", "own")], type: "$saga.started")
            try await publish(store.log, [("k", "other")])
            let all = Recorder<Seen>()
            let own = Recorder<Seen>()
            try await withBus(
                store.log,
                [
                    Subscription("all", to: ["#"], handler: .atLeastOnce { event, _ in all.record(Seen(event)) }),
                    Subscription("own", to: ["$saga.*"], handler: .atLeastOnce { event, _ in own.record(Seen(event)) }),
                ]
            ) { _ in
                try await all.wait(for: 1)
                try await own.wait(for: 1)
            }
            try expectEqual(all.elements.map(\.data), ["other"], "for #")
            try expectEqual(own.elements.map(\.data), ["own"], "for $saga.*")
        },
        ConformanceCheck("a handler finds the flow, the cause and its deadline in its context") { store in
            var draft = EventLogConformance.draft("k")
            draft.attributes.correlationID = "flow-7"
            _ = try await store.log.publish([draft])
            let contexts = Recorder<CallContext?>()
            let subscription = Subscription(
                "s", to: ["#"], handler: .atLeastOnce { _, _ in contexts.record(CallContext.current) })
            try await withBus(store.log, [subscription]) { _ in try await contexts.wait(for: 1) }
            let context = contexts.elements.first ?? nil
            try expectEqual(context?.correlationID, "flow-7", "the correlation id")
            try expectEqual(context?.causationID, draft.id.description, "the causation id")
            try expect(context?.deadline != nil, "there is a deadline")
        },
        ConformanceCheck("at most once: everything arrives, and nothing again after a stop") { store in
            let seen = Recorder<Seen>()
            let subscription = Subscription("s", to: ["#"], prefetch: 8, handler: .atMostOnce { seen.record(Seen($0)) })
            try await publish(store.log, (0..<50).map { ("k", "\($0)") })
            try await withBus(store.log, [subscription]) { _ in try await seen.wait(for: 50) }
            try await publish(store.log, [("k", "50")])
            try await withBus(store.log, [subscription]) { _ in try await seen.wait(for: 51) }
            try expectEqual(seen.elements.map(\.data), (0...50).map(String.init), "deliveries")
        },
        ConformanceCheck("effectively once: each effect is made once, through failures and restarts") { store in
            let views = try store.views("shop")
            try await views.migrate(
                Migrations(owner: "shop", steps: ["CREATE TABLE sums (key TEXT PRIMARY KEY, n BIGINT NOT NULL)"]))
            let failures = Mutex(3)
            let done = Recorder<Int>()
            let subscription = Subscription(
                "s", to: ["thing.#"],
                handler: .effectivelyOnce(in: views) { event, transaction in
                    try transaction.execute(
                        "INSERT INTO sums VALUES (\(event.key), 1) ON CONFLICT (key) DO UPDATE SET n = sums.n + 1")
                    let fails = failures.withLock { left in
                        guard event.position.number == 7, left > 0 else { return false }
                        left -= 1
                        return true
                    }
                    if fails { throw Broken() }
                    if Seen(event).data == "last" { done.record(1) }
                })
            for round in 1...2 {
                try await publish(store.log, (0..<10).map { ("k\($0 % 2)", "\($0)") })
                try await publish(store.log, [("x", "no")], type: "other")
                try await publish(store.log, [("k0", "last")])
                try await withBus(store.log, [subscription]) { bus in
                    try await done.wait(for: round)
                    try await eventually("it has caught up") { try await bus.subscriptions()[0].lag == 0 }
                }
            }
            let sums = try await views.snapshot { try $0.rows(Int.self, "SELECT n FROM sums ORDER BY key") }
            try expectEqual(sums, [12, 10], "the sums")
        },
    ]
}
