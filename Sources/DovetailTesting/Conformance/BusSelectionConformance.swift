import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

extension BusConformance {
    /// What is delivered, and when.
    static let selection: [ConformanceCheck] = [
        ConformanceCheck("a filter chooses by attributes and fields of the payload, of what is there and of what comes")
        {
            store in
            let wanted = Recorder<Seen>()
            let effects = Recorder<Seen>()
            let filter: EventFilter = .data("total") >= 100 && .data("customer.country") == "DE" || .key == "vip"
            let views = try store.views("shop")
            let subscriptions = [
                Subscription(
                    "s", to: ["#"], where: filter, handler: .atLeastOnce { event, _ in wanted.record(Seen(event)) }),
                Subscription(
                    "e", to: ["thing.#"], where: filter,
                    handler: .effectivelyOnce(in: views) { event, _ in effects.record(Seen(event)) }),
            ]
            let data = [
                #"{"total":100,"customer":{"country":"DE"}}"#, #"{"total":99,"customer":{"country":"DE"}}"#,
                #"{"total":250.5,"customer":{"country":"FR"}}"#, "no JSON",
                #"{"total":101,"customer":{"country":"DE"}}"#,
            ]
            try await publish(store.log, data.map { ("k", $0) } + [("vip", "{}")])
            try await withBus(store.log, subscriptions) { bus in
                try await wanted.wait(for: 3)
                try await eventually("it is joined") { try await bus.subscriptions().allSatisfy { $0.lag == 0 } }
                try await publish(store.log, data.map { ("k", $0) } + [("vip", "{}")])
                try await wanted.wait(for: 6)
                try await effects.wait(for: 6)
                try await eventually("all is settled") { try await bus.subscriptions().allSatisfy { $0.lag == 0 } }
            }
            let expected = [data[0], data[4], "{}", data[0], data[4], "{}"]
            try expectEqual(effects.elements.map(\.data), expected, "effects")
            try expectEqual(
                wanted.elements.filter { $0.key == "k" }.map(\.data), expected.filter { $0 != "{}" }, "deliveries")
            try expectEqual(wanted.elements.count, 6, "deliveries in all")
        },
        ConformanceCheck("a new subscription from a time gets what was committed then or later, and nothing older") {
            store in
            for number in 0..<40 {
                try await publish(store.log, [("k", "\(number)"), ("k", "\(number)b")])
                if number % 10 == 0 { try await Task.sleep(for: .milliseconds(2)) }
            }
            let all = try await EventLogConformance.all(store.log)
            for index in [0, 1, 37, 62, 79] {
                let time = all[index].time
                let seen = Recorder<Seen>()
                let subscription = Subscription(
                    "s\(index)", to: ["#"], start: .time(time),
                    handler: .atLeastOnce { event, _ in seen.record(Seen(event)) })
                let expected = all.filter { $0.time >= time }
                try await withBus(store.log, [subscription]) { bus in
                    try await seen.wait(for: expected.count)
                    try await eventually("all is settled") { try await bus.subscriptions()[0].lag == 0 }
                }
                try expectEqual(seen.elements, expected.map(Seen.init), "from the time of event \(index + 1)")
            }
            try expectEqual(try await store.log.number(before: .distantPast), 0, "before all")
            try expectEqual(try await store.log.number(before: .distantFuture), 80, "after all")
        },
        ConformanceCheck("an event that has expired is settled unhandled; one that has not yet is handled") { store in
            var old = EventLogConformance.draft("k", data: "old")
            old.attributes.expiresAt = Date().addingTimeInterval(-0.001)
            var fresh = EventLogConformance.draft("k", data: "fresh")
            fresh.attributes.expiresAt = Date().addingTimeInterval(3600)
            _ = try await store.log.publish([old, fresh])
            let seen = Recorder<Seen>()
            let effects = Recorder<Seen>()
            let subscriptions = [
                Subscription("s", to: ["#"], handler: .atLeastOnce { event, _ in seen.record(Seen(event)) }),
                Subscription(
                    "e", to: ["#"],
                    handler: .effectivelyOnce(in: try store.views("shop")) { event, _ in effects.record(Seen(event)) }),
            ]
            try await withBus(store.log, subscriptions) { bus in
                try await seen.wait(for: 1)
                try await effects.wait(for: 1)
                try await eventually("all is settled") { try await bus.subscriptions().allSatisfy { $0.lag == 0 } }
                try expectEqual(try await bus.deadLetters(of: "s").count, 0, "dead letters")
            }
            try expectEqual(seen.elements.map(\.data), ["fresh"], "deliveries")
            try expectEqual(effects.elements.map(\.data), ["fresh"], "effects")
            let kept = try await EventLogConformance.all(store.log)
            let expiry = kept.last?.attributes.expiresAt?.timeIntervalSince1970 ?? 0
            let expected = fresh.attributes.expiresAt?.timeIntervalSince1970 ?? 1
            try expect(abs(expiry - expected) < 1e-5, "the log keeps when an event expires")
        },
        ConformanceCheck("one slow handler among thousands of quick ones holds up its own key only") { store in
            let count = 4000
            try await publish(store.log, (0..<count).map { ("k\($0 % 500)", "\($0)") })
            let done = Recorder<Seen>()
            let gate = Gate()
            let subscription = Subscription(
                "s", to: ["#"], concurrency: 2,
                handler: .atLeastOnce { event, _ in
                    if event.position.number == 1777 { try await gate.wait() }
                    done.record(Seen(event))
                })
            try await withBus(store.log, [subscription]) { _ in
                let slow = "k\(1776 % 500)"
                let behind = (1776..<count).filter { $0 % 500 == 1776 % 500 }.count
                try await done.wait(for: count - behind)
                try expect(!done.elements.contains { $0.key == slow && $0.data == "1776" }, "the slow one is not done")
                gate.open()
                try await done.wait(for: count)
            }
            try expectEqual(Set(done.elements.map(\.data)).count, count, "events handled")
            for (key, own) in Dictionary(grouping: done.elements, by: \.key) {
                try expect(
                    own.compactMap { Int($0.data) } == own.compactMap { Int($0.data) }.sorted(), "the order of \(key)")
            }
        },
    ]
}
