import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Testing

@testable import DovetailSagas

/// Whole sagas, one transition after the other, and a node that dies at each of them.
@Suite struct SagaHarnessTests {
    @Test("A saga that is refused is undone in reverse order, each effect once, and told")
    func refusal() async throws {
        let ledger = Ledger()
        ledger.fail("hotel 7", refused)
        let harness = try await SagaHarness()
        try await harness.add(
            tripSaga().calls(ledger, "flight").calls(ledger, "car").calls(ledger, "hotel").compensated {
                state, problem, context in
                try ledger.call("told \(state.trip) \(problem.type)", context)
            })
        try await harness.publish(booked("7"))
        try await harness.run()
        #expect(ledger.effects == ["flight 7", "car 7", "undo car 7", "undo flight 7", "told 7 refused"])
        let record = try #require(try await harness.instances().first)
        #expect(record.status == .compensated && record.problem?.contains("refused") == true)
        let lines = try await harness.journal(of: record.id)
        #expect(lines.map(\.kind) == [.started, .action, .action, .action, .undo, .undo, .conclude, .finished])
        // What others hear of it.
        let events = try await harness.log.events(after: 0, types: nil, limit: 100).events.map(\.type)
        #expect(events == ["trip.booked", "$saga.started", "$saga.compensated"])
    }

