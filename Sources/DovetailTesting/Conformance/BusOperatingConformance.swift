import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

extension BusConformance {
    private static func interventions(_ log: any EventLog) async throws -> [String] {
        try await EventLogConformance.all(log).filter { $0.type.hasPrefix("$operator.") }.map {
            let intervention = try JSON.decode(Intervention.self, from: $0.data)
            return "\(intervention.action) \(intervention.subscription) \(intervention.position.map { "\($0)" } ?? "")"
        }
    }

    /// What an operator does.
    static let intervening: [ConformanceCheck] = [
        ConformanceCheck(
            "dead letters are counted by what they died of, edited, and redriven by choice; each intervention is on record"
        ) { store in
            struct OutOfPaper: Error, CustomStringConvertible { let description: String }
            let handled = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["thing.happened"], order: .unordered, redelivery: .none,
                handler: .atLeastOnce { event, _ in
                    let seen = Seen(event)
                    switch seen.data {
                    case "paper": throw OutOfPaper(description: "printer \(event.position.number) is out of paper")
                    case "broken": throw Broken()
                    case "odd": throw UndecodableEvent(type: event.type, cause: Broken())
                    default: handled.record(seen)
                    }
                })
            try await publish(
                store.log,
                ["paper", "fine", "broken", "paper", "odd", "paper"].enumerated().map { ("k\($0)", $1) })
            try await withBus(store.log, [subscription]) { bus in
                try await eventually("all are dead") { try await bus.deadLetters(of: "s").count == 5 }
                let groups = try await bus.deadLetterGroups(of: "s")
                try expectEqual(groups.map(\.count), [3, 1, 1], "the groups")
                try expectEqual(groups[0].error, "printer # is out of paper", "what the first group died of")
                try expectEqual(groups[0].first, 1, "the first of it")
                try expectEqual(groups[2].reason, .undecodable, "why the last is here")
                let counted = try await bus.redrive("s", DeadLetterChoice(error: "paper"), dryRun: true)
                try expectEqual([counted.seen, counted.chosen, counted.redriven], [5, 3, 0], "what a dry run counts")
                for position: Int64 in [1, 4] { try await bus.edit("s", position: position, data: Array("ink".utf8)) }
                let start = MonotonicTime.now
                let result = try await bus.redrive(
                    "s", DeadLetterChoice(type: "thing.happened", reason: .failed, error: "paper"), rate: 20)
                try expect(MonotonicTime.now - start >= .milliseconds(99), "three at 20 a second take a tenth at least")
                try expectEqual([result.chosen, result.redriven], [3, 3], "what a redrive does")
                try await handled.wait(for: 3)
                try await eventually("three are left") { try await bus.deadLetters(of: "s").count == 3 }
                try expectEqual(
                    try await bus.deadLetters(of: "s").map(\.position), [3, 5, 6],
                    "those that failed again, or were not chosen")
                try expectEqual(
                    String(decoding: try await EventLogConformance.all(store.log)[0].data, as: UTF8.self), "paper",
                    "the log stays as it is")
                try await bus.discard("s", position: 5)
                try await expectFailure(.statement, "a letter that is not there") {
                    try await bus.edit("s", position: 5, data: [])
                }
            }
            try expectEqual(Set(handled.elements.map(\.data)), ["fine", "ink"], "what was handled")
            try expectEqual(
                try await interventions(store.log), ["edited s 1", "edited s 4", "redriven s ", "discarded s 5"],
                "what is on record")
        },
        ConformanceCheck("a replay takes a range to the handler once more, or to a shadow, and moves nothing") {
            store in
            let own = Recorder<Seen>()
            let shadow = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["thing.#"], where: .key != "no",
                handler: .atLeastOnce { event, _ in
                    own.record(Seen(event))
                    if event.position.number == 3, own.elements.count > 8 { throw Broken() }
                })
            try await publish(store.log, (1...8).map { ("k", "\($0)") } + [("no", "9")])
            try await publish(store.log, [("k", "other")], type: "other")
            try await withBus(store.log, [subscription]) { bus in
                try await own.wait(for: 8)
                let counted = try await bus.replay("s", from: .beginning, dryRun: true)
                try expectEqual([counted.matched, counted.handled], [8, 0], "what a dry run counts")
                try expectEqual(try await interventions(store.log), [], "a dry run is no intervention")
                let result = try await bus.replay("s", from: .position(store.log.position(1)), upTo: 5)
                try expectEqual([result.matched, result.handled, result.failed], [4, 3, 1], "what a replay does")
                try expectEqual(result.failures.map(\.position), [3], "what failed")
                let shown = try await bus.replay(
                    "s", from: .beginning, into: { event, _ in shadow.record(Seen(event)) })
                try expectEqual(shown.handled, 8, "what the shadow got")
                try await eventually("it is where it was") { try await bus.subscriptions()[0].lag == 0 }
                try await publish(store.log, [("k", "new")])
                try await own.wait(for: 13)
            }
            try expectEqual(
                own.elements.map(\.data), (1...8).map(String.init) + ["2", "3", "4", "5", "new"], "what the handler got"
            )
            try expectEqual(shadow.elements.map(\.data), (1...8).map(String.init), "what the shadow got, in order")
            try expectEqual(try await interventions(store.log), ["replayed s 1"], "what is on record")
        },
        ConformanceCheck(
            "a bus that does not run says where its subscriptions stand, seeks, and refuses what needs handlers"
        ) {
            store in
            let fault = Fault(["2": 1000])
            let seen = Recorder<Seen>()
            let subscription = recording("s", fault, seen, policy: .none)
            try await publish(store.log, (0..<5).map { ("k\($0)", "\($0)") })
            try await withBus(store.log, [subscription]) { bus in
                try await eventually("one is dead") { try await bus.deadLetters(of: "s").count == 1 }
                try await eventually("the rest is settled") { try await bus.subscriptions()[0].lag == 0 }
            }
            let stopped = EventBus(log: store.log, subscriptions: [subscription])
            let status = try await stopped.subscriptions()[0]
            try expectEqual(
                [status.scanned, Int64(status.blockedKeys), Int64(status.deadLetters)], [5, 1, 1], "where it stands")
            try expect(status.problem != nil, "it says that it does not run")
            try await expectFailure(.statement, "a redrive") { try await stopped.redrive("s", position: 3) }
            try await expectFailure(.statement, "a discard") { try await stopped.discard("s", position: 3) }
            try expectEqual(try await stopped.seek("s", to: .beginning), 0, "the place it is set to")
            fault.heal()
            try await withBus(store.log, [subscription]) { _ in try await seen.wait(for: 9) }
        },
        ConformanceCheck(
            "set to another place again and again, at full speed: it goes on, in order, and nothing is left out"
        ) { store in
            let history = DeliveryHistory()
            let count = 3000
            let subscription = Subscription(
                "s", to: ["k.*"], prefetch: 64,
                handler: .atLeastOnce { event, _ in
                    history.delivered(.init(event.key, Int(String(decoding: event.data, as: UTF8.self)) ?? 0))
                    if event.position.number % 50 == 0 { await Task.yield() }
                })
            for number in 1...count { history.attempting(.init("k\(number % 3)", (number + 2) / 3)) }
            for first in stride(from: 1, through: count, by: 500) {
                try await publish(
                    store.log, (first..<(first + 500)).map { ("k\($0 % 3)", "\(($0 + 2) / 3)") }, type: "k.seen")
            }
            for number in 1...count { history.acknowledged(.init("k\(number % 3)", (number + 2) / 3)) }
            try await withBus(store.log, [subscription]) { bus in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<3 {
                        group.addTask {
                            for _ in 0..<8 {
                                try await bus.seek("s", to: .beginning)
                                try await Task.sleep(for: .milliseconds(Int.random(in: 0...15)))
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                try await eventually("all is settled") { try await bus.subscriptions()[0].lag == 0 }
            }
            let findings = history.findings(.atLeastOnce)
            try expect(findings.isEmpty, "\(findings.prefix(3))")
        },
        ConformanceCheck("an edited dead letter is tried with its own payload, also when it is tried later again") {
            store in
            let seen = Recorder<Seen>()
            let attempts = Mutex(0)
            let subscription = Subscription(
                "s", to: ["thing.happened"],
                redelivery: RedeliveryPolicy(immediate: 0, delayed: 3, baseDelay: .milliseconds(2)),
                handler: .atLeastOnce { event, _ in
                    let handled = Seen(event)
                    if handled.data == "bad" { throw UndecodableEvent(type: event.type, cause: Broken()) }
                    let attempt = attempts.withLock { attempts in
                        attempts += 1
                        return attempts
                    }
                    if attempt < 3 { throw Broken() }
                    seen.record(handled)
                })
            try await publish(store.log, [("k", "bad")])
            try await withBus(store.log, [subscription]) { bus in
                try await eventually("it is dead") { try await bus.deadLetters(of: "s").count == 1 }
                try await bus.edit("s", position: 1, data: Array("good".utf8))
                try await bus.redrive("s", position: 1)
                try await seen.wait(for: 1)
                try await eventually("it is done") { try await bus.deadLetters(of: "s").isEmpty }
            }
            try expectEqual(seen.elements.map(\.data), ["good"], "what was handled at last")
        },
        ConformanceCheck("what a key held back comes when the subscription becomes unordered") { store in
            let fault = Fault(["0": 1000])
            let seen = Recorder<Seen>()
            try await publish(store.log, (0..<20).map { ("k", "\($0)") })
            try await withBus(store.log, [recording("s", fault, seen, policy: .none)]) { bus in
                try await eventually("the key is parked, the rest held") {
                    let status = try await bus.subscriptions()[0]
                    return status.deadLetters == 1 && status.lag == 0
                }
            }
            var unordered = recording("s", fault, seen, policy: .none)
            unordered.order = .unordered
            try await withBus(store.log, [unordered]) { _ in try await seen.wait(for: 19) }
            try expectEqual(Set(seen.elements.map(\.data)), Set((1..<20).map(String.init)), "what came")
        },
        ConformanceCheck("at most once: an orderly stop loses nothing") { store in
            let seen = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["#"], concurrency: 2,
                handler: .atMostOnce { event in
                    try? await Task.sleep(for: .milliseconds(2))
                    seen.record(Seen(event))
                })
            try await publish(store.log, (0..<120).map { ("k\($0 % 7)", "\($0)") })
            for _ in 0..<40 where seen.elements.count < 120 {
                try await withBus(store.log, [subscription]) { _ in try await Task.sleep(for: .milliseconds(15)) }
            }
            try expectEqual(seen.elements.count, 120, "deliveries")
            try expectEqual(Set(seen.elements.map(\.data)).count, 120, "events, each once")
        },
        ConformanceCheck(
            "a subscription that no program has any more is named, and forgotten with all that is kept of it"
        ) {
            store in
            let subscription = recording("old", Fault(["1": 1000]), Recorder<Seen>(), policy: .none)
            try await publish(store.log, (0..<3).map { ("k\($0)", "\($0)") })
            try await withBus(store.log, [subscription]) { bus in
                try await eventually("one is dead") { try await bus.deadLetters(of: "old").count == 1 }
                try await expectFailure(.statement, "forgetting what runs") { try await bus.forget("old") }
                try expectEqual(try await bus.forgotten(), [], "what nobody has")
            }
            let bus = EventBus(log: store.log, subscriptions: [])
            try expectEqual(try await bus.forgotten(), ["old"], "what nobody has")
            try await bus.forget("old")
            try expectEqual(try await bus.forgotten(), [], "what nobody has then")
            try expect(try await bus.deadLetters(of: "old").isEmpty, "its dead letters are gone")
            try await expectFailure(.statement, "forgetting it twice") { try await bus.forget("old") }
            try expectEqual(try await interventions(store.log), ["forgotten old "], "what is on record")
        },
    ]
}
