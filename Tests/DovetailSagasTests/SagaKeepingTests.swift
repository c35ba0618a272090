import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Testing

@testable import DovetailSagas

/// What is kept of sagas, for how long, and what becomes of what cannot be read.
@Suite struct SagaKeepingTests {
    @Test("Instances that have ended go when their time is over, in steps, with all that was kept of them; others stay")
    func removal() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let saga = tripSaga().calls(ledger, "flight").decision("approve", into: \.approval, within: .seconds(3600))
        let count = SagaJournal.step + 5
        try await node.running(saga) {
            try await node.publish((0..<count).map { booked("\($0)") })
            try await node.wait { $0[.running] == count }
            let records = try await node.journal.instances(limit: 1000)
            while try await node.journal.instances(limit: 1000).contains(where: {
                $0.progress.tasks.first?.isArmed != true
            }) {
                try await Task.sleep(for: .milliseconds(2))
            }
            for record in records.dropLast() { try await node.journal.signal(record.id, "approve", Array("true".utf8)) }
            node.wakeUps.wakeAll()
            try await node.wait { $0[.completed] == count - 1 }
        }
        let owned = try await node.journal.takeOver("trip")
        #expect(try await node.journal.removeEnded(of: "trip", before: .distantPast, epoch: owned) == 0)
        #expect(try await node.journal.removeEnded(of: "trip", before: .distantFuture, epoch: owned) == count - 1)
        #expect(try await node.journal.counts() == [.running: 1])
        let left = try await node.journal.instances(limit: 1000)
        #expect(left.count == 1 && left[0].number == 1)
        let lines = try await node.log.snapshot {
            try $0.rows(Int64.self, "SELECT DISTINCT number FROM dovetail_saga_lines")
        }
        #expect(lines == [1])
        // On record, a step at a time.
        let removed = try await node.log.events(after: 0, types: ["$saga.removed"], limit: 10).events
        #expect(
            try removed.map { try JSON.decode(SagaJournal.Removal.self, from: $0.data).count } == [SagaJournal.step, 4])
        await #expect(throws: SagaOwnershipLost.self) {
            _ = try await node.journal.removeEnded(of: "trip", before: .distantFuture, epoch: owned - 1)
        }
    }

    @Test(
        "A running node lets go of what has ended after the saga's own time, or the platform's", .timeLimit(.minutes(1))
    )
    func removalByTheRunner() async throws {
        for own in [true, false] {
            let node = try await TestNode()
            let saga = tripSaga().calls(Ledger(), "flight")
            let first = node.service(saga, keepEnded: nil)
            let task = Task { try await first.run() }
            try await node.publish([booked("7")])
            try await node.wait { $0[.completed] == 1 }
            task.cancel()
            _ = await task.result
            let again = node.service(own ? saga.keepingEnded(for: .zero) : saga, keepEnded: own ? .seconds(1e6) : .zero)
            let second = Task { try await again.run() }
            try await node.wait { $0.isEmpty }
            second.cancel()
            _ = await second.result
        }
    }

    struct Counted: Decodable, Sendable { var status: SagaStatus, n: Int }

    @Test("The numbers of instances by status are those that counting rows would give, whatever happens to them")
    func counts() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        ledger.fail("hotel 1", refused)
        ledger.fail("undo flight 2", refused, refused, refused, refused, refused)
        ledger.fail("hotel 2", refused)
        let insurance = Saga("insurance", of: Booking.self).calls(ledger, "rate")
        try await harness.add(
            tripSaga().calls(ledger, "flight").calls(ledger, "hotel")
                .child("insurance", of: insurance, start: { $0 }, into: \.insured) { $0.trip }
                .wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid))
        try await harness.publish(booked("1"), booked("2"), booked("3"), booked("4"), paid("4"))
        for part in 0..<20 {
            try await harness.run(for: .seconds(part))
            let counted = try await harness.log.snapshot { snapshot in
                try snapshot.rows(
                    Counted.self, "SELECT status, COUNT(*) AS n FROM dovetail_saga_instances GROUP BY status")
            }
            #expect(
                try await SagaJournal(log: harness.log).counts()
                    == Dictionary(uniqueKeysWithValues: counted.map { ($0.status, $0.n) }))
        }
        #expect(
            try await SagaJournal(log: harness.log).counts()
                == [.compensated: 1, .stuck: 1, .running: 1, .completed: 3])
    }

    @Test("Counts of a store that was written before they were kept are counted once")
    func countsAreAdopted() async throws {
        let node = try await TestNode()
        try await node.running(tripSaga().calls(Ledger(), "flight")) {
            try await node.publish([booked("1"), booked("2")])
            try await node.wait { $0[.completed] == 2 }
        }
        // As a store of before has it.
        try await node.log.transaction("undo", as: .engine) { transaction in
            for name in ["counts", "locks", "tokens", "parked", "plans"] {
                try transaction.execute(SQL(stringLiteral: "DROP TABLE dovetail_saga_\(name)"))
            }
            try transaction.execute("DROP INDEX dovetail_saga_ended")
            try transaction.execute("DROP INDEX dovetail_saga_messages_age")
            try transaction.execute("ALTER TABLE dovetail_saga_messages DROP COLUMN version")
            try transaction.execute("DROP INDEX dovetail_saga_failing")
            try transaction.execute("ALTER TABLE dovetail_saga_instances DROP COLUMN failing_since")
            try transaction.execute("DELETE FROM dovetail_migrations WHERE owner = 'dovetail.saga' AND step >= 7")
        }
        try await node.journal.prepare()
        #expect(try await node.journal.counts() == [.completed: 2])
    }

    @Test(
        "An instance whose row cannot be read is stuck, loudly; the others go on, and it does once it can be read",
        .timeLimit(.minutes(1)))
    func damagedRow() async throws {
        for column in ["progress", "status", "started_by", "id"] {
            let node = try await TestNode()
            let ledger = Ledger()
            let saga = tripSaga().wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid)
                .calls(ledger, "flight")
            try await node.running(saga) {
                try await node.publish([booked("1"), booked("2")])
                try await node.wait { $0[.running] == 2 }
                while try await node.journal.instances().contains(where: { $0.progress.tasks.first?.isArmed != true }) {
                    try await Task.sleep(for: .milliseconds(2))
                }
                let id = try await node.journal.instances().last?.id
                let before = try await Self.exchange(node, column, "rubbish {")
                try await node.publish([paid("1"), paid("2")])
                try await node.wait { $0[.completed] == 1 && $0[.stuck] == 1 }
                #expect(ledger.effects == ["flight 2"])
                let broken = try #require(try await node.journal.instances(status: .stuck).first)
                #expect(broken.number == 1 && broken.problem?.contains("cannot be read") == true)
                let events = try await node.log.events(after: 0, types: ["$saga.stuck"], limit: 10).events
                #expect(events.count == 1)
                guard column == "progress", let id else { return }
                #expect(broken.damage?.contains("progress") == true)
                // Nothing of it was thrown away: made readable, it goes on.
                _ = try await Self.exchange(node, column, before)
                try await node.journal.intervene(id, SagaIntervention(.retry))
                node.wakeUps.wakeAll()
                try await node.wait { $0[.completed] == 2 }
                #expect(ledger.effects == ["flight 2", "flight 1"])
            }
        }
    }

    /// Puts something else into a column of the first instance; returns what was there.
    private static func exchange(_ node: TestNode, _ column: String, _ value: String) async throws -> String {
        try await node.log.transaction("break", as: .engine) { transaction in
            let old = try transaction.row(
                String.self, SQL(stringLiteral: "SELECT \(column) FROM dovetail_saga_instances WHERE number = 1"))
            try transaction.execute(
                SQL(
                    text: "UPDATE dovetail_saga_instances SET \(column) = ? WHERE number = 1", values: [.text(value)]))
            return old ?? ""
        }
    }

    @Test("What was kept for a wait in an older version of its event is read through the upcasters")
    func parkedInAnOlderVersion() async throws {
        struct OldPaid: Wire { var trip: String, euros: Int }
        let old = Event("trip.paid", OldPaid.self, key: \.trip)
        struct OldBooking: Wire { var trip: String, paid: OldPaid? }
        let harness = try await SagaHarness()
        try await harness.add(
            Saga("trip", startedBy: TripAPI().booked) { OldBooking(trip: $0.id, paid: nil) }
                .pause("a day", for: .seconds(86_400))
                .wait("payment", for: old, key: \.trip, into: \.paid))
        try await harness.publish(booked("7"), old(OldPaid(trip: "7", euros: 3)))
        try await harness.run(for: .seconds(10))
        // The program that comes then has another version of the event; the message is there already.
        let paid = old.upcast(to: TripAPI.Paid.self, key: \.id) { .init(id: $0.trip, cents: $0.euros * 100) }
        try await harness.replace(
            tripSaga().pause("a day", for: .seconds(86_400))
                .wait("payment", for: paid, key: \.trip, into: \.paid))
        try await harness.run()
        let record = try #require(try await harness.instances().first)
        #expect(record.status == .completed)
        let state = try JSON.decode(Booking.self, from: Array(record.state.utf8))
        #expect(state.paid == TripAPI.Paid(id: "7", cents: 300))
    }

    @Test("A parent's cancellation is not lost though its child has yet to do what an operator asks")
    func cancelBehindARequest() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        let insurance = Saga("insurance", of: Booking.self).calls(ledger, "rate")
            .decision("approve", into: \.approval)
        try await harness.add(
            tripSaga().calls(ledger, "flight")
                .child("insurance", of: insurance, start: { $0 }, into: \.insured) { $0.trip })
        try await harness.publish(booked("7"))
        try await harness.run()
        let (parent, child) = (try await harness.instances()[0], try await harness.instances()[1])
        // Asked of the child, and not done yet when its parent turns back: the parent is carried first.
        try await harness.intervene(parent.id, SagaIntervention(.cancel))
        try await harness.intervene(child.id, SagaIntervention(.retry, reason: "first"))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.compensated, .compensated])
        #expect(ledger.effects == ["flight 7", "rate 7", "undo rate 7", "undo flight 7"])
        let lines = try await harness.journal(of: child.id).filter { $0.kind == .intervention }
        #expect(lines.map(\.step) == ["retry", "cancel"])
        #expect(lines[0].detail?.contains("first") == true && lines[1].detail?.contains("\(parent.id)") == true)
    }

    @Test("A parent's cancellation is not lost though its child's row cannot be read when it comes")
    func cancelOfADamagedChild() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        let insurance = Saga("insurance", of: Booking.self).calls(ledger, "rate")
            .decision("approve", into: \.approval).calls(ledger, "insure")
        try await harness.add(
            tripSaga().calls(ledger, "flight")
                .child("insurance", of: insurance, start: { $0 }, into: \.insured) { $0.trip })
        try await harness.publish(booked("7"))
        try await harness.run()
        let ids = try await harness.instances().map(\.id)
        func progress(_ text: String) async throws -> String {
            try await harness.log.transaction("break", as: .engine) { transaction in
                let old = try transaction.row(
                    String.self, "SELECT progress FROM dovetail_saga_instances WHERE number = 2")
                try transaction.execute("UPDATE dovetail_saga_instances SET progress = \(text) WHERE number = 2")
                return old ?? ""
            }
        }
        let readable = try await progress("rubbish {")
        try await harness.intervene(ids[0], SagaIntervention(.cancel))
        try await harness.run()
        #expect(try await harness.instances()[1].damage != nil)
        _ = try await progress(readable)
        try await harness.intervene(ids[1], SagaIntervention(.retry))
        try await harness.signal(ids[1], "approve", true)
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.compensated, .compensated])
        #expect(ledger.effects == ["flight 7", "rate 7", "undo rate 7", "undo flight 7"])
    }

    @Test("The end of a child is kept for its parent as long as that is stuck")
    func endOfAChildOfTheStuck() async throws {
        struct Unfit: Wire { var seats: Int }
        let harness = try await SagaHarness()
        let ledger = Ledger()
        let insurance = Saga("insurance", of: Booking.self).decision("approve", into: \.approval)
        let saga = tripSaga().calls(ledger, "flight")
            .child("insurance", of: insurance, start: { $0 }, into: \.insured) { $0.trip }
        try await harness.add(saga)
        try await harness.publish(booked("7"))
        try await harness.run()
        let ids = try await harness.instances().map(\.id)
        try await harness.replace(
            Saga("trip", startedBy: TripAPI().booked) { _ in Unfit(seats: 1) }.step("flight") { _, _ in })
        try await harness.intervene(ids[0], SagaIntervention(.retry))
        try await harness.signal(ids[1], "approve", true)
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.stuck, .completed])
        let journal = SagaJournal(log: harness.log)
        #expect(try await journal.forgetMessages(of: "trip", before: .distantFuture) == 0)
        try await harness.replace(saga)
        try await harness.intervene(ids[0], SagaIntervention(.retry))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.completed, .completed])
        #expect(try await journal.forgetMessages(of: "trip", before: .distantFuture) == 1)
    }

    @Test(
        "An instance whose last task ended with its node has ended for all, wherever it was: row, count, event",
        .timeLimit(.minutes(1)))
    func endsWithItsNode() async throws {
        try await SagaHarness.crashingAtEveryCommit { harness in
            let ledger = Ledger()
            ledger.fail("hotel 7", refused, refused, refused)
            // Nothing can be undone, and nothing follows.
            try await harness.add(tripSaga().parallel({ $0.only(ledger, "hotel") }, { $0.only(ledger, "flight") }))
            try await harness.publish(booked("7"))
            try await harness.run()
            let ended = try await harness.log.events(after: 0, types: ["$saga.compensated"], limit: 10).events.count
            let counts = try await SagaJournal(log: harness.log).counts()
            return [ended, counts[.compensated] ?? 0, counts.count]
        }
    }

    @Test("A retry leaves timers as they are: what waits goes on waiting, until when it would have")
    func retryKeepsTimers() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        ledger.fail("hotel 7", away, away, away)
        try await harness.add(
            tripSaga().parallel(
                { $0.pause("a day", for: .seconds(86_400)).calls(ledger, "remind") },
                {
                    $0.wait(
                        "payment", for: TripAPI().paid, key: \.trip, into: \.paid, within: .seconds(7200),
                        otherwise: .goOn)
                },
                {
                    $0.calls(
                        ledger, "hotel", policy: SagaPolicy(backoff: .seconds(3000), maximumBackoff: .seconds(3000)))
                }))
        try await harness.publish(booked("7"))
        try await harness.run(for: .seconds(100))
        let before = try #require(try await harness.instances().first)
        let untils = Dictionary(uniqueKeysWithValues: before.progress.tasks.map { ($0.step, $0.until) })
        #expect(untils["a day"] != nil && untils["payment"] != nil)
        try await harness.intervene(before.id, SagaIntervention(.retry))
        try await harness.run(for: .seconds(1))
        #expect(ledger.calls.filter { $0.what == "hotel 7" }.count == 2)
        let after = try #require(try await harness.instances().first)
        for task in after.progress.tasks where task.step != "hotel" {
            #expect(task.isArmed && task.until == untils[task.step] && task.dueAt == task.until)
        }
        try await harness.run(for: .seconds(86_000))
        #expect(ledger.effects == ["hotel 7"])
        try await harness.run(for: .seconds(300))
        #expect(ledger.effects == ["hotel 7", "remind 7"])
    }

    @Test("One message satisfies one wait of an instance, in one branch or two; others have theirs")
    func oneMessageOneWait() async throws {
        for inBranches in [false, true] {
            let harness = try await SagaHarness()
            let ledger = Ledger()
            func first(_ name: String) -> @Sendable (SagaBranch<Booking>) -> SagaBranch<Booking> {
                { $0.wait(name, for: TripAPI().paid, key: \.trip, into: \.paid).only(ledger, "after \(name)") }
            }
            let saga =
                inBranches
                ? tripSaga().parallel(first("a"), first("b"))
                : tripSaga().wait("a", for: TripAPI().paid, key: \.trip, into: \.paid).only(ledger, "after a")
                    .wait("b", for: TripAPI().paid, key: \.trip, into: \.paid).only(ledger, "after b")
            try await harness.add(saga)
            try await harness.publish(booked("7"), paid("7", 1))
            try await harness.run()
            #expect(ledger.effects == ["after a 7"])
            #expect(try await harness.instances()[0].progress.taken.count == 1)
            try await harness.publish(paid("7", 2))
            try await harness.run()
            #expect(ledger.effects == ["after a 7", "after b 7"])
            #expect(Set(try await harness.instances()[0].progress.taken).count == 2)
            #expect(try await harness.instances()[0].status == .completed)
        }
    }

    @Test("The reader of a saga holds back the events that it has not done with, by where it is")
    func holds() async throws {
        let node = try await TestNode()
        let service = node.service(tripSaga().calls(Ledger(), "flight"))
        try await service.prepare()
        try await node.publish([booked("1"), booked("2")])
        #expect(service.hold == RetentionHold(name: "the saga 'trip'", done: 0))
        let task = Task { try await service.run() }
        try await node.wait { $0[.completed] == 2 }
        // It goes on past what is none of its own, though nothing of that is written.
        let head = node.log.head
        while service.hold?.done != head { try await Task.sleep(for: .milliseconds(2)) }
        task.cancel()
        _ = await task.result
        #expect(node.service(Saga("quiet", of: Booking.self).calls(Ledger(), "flight")).hold == nil)
    }
}