    @Test("A node dies at every commit of a saga with branches, a wait, a timer and a child: the outcome is the same")
    func crashes() async throws {
        for refuses in [nil, "hotel 7", "taxes 7", "insure 7"] {
            let report = try await SagaHarness.crashingAtEveryCommit { harness in
                let ledger = Ledger()
                if let refuses { ledger.fail(refuses, refused, refused, refused) }
                let insurance = Saga("insurance", of: Booking.self).calls(ledger, "rate").calls(ledger, "insure")
                try await harness.add(
                    tripSaga().calls(ledger, "flight")
                        .parallel(
                            { $0.calls(ledger, "hotel").calls(ledger, "breakfast") },
                            {
                                $0.wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid, within: .seconds(60))
                            },
                            {
                                $0.child("insurance", of: insurance, start: { $0 }, into: \.insured) {
                                    $0.trip
                                } undo: {
                                    try ledger.call("cancel insurance \($0.trip)", $1)
                                }
                            }
                        )
                        .pause("cool off", for: .seconds(3600)).calls(ledger, "taxes").pivot().only(ledger, "ticket")
                        .compensated { state, _, context in try ledger.call("told \(state.trip)", context) })
                try await harness.publish(booked("7"), paid("7"))
                try await harness.run()
                // A step that had its effect before the crash and is undone after it: the order is the same, too.
                let records = try await harness.instances()
                return [records.map(\.status.rawValue), records.map(\.state), ledger.effects.sorted()]
            }
            #expect(report.commits >= 4 && report.crashes == 2 * report.commits)
        }
    }

    @Test("The harness finds a saga whose outcome hangs on a crash")
    func findsDifferences() async throws {
        await #expect(throws: SagaHarness.Difference.self) {
            try await SagaHarness.crashingAtEveryCommit { harness in
                let ledger = Ledger()
                try await harness.add(tripSaga().calls(ledger, "flight").calls(ledger, "hotel"))
                try await harness.publish(booked("7"))
                try await harness.run()
                // How often a step is called does hang on it.
                return ledger.calls.count
            }
        }
    }

    @Test("Each call of a step has the same key, at each attempt and in each life; its undo has another")
    func keys() async throws {
        let ledger = Ledger()
        ledger.fail("hotel 7", lost, away, lost, refused)
        let harness = try await SagaHarness()
        try await harness.add(tripSaga().calls(ledger, "flight").calls(ledger, "hotel"))
        try await harness.publish(booked("7"))
        try await harness.run(for: .milliseconds(600))
        try await harness.restart()
        try await harness.run()
        let id = try #require(try await harness.instances().first).id
        let keys = ledger.calls.map { "\($0.what) \($0.key)" }
        #expect(keys.filter { $0.hasPrefix("hotel") }.count == 4)
        #expect(
            Set(keys) == [
                "flight 7 \(id)/flight", "hotel 7 \(id)/hotel", "undo hotel 7 \(id)/undo hotel",
                "undo flight 7 \(id)/undo flight",
            ])
    }

    @Test("A timer outlives the node, and is over when its time has come, not before")
    func timers() async throws {
        let ledger = Ledger()
        let harness = try await SagaHarness()
        try await harness.add(tripSaga().pause("a day", for: .seconds(86_400)).only(ledger, "remind"))
        try await harness.publish(booked("7"))
        try await harness.run(for: .seconds(86_000))
        try await harness.restart()
        try await harness.run(for: .seconds(300))
        #expect(ledger.effects == [])
        try await harness.run(for: .seconds(200))
        #expect(ledger.effects == ["remind 7"])
    }

    @Test("A person decides, early or late, or not in time")
    func decisions() async throws {
        for (early, late, ends) in [
            (true, false, "ticket 7"), (false, true, "ticket 7"), (false, false, "undo flight 7"),
        ] {
            let ledger = Ledger()
            let harness = try await SagaHarness()
            try await harness.add(
                tripSaga().calls(ledger, "flight").pause("a while", for: .seconds(10))
                    .decision("approve", into: \.approval, within: .seconds(3600)).only(ledger, "ticket"))
            try await harness.publish(booked("7"))
            try await harness.run(for: .seconds(5))
            let id = try #require(try await harness.instances().first).id
            if early { try await harness.signal(id, "approve", true) }
            try await harness.run(for: .seconds(100))
            if late { try await harness.signal(id, "approve", true) }
            await #expect(throws: SagaRefusal.self) {
                if early || late {
                    try await harness.signal(id, "approve", false)
                } else {
                    throw SagaRefusal(description: "")
                }
            }
            try await harness.run()
            let record = try #require(try await harness.instances().first)
            #expect(ledger.effects.last == ends)
            #expect(record.state.contains("approval") == (early || late))
            #expect(record.status == (early || late ? .completed : .compensated))
        }
    }

    @Test("An operator cancels a saga that waits: it turns back; one behind its pivot goes on")
    func cancellation() async throws {
        for isBehind in [false, true] {
            let ledger = Ledger()
            let harness = try await SagaHarness()
            let saga = tripSaga().calls(ledger, "flight")
            try await harness.add(
                (isBehind ? saga.pivot() : saga).pause("a day", for: .seconds(86_400)).only(ledger, "ticket"))
            try await harness.publish(booked("7"))
            try await harness.run(for: .seconds(5))
            let id = try #require(try await harness.instances().first).id
            try await harness.intervene(id, SagaIntervention(.cancel, reason: "the customer called"))
            await #expect(throws: SagaRefusal.self) { try await harness.intervene(id, SagaIntervention(.cancel)) }
            try await harness.run()
            let line = try #require(try await harness.journal(of: id).first { $0.kind == .intervention })
            #expect(line.step == "cancel" && line.detail?.contains("the customer called") == true)
            #expect(ledger.effects == ["flight 7", isBehind ? "ticket 7" : "undo flight 7"])
            let events = try await harness.log.events(after: 0, types: ["$operator.saga-cancel"], limit: 9).events
            #expect(events.map(\.key) == [id.description])
        }
    }

    @Test("A parent that turns back cancels its child, waits for its end, and undoes it if it was completed after all")
    func cancelledChildren() async throws {
        for isBehind in [false, true] {
            let ledger = Ledger()
            ledger.fail("hotel 7", away, away)
            let harness = try await SagaHarness()
            var insurance = Saga("insurance", of: Booking.self).calls(ledger, "rate")
            if isBehind { insurance = insurance.pivot() }
            insurance = insurance.pause("think", for: .seconds(100))
            let child = insurance
            try await harness.add(
                tripSaga().parallel(
                    {
                        $0.child("insurance", of: child, start: { $0 }, into: \.insured) {
                            $0.trip
                        } undo: {
                            try ledger.call("cancel insurance \($0.trip)", $1)
                        }
                    },
                    { $0.calls(ledger, "hotel", policy: SagaPolicy(attempts: 2, backoff: .seconds(10))) }))
            try await harness.publish(booked("7"))
            try await harness.run()
            let records = try await harness.instances()
            #expect(records.map(\.status) == [.compensated, isBehind ? .completed : .compensated])
            #expect(ledger.effects == ["rate 7", isBehind ? "cancel insurance 7" : "undo rate 7"])
        }
    }

    @Test(
        "Events that older programs have published start sagas, and are what one waits for, through their upcasters"
    )
    func olderEvents() async throws {
        struct OldTrip: Wire { var trip: String }
        struct OldPaid: Wire { var trip: String, euros: Int }
        let booked = Event("trip.booked", OldTrip.self, key: \.trip).upcast(to: TripAPI.Trip.self, key: \.id) {
            TripAPI.Trip(id: $0.trip)
        }
        let paid = Event("trip.paid", OldPaid.self, key: \.trip).upcast(to: TripAPI.Paid.self, key: \.id) {
            TripAPI.Paid(id: $0.trip, cents: $0.euros * 100)
        }
        let ledger = Ledger()
        let harness = try await SagaHarness()
        try await harness.add(
            Saga("trip", startedBy: booked) { Booking($0) }.wait("payment", for: paid, key: \.trip, into: \.paid)
                .step("ticket") { try ledger.call("ticket \($0.trip) \($0.paid?.cents ?? 0)", $1) })
        for (type, data) in [("trip.booked", #"{"trip":"7"}"#), ("trip.paid", #"{"trip":"7","euros":5}"#)] {
            _ = try await harness.log.publish([
                EventDraft(type: type, version: 1, key: "7", source: "old", data: Array(data.utf8))
            ])
        }
        try await harness.run()
        #expect(ledger.effects == ["ticket 7 500"])
    }

    /// Whatever the call was that failed, a child that has undone itself leaves no doubt.
    @Test(
        "A child that fails with an error of no kind and undoes itself is refused: its parent asks once, and does not undo it again"
    )
    func childThatUndidItself() async throws {
        struct Plain: Error {}
        let ledger = Ledger()
        for _ in 0..<20 { ledger.fail("rate 7", Plain()) }
        let harness = try await SagaHarness()
        let insurance = Saga("insurance", of: Booking.self).calls(ledger, "rate")
        try await harness.add(
            tripSaga().calls(ledger, "flight")
                .child("insurance", of: insurance, start: { $0 }, into: \.insured) {
                    $0.trip
                } undo: {
                    try ledger.call("cancel insurance \($0.trip)", $1)
                })
        try await harness.publish(booked("7"))
        try await harness.run()
        let records = try await harness.instances()
        #expect(records.map(\.status) == [.compensated, .compensated])
        #expect(!ledger.calls.contains { $0.what == "cancel insurance 7" })
        #expect(ledger.effects.last == "undo flight 7")
        let lines = try await harness.journal(of: try #require(records.first).id)
        #expect(lines.filter { $0.step == "insurance" && $0.outcome == .failed }.count == 1)
    }

    @Test("A stuck saga goes on when an operator has it tried again, skips the step, or turns it back")
    func stuck() async throws {
        for (action, ends) in [
            (SagaIntervention.Action.retry, SagaStatus.completed), (.skip, .completed), (.compensate, .compensated),
        ] {
            let ledger = Ledger()
            for _ in 0..<5 { ledger.fail("ticket 7", refused) }
            let harness = try await SagaHarness()
            try await harness.add(
                tripSaga().calls(ledger, "flight").pivot().only(ledger, "ticket").only(ledger, "mail"))
            try await harness.publish(booked("7"))
            try await harness.run()
            var record = try #require(try await harness.instances().first)
            #expect(record.status == .stuck && record.progress.tasks[0].failure == "409 refused")
            let events = try await harness.log.events(after: 0, types: ["$saga.stuck"], limit: 9).events
            #expect(events.count == 1)
            try await harness.intervene(record.id, SagaIntervention(action))
            try await harness.run()
            record = try #require(try await harness.instances().first)
            #expect(record.status == ends)
            switch action {
            case .retry: #expect(ledger.effects == ["flight 7", "ticket 7", "mail 7"])
            case .skip: #expect(ledger.effects == ["flight 7", "mail 7"])
            default: #expect(ledger.effects == ["flight 7", "undo flight 7"])
            }
        }
    }

    @Test(
        "A definition that has changed: those that it would break are named, and are stuck when they come to it; none turns in circles"
    )
    func changedDefinition() async throws {
        let ledger = Ledger()
        let harness = try await SagaHarness()
        try await harness.add(
            tripSaga().calls(ledger, "flight").pause("a day", for: .seconds(86_400)).only(ledger, "mail"))
        try await harness.publish(booked("7"))
        try await harness.run(for: .seconds(5))
        let record = try #require(try await harness.instances().first)
        let inserted = tripSaga().calls(ledger, "hotel").calls(ledger, "flight").pause("a day", for: .seconds(1))
        #expect(inserted.misfit(of: record, under: nil) == nil)
        let renamed = tripSaga().calls(ledger, "flight").pause("a week", for: .seconds(1))
        #expect(renamed.misfit(of: record, under: nil)?.contains("'a day'") == true)
        let unforgiving = tripSaga().only(ledger, "flight").pause("a day", for: .seconds(1))
        #expect(unforgiving.misfit(of: record, under: nil)?.contains("'flight'") == true)
        #expect(Saga<Int>("trip", of: Int.self).pause("a day", for: .seconds(1)).misfit(of: record, under: nil) != nil)
        let fit = SagaFit(of: [record], in: [renamed])
        #expect(fit.checked == 1 && fit.misfits.map(\.id) == [record.id])
        #expect(SagaFit(of: [record], in: []).misfits.count == 1)

        // The program with the renamed step runs all the same.
        let carrier = renamed.carrier(
            log: harness.log, commands: harness.commands, source: "test",
            clock: .by(harness.clock, from: harness.now.addingTimeInterval(90_000)))
        try await carrier.takeOver()
        var rounds = 0
        while rounds < 10, try await carrier.carry({ _ in }) { rounds += 1 }
        #expect(rounds == 1)
        let stuck = try #require(try await harness.instances().first)
        #expect(stuck.status == .stuck && stuck.progress.tasks[0].failure?.contains("bring it back") == true)
    }

    @Test("A state that cannot be read leaves the instance stuck, not the saga in circles; brought back, it goes on")
    func unreadableState() async throws {
        struct Other: Wire { var number: Int }
        let ledger = Ledger()
        let harness = try await SagaHarness()
        try await harness.add(tripSaga().pause("a day", for: .seconds(86_400)).only(ledger, "mail"))
        try await harness.publish(booked("7"))
        try await harness.run(for: .seconds(5))
        let other = Saga("trip", of: Other.self).pause("a day", for: .seconds(1)).carrier(
            log: harness.log, commands: harness.commands, source: "test",
            clock: .by(harness.clock, from: harness.now.addingTimeInterval(90_000)))
        try await other.takeOver()
        var rounds = 0
        while rounds < 10, try await other.carry({ _ in }) { rounds += 1 }
        #expect(rounds == 1)
        let stuck = try #require(try await harness.instances().first)
        #expect(stuck.status == .stuck && stuck.progress.tasks[0].failure?.contains("cannot be read") == true)
        try await harness.restart()
        try await harness.intervene(stuck.id, SagaIntervention(.retry))
        try await harness.run()
        #expect(ledger.effects == ["mail 7"])
    }
}
