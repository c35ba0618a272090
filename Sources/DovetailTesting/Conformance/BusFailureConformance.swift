import DovetailContracts
import DovetailCore
import DovetailEvents
import Synchronization

extension BusConformance {
    /// Fails an event so many times.
    final class Fault: Sendable {
        private let left: Mutex<[String: Int]>
        init(_ failures: [String: Int]) { left = Mutex(failures) }

        func strike(_ event: StoredEvent) throws {
            let fails = left.withLock { left in
                let data = Seen(event).data
                guard let count = left[data], count > 0 else { return false }
                left[data] = count - 1
                return true
            }
            if fails { throw Broken() }
        }

        func heal() { left.withLock { $0 = [:] } }
    }

    static func recording(
        _ name: String, _ fault: Fault, _ seen: Recorder<Seen>, policy: RedeliveryPolicy = quickRetries
    ) -> Subscription {
        Subscription(
            name, to: ["#"], redelivery: policy,
            handler: .atLeastOnce { event, _ in
                try fault.strike(event)
                seen.record(Seen(event))
            })
    }

    static let failure: [ConformanceCheck] = [
        ConformanceCheck("what follows a failing event of its key waits for it, and other keys flow") { store in
            let seen = Recorder<Seen>()
            let gate = Gate()
            let attempts = Recorder<Int>()
            let policy = RedeliveryPolicy(
                immediate: 1, delayed: 5, baseDelay: .milliseconds(1), maximumDelay: .milliseconds(1))
            let subscription = Subscription(
                "s", to: ["#"], redelivery: policy,
                handler: .atLeastOnce { event, delivery in
                    if Seen(event).data == "a1" {
                        attempts.record(delivery.attempt)
                        if delivery.attempt < 4 { throw Broken() }
                        // The fourth attempt is held until the other keys have come through.
                        try await gate.wait()
                    }
                    seen.record(Seen(event))
                })
            try await withBus(store.log, [subscription]) { _ in
                try await publish(store.log, [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("b", "b2")])
                try await attempts.wait(for: 3)
                try await publish(store.log, [("a", "a4"), ("b", "b3")])
                let others = try await seen.wait(for: 3)
                try expectEqual(others.map(\.data), ["b1", "b2", "b3"], "what came through meanwhile")
                gate.open()
                try await seen.wait(for: 7)
                // The key is free again.
                try await publish(store.log, [("a", "a5")])
                try await seen.wait(for: 8)
            }
            try expectEqual(
                seen.elements.filter { $0.key == "a" }.map(\.data), ["a1", "a2", "a3", "a4", "a5"], "the order of a")
            try expectEqual(attempts.elements, [1, 2, 3, 4], "the attempts' numbers")
        },
        ConformanceCheck(
            "an event out of attempts goes to the dead letters with its bytes; its key is parked, and redrive drains it in order"
        ) { store in
            let seen = Recorder<Seen>()
            let fault = Fault(["a1": 1000])
            try await publish(store.log, [("a", "a0"), ("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")])
            try await withBus(store.log, [recording("s", fault, seen)]) { bus in
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                let letter = try await bus.deadLetters(of: "s")[0]
                try expectEqual(letter.attempts, 5, "attempts")
                try expectEqual(letter.reason, .failed, "the reason")
                try expectEqual(letter.position, 2, "the position")
                try expectEqual(String(decoding: letter.data, as: UTF8.self), "a1", "the bytes")
                try expect(letter.error.contains("Broken"), "the error: \(letter.error)")
                try expect(letter.firstFailedAt <= letter.diedAt, "the times")
                try await publish(store.log, [("a", "a4"), ("b", "b2")])
                try await eventually("b flows on") { seen.elements.contains { $0.data == "b2" } }
                try expectEqual(seen.elements.filter { $0.key == "a" }.map(\.data), ["a0"], "a waits")
                try expectEqual(try await bus.subscriptions()[0].blockedKeys, 1, "blocked keys")
                try await bus.redrive("s", position: 2)
                try await eventually("it fails again") { try await bus.deadLetters(of: "s")[0].diedAt > letter.diedAt }
                fault.heal()
                try await bus.redrive("s", position: 2)
                try await eventually("the key has drained") { try await bus.subscriptions()[0].blockedKeys == 0 }
                try await publish(store.log, [("a", "a5")])
                try await eventually("a5") { seen.elements.contains { $0.data == "a5" } }
                try await eventually("the dead letter is gone") { try await bus.deadLetters(of: "s").isEmpty }
            }
            try expectEqual(
                seen.elements.filter { $0.key == "a" }.map(\.data), (0...5).map { "a\($0)" }, "the order of a")
        },
        ConformanceCheck("a discarded dead letter lets what waits behind it go on without it") { store in
            let seen = Recorder<Seen>()
            try await publish(store.log, [("a", "a1"), ("a", "a2"), ("a", "a3")])
            try await withBus(store.log, [recording("s", Fault(["a1": 1000]), seen, policy: .none)]) { bus in
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                try await expectFailure(.statement, "a dead letter that is not there") {
                    try await bus.discard("s", position: 2)
                }
                try await bus.discard("s", position: 1)
                try expectEqual(try await bus.deadLetters(of: "s").count, 0, "dead letters")
                try await seen.wait(for: 2)
            }
            try expectEqual(seen.elements.map(\.data), ["a2", "a3"], "deliveries")
        },
        ConformanceCheck("parked keys, what they hold, and retries outlive a restart") { store in
            let seen = Recorder<Seen>()
            let fault = Fault(["a1": 1000, "c1": 1000])
            let slow = RedeliveryPolicy(
                immediate: 0, delayed: 1, baseDelay: .seconds(3600), maximumDelay: .seconds(3600)
            ) {
                _ in true
            }
            try await publish(store.log, [("a", "a1"), ("a", "a2"), ("b", "b1")])
            try await withBus(
                store.log,
                [recording("s", fault, seen, policy: .none), recording("r", fault, Recorder(), policy: slow)]
            ) {
                bus in
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                try await eventually("the retry waits") { try await bus.subscriptions()[0].blockedKeys == 1 }
            }
            for round in 3...40 { try await publish(store.log, [("a", "a\(round)")]) }
            let late = Recorder<Seen>()
            try await withBus(
                store.log, [recording("s", fault, seen, policy: .none), recording("r", fault, late, policy: slow)]
            ) { bus in
                try await publish(store.log, [("b", "b2")])
                try await eventually("b2") { seen.elements.contains { $0.data == "b2" } }
                try await eventually("b2 at the other") { late.elements.contains { $0.data == "b2" } }
                try expectEqual(late.elements.map(\.data), ["b2"], "the retry still waits, and a with it")
                try expectEqual(seen.elements.filter { $0.key == "a" }.count, 0, "a waits")
                fault.heal()
                try await bus.redrive("s", position: 1)
                try await eventually("all of a") { seen.elements.filter { $0.key == "a" }.count == 40 }
            }
            try expectEqual(
                seen.elements.filter { $0.key == "a" }.map(\.data), (1...40).map { "a\($0)" }, "the order of a")
        },
        ConformanceCheck("an unordered subscription goes on past a dead letter") { store in
            let seen = Recorder<Seen>()
            var subscription = recording("s", Fault(["a1": 1000]), seen)
            subscription.order = .unordered
            try await publish(store.log, [("a", "a1"), ("a", "a2"), ("a", "a3")])
            try await withBus(store.log, [subscription]) { bus in
                try await seen.wait(for: 2)
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                try await eventually("nothing is blocked") { try await bus.subscriptions()[0].blockedKeys == 0 }
            }
        },
        ConformanceCheck("an event that cannot be decoded is told apart, and goes to the dead letters at once") {
            store in
            struct Payload: Wire { var id: String, amount: Int }
            let event = Event("thing.paid", Payload.self, key: \.id)
            _ = try await store.log.publish([
                EventDraft(event(Payload(id: "a", amount: 1)), source: "test", context: nil),
                EventLogConformance.draft("b", type: "thing.paid", data: "{\"id\":\"b\",\"amount\":\"many\"}"),
            ])
            let seen = Recorder<Int>()
            let subscription = Subscription("s", on: event) { payload, _ in seen.record(payload.amount) }
            try await withBus(store.log, [subscription]) { bus in
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                let letter = try await bus.deadLetters(of: "s")[0]
                try expectEqual(letter.reason, .undecodable, "the reason")
                try expectEqual(letter.attempts, 1, "attempts")
                try await seen.wait(for: 1)
            }
            try expectEqual(seen.elements, [1], "what was decoded")
        },
        ConformanceCheck("a handler that hangs is cancelled, and counts as failed; other keys flow") { store in
            let seen = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["#"], concurrency: 1, redelivery: .none, handlerTimeout: .milliseconds(50),
                handler: .atLeastOnce { event, _ in
                    if event.key == "a" { try await Task.sleep(for: .seconds(3600)) }
                    seen.record(Seen(event))
                })
            try await publish(store.log, [("a", "a1"), ("b", "b1")])
            try await withBus(store.log, [subscription]) { bus in
                try await seen.wait(for: 1)
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                try expectEqual(try await bus.deadLetters(of: "s")[0].reason, .timedOut, "the reason")
            }
        },
        ConformanceCheck(
            "a handler that ignores its cancellation is fenced: its event comes again, and its late result does not count"
        ) { store in
            let gate = Gate()
            let attempts = Recorder<Int>()
            let seen = Recorder<Seen>()
            let subscription = Subscription(
                "s", to: ["#"], concurrency: 2, redelivery: quickRetries, handlerTimeout: .milliseconds(50),
                handler: .atLeastOnce { event, delivery in
                    if Seen(event).data == "a1" {
                        attempts.record(delivery.attempt)
                        if delivery.attempt == 1 { await Task { try? await gate.wait() }.value }
                    }
                    seen.record(Seen(event))
                })
            try await publish(store.log, [("a", "a1"), ("a", "a2")])
            try await withBus(store.log, [subscription]) { bus in
                try await attempts.wait(for: 2)
                try await eventually("a2 has come") { seen.elements.contains { $0.data == "a2" } }
                gate.open()
                try await eventually("it is done") { try await bus.subscriptions()[0].blockedKeys == 0 }
            }
            try expectEqual(attempts.elements, [1, 2], "attempts")
        },
    ]

    static let operating: [ConformanceCheck] = [
        ConformanceCheck("a subscription that is set back gets everything again, in order") { store in
            let seen = Recorder<Seen>()
            let fault = Fault(["3": 1000])
            try await publish(store.log, (0..<10).map { ("k", "\($0)") })
            try await withBus(store.log, [recording("s", fault, seen, policy: .none)]) { bus in
                try await eventually("the dead letter is there") { try await bus.deadLetters(of: "s").count == 1 }
                fault.heal()
                try await bus.seek("s", to: .beginning)
                try await seen.wait(for: 13)
                try await publish(store.log, [("k", "10")])
                try await seen.wait(for: 14)
            }
            try expectEqual(seen.elements.map(\.data), ["0", "1", "2"] + (0...10).map(String.init), "deliveries")
        },
        ConformanceCheck("lag counts what is not settled") { store in
            let gate = Gate()
            let started = Recorder<Int>()
            let subscription = Subscription(
                "s", to: ["#"],
                handler: .atLeastOnce { _, _ in
                    started.record(1)
                    try await gate.wait()
                })
            try await publish(store.log, (0..<5).map { ("k\($0)", "\($0)") })
            try await withBus(store.log, [subscription]) { bus in
                try await started.wait(for: 5)
                let status = try await bus.subscriptions()[0]
                try expectEqual(status.lag, 5, "the lag")
                try expect(status.age != nil, "there is an age")
                gate.open()
                try await eventually("no lag") { try await bus.subscriptions()[0].lag == 0 }
                try expect(try await bus.subscriptions()[0].age == nil, "there is no age")
            }
        },
        ConformanceCheck("a position of another log is refused") { store in
            let start = LogPosition(log: .v7(), epoch: 1, number: 0)
            let subscription = Subscription("s", to: ["#"], start: .position(start), handler: .atMostOnce { _ in })
            try await expectFailure(.foreignPosition, "a subscription from a foreign position") {
                try await EventBus(log: store.log, subscriptions: [subscription]).run()
            }
        },
    ]
}
