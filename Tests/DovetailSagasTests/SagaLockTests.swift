import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Synchronization
import Testing

@testable import DovetailSagas

/// Locks on resources: who holds them, who waits, and what becomes of them when sagas turn back and nodes die.
@Suite struct SagaLockTests {
    /// Books a seat of the one plane under a lock.
    static func seat(_ ledger: Ledger) -> Saga<Booking> {
        tripSaga().lock("seat", resource: "plane", key: { _ in "1" }).calls(ledger, "flight")
    }

    @Test("One instance has a resource at a time, in the order in which they asked")
    func oneAtATime() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        try await harness.add(
            Self.seat(ledger).wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid))
        try await harness.publish(booked("1"), booked("2"), booked("3"))
        try await harness.run()
        #expect(ledger.effects == ["flight 1"])
        try await harness.publish(paid("3"), paid("2"))
        try await harness.run()
        #expect(ledger.effects == ["flight 1"])
        let records = try await harness.instances()
        let lines = try await SagaJournal(log: harness.log).locks(of: records[2].id)
        #expect(lines.map(\.id) == records.map(\.id) && lines.map(\.state) == [.held, .waiting, .waiting])
        try await harness.publish(paid("1"))
        try await harness.run()
        #expect(ledger.effects == ["flight 1", "flight 2", "flight 3"])
        #expect(try await harness.instances().map(\.status) == [.completed, .completed, .completed])
        #expect(try await Self.rows(harness) == 0)
    }

    @Test("What holds a resource when it turns back lets go once all that was done under it is undone")
    func compensation() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        ledger.fail("hotel 1", refused)
        try await harness.add(Self.seat(ledger).calls(ledger, "hotel"))
        try await harness.publish(booked("1"), booked("2"))
        try await harness.run()
        #expect(ledger.effects == ["flight 1", "undo flight 1", "flight 2", "hotel 2"])
        #expect(try await harness.instances().map(\.status) == [.compensated, .completed])
        let kinds = try await harness.journal(of: harness.instances()[0].id).map { "\($0.kind.rawValue) \($0.step)" }
        #expect(Array(kinds.suffix(3)) == ["undo flight", "undo seat", "finished compensated"])
    }

    @Test("Who does not get a resource in time turns back, or goes on without it; with no time to wait, at once")
    func notInTime() async throws {
        for (within, otherwise, ends) in [
            (Duration.zero, SagaTimeout.turnBack, SagaStatus.compensated), (.seconds(60), .turnBack, .compensated),
            (.seconds(60), .goOn, .running),
        ] {
            let harness = try await SagaHarness()
            let ledger = Ledger()
            let saga = tripSaga()
                .lock("seat", resource: "plane", key: { _ in "1" }, within: within, otherwise: otherwise)
                .calls(ledger, "flight").decision("approve", into: \.approval)
            try await harness.add(saga)
            try await harness.publish(booked("1"), booked("2"))
            try await harness.run(for: .seconds(59))
            #expect(ledger.effects == ["flight 1"])
            #expect(try await harness.instances()[1].status == (within == .zero ? .compensated : .running))
            try await harness.run(for: .seconds(2))
            #expect(try await harness.instances().map(\.status) == [.running, ends])
            #expect(ledger.effects == (ends == .running ? ["flight 1", "flight 2"] : ["flight 1"]))
            // Nothing is left of a wait that is over.
            #expect(try await Self.rows(harness) == 1)
        }
    }

    @Test("Who would wait for one that waits for it is refused, over however many others, and they go on")
    func deadlock() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        let next = ["1": "2", "2": "3", "3": "1"]
        let saga = tripSaga().lock("own", resource: "seat", key: \.trip)
            .wait("go", for: TripAPI().paid, key: \.trip, into: \.paid)
            .lock("next", resource: "seat", key: { next[$0.trip] ?? "" }).calls(ledger, "swap")
        try await harness.add(saga)
        try await harness.publish(booked("1"), booked("2"), booked("3"))
        try await harness.run()
        try await harness.publish(paid("1"))
        try await harness.run()
        try await harness.publish(paid("2"))
        try await harness.run()
        #expect(ledger.effects.isEmpty)
        try await harness.publish(paid("3"))
        try await harness.run()
        let records = try await harness.instances()
        #expect(records.map(\.status) == [.completed, .completed, .compensated])
        #expect(records[2].problem?.contains("saga-deadlock") == true)
        #expect(ledger.effects == ["swap 2", "swap 1"])
        #expect(try await Self.rows(harness) == 0)
    }

    @Test("A lock can be let go of before the end; the next holder has a higher fencing token")
    func release() async throws {
        let harness = try await SagaHarness()
        let tokens = Mutex<[Int64?]>([])
        let saga = tripSaga().lock("seat", resource: "plane", key: { _ in "1" })
            .step("use") { _, context in tokens.withLock { $0.append(context.fence(of: "seat")) } }
            .release("seat")
            .step("after") { _, context in tokens.withLock { $0.append(context.fence(of: "seat")) } }
            .decision("approve", into: \.approval)
        try await harness.add(saga)
        try await harness.publish(booked("1"), booked("2"))
        try await harness.run()
        #expect(try await harness.instances().map(\.steps) == [["approve"], ["approve"]])
        let seen = tokens.withLock { $0.compactMap { $0 } }
        #expect(seen.count == 2 && seen[0] < seen[1] && tokens.withLock { $0.count } == 4)
        #expect(try await Self.rows(harness) == 0)
        // Turning back does not undo a lock that is not held any more.
        let id = try await harness.instances()[0].id
        try await harness.intervene(id, SagaIntervention(.cancel))
        try await harness.run()
        #expect(try await harness.instances()[0].status == .compensated)
    }

    @Test(
        "An instance that waits for a resource and is cancelled leaves the queue; one that is skipped goes on without it"
    )
    func operators() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        try await harness.add(Self.seat(ledger).decision("approve", into: \.approval))
        try await harness.publish(booked("1"), booked("2"), booked("3"))
        try await harness.run()
        let ids = try await harness.instances().map(\.id)
        try await harness.intervene(ids[1], SagaIntervention(.cancel))
        try await harness.intervene(ids[2], SagaIntervention(.skip, step: "seat"))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.running, .compensated, .running])
        #expect(ledger.effects == ["flight 1", "flight 3"])
        #expect(try await Self.rows(harness) == 1)
    }

    @Test("A node dies at every commit of sagas that wait for each other's locks: the outcome is the same")
    func crashes() async throws {
        for refuses in [nil, "hotel 1", "hotel 2"] {
            let report = try await SagaHarness.crashingAtEveryCommit { harness in
                let ledger = Ledger()
                if let refuses { ledger.fail(refuses, refused, refused, refused) }
                try await harness.add(
                    Self.seat(ledger).calls(ledger, "hotel").release("seat").calls(ledger, "car").pivot()
                        .only(ledger, "ticket"))
                try await harness.publish(booked("1"), booked("2"), booked("3"))
                try await harness.run()
                let records = try await harness.instances()
                let rows = try await Self.rows(harness)
                return [records.map(\.status.rawValue), ledger.effects.sorted(), ["\(rows)"]]
            }
            #expect(report.commits >= 15)
        }
    }

    @Test(
        "Sagas of different names wait for each other on a running node, and nobody is left asleep",
        .timeLimit(.minutes(1)))
    func beyondOneSaga() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let inside = Mutex(0)
        let most = Mutex(0)
        func saga(_ name: String) -> Saga<Booking> {
            tripSaga(name).lock("seat", resource: "plane", key: { _ in "1" }).step("use") { state, context in
                let now = inside.withLock { inside in
                    inside += 1
                    return inside
                }
                most.withLock { $0 = max($0, now) }
                try await Task.sleep(for: .milliseconds(1))
                try ledger.call("\(name) \(state.trip)", context)
                inside.withLock { $0 -= 1 }
            }
        }
        try await node.running(saga("a")) {
            try await node.running(saga("b")) {
                try await node.publish((0..<10).map { booked("\($0)") })
                try await node.wait { $0[.completed] == 20 }
            }
        }
        #expect(most.withLock { $0 } == 1 && ledger.effects.count == 20)
    }

    /// Holds the seat that ``seat(_:)`` wants until it is told to let go.
    private static var holder: Saga<Booking> {
        Saga("holder", startedBy: TripAPI().paid) { Booking(.init(id: $0.id)) }
            .lock("seat", resource: "plane", key: { _ in "1" }).decision("approve", into: \.approval)
    }

    @Test("A resource that becomes free while another branch is under way is taken", .timeLimit(.minutes(1)))
    func freeMeanwhile() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let (entered, release) = (Gate(), Gate())
        let saga = tripSaga().parallel(
            { $0.lock("seat", resource: "plane", key: { _ in "1" }).only(ledger, "flight") },
            {
                $0.step("long") { _, _ in
                    entered.open()
                    await release.wait()
                }
            })
        try await node.running(Self.holder) {
            try await node.running(saga) {
                try await node.publish([paid("1")])
                try await Self.wait(node, rows: 1)
                try await node.publish([booked("2")])
                try await Self.wait(node, rows: 2)
                await entered.wait()
                try await node.journal.signal(
                    node.journal.instances().last?.id ?? .v7(), "approve", Array("true".utf8))
                node.wakeUps.wakeAll()
                try await Self.wait(node, rows: 1)
                release.open()
                try await node.wait { $0[.completed] == 2 }
                #expect(ledger.effects == ["flight 2"])
            }
        }
    }

    @Test("A resource that becomes free while its next holder is stuck is taken when that is retried")
    func freeWhileStuck() async throws {
        struct Unfit: Wire { var seats: Int }
        let harness = try await SagaHarness()
        let ledger = Ledger()
        try await harness.add(Self.holder)
        try await harness.add(Self.seat(ledger))
        try await harness.publish(paid("1"))
        try await harness.run()
        try await harness.publish(booked("2"))
        try await harness.run()
        let ids = try await harness.instances().map(\.id)
        try await harness.replace(
            Saga("trip", startedBy: TripAPI().booked) { _ in Unfit(seats: 1) }.step("flight") { _, _ in })
        try await harness.intervene(ids[1], SagaIntervention(.retry))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.running, .stuck])
        try await harness.signal(ids[0], "approve", true)
        try await harness.run()
        try await harness.replace(Self.seat(ledger))
        try await harness.intervene(ids[1], SagaIntervention(.retry))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.completed, .completed])
        #expect(ledger.effects == ["flight 2"])
    }

    @Test("A child that wants what its parent holds is refused, directly or over others: neither waits for ever")
    func parentAndChild() async throws {
        for isDirect in [true, false] {
            let harness = try await SagaHarness()
            let ledger = Ledger()
            let insurance = Saga("insurance", of: Booking.self)
                .lock("policy", resource: "policy", key: \.trip)
                .decision("approve", into: \.approval)
                .lock("seat", resource: isDirect ? "plane" : "crew", key: { _ in "1" }).calls(ledger, "rate")
            try await harness.add(
                Self.seat(ledger).child("insurance", of: insurance, start: { $0 }, into: \.insured) { $0.trip })
            // Has the crew, and waits for the plane.
            try await harness.add(
                Saga("crew", startedBy: TripAPI().paid) { Booking(.init(id: $0.id)) }
                    .lock("crew", resource: "crew", key: { _ in "1" })
                    .lock("plane", resource: "plane", key: { _ in "1" }).calls(ledger, "fly"))
            try await harness.publish(booked("7"))
            try await harness.run()
            try await harness.publish(paid("8"))
            try await harness.run()
            let child = try #require(try await harness.instances().first { $0.saga == "insurance" })
            try await harness.signal(child.id, "approve", true)
            try await harness.run()
            let ended = Dictionary(
                try await harness.instances().map { ($0.saga, $0.status) }, uniquingKeysWith: { one, _ in one })
            #expect(ended == ["trip": .compensated, "insurance": .compensated, "crew": .completed])
            #expect(ledger.effects == ["flight 7", "undo flight 7", "fly 8"])
            #expect(try await Self.rows(harness) == 0)
        }
    }

    @Test("Two branches of an instance that want the same wait for it once, and hold it together")
    func twoBranches() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        try await harness.add(Self.holder)
        try await harness.add(
            tripSaga().parallel(
                { $0.lock("seat", resource: "plane", key: { _ in "1" }).calls(ledger, "flight") },
                { $0.lock("place", resource: "plane", key: { _ in "1" }).calls(ledger, "meal") }))
        try await harness.publish(paid("1"))
        try await harness.run()
        try await harness.publish(booked("2"))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.running, .running])
        try await harness.signal(harness.instances()[0].id, "approve", true)
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.completed, .completed])
        #expect(Set(ledger.effects) == ["flight 2", "meal 2"])
    }

    @Test("A thousand that wait for one resource hold up nobody who asks for it", .timeLimit(.minutes(1)))
    func crowd() async throws {
        let harness = try await SagaHarness()
        let count: Int64 = 1000
        let (hot, cold) = (
            SagaLock(step: "hot", resource: "plane", key: "1"), SagaLock(step: "cold", resource: "crew", key: "1")
        )
        let states = try await harness.log.transaction("crowd", as: .engine) { transaction in
            // Each of them is waited for, so that each ask has to be looked into.
            for number in 1...count {
                let own = SagaLock(step: "own", resource: "own", key: "\(number)")
                _ = try SagaLockTable.ask(own, for: number, at: Date(), in: transaction)
                _ = try SagaLockTable.ask(own, for: number + count, at: Date(), in: transaction)
                _ = try SagaLockTable.ask(hot, for: number, at: Date(), in: transaction)
            }
            _ = try SagaLockTable.ask(cold, for: count, at: Date(), in: transaction)
            _ = try SagaLockTable.ask(cold, for: 1, at: Date(), in: transaction)
            return [
                try SagaLockTable.state(hot, of: 1, in: transaction),
                try SagaLockTable.state(hot, of: count, in: transaction),
                // The last waits for the first, over all of them.
                try SagaLockTable.state(cold, of: 1, in: transaction),
            ]
        }
        #expect(states == [.held, .waiting, .deadlock])
    }

    @Test("A lock behind the pivot, and a release of what was never taken, are mistakes")
    func mistakes() {
        func mistakes(_ kinds: [(String, SagaPlan.Kind)], pivot: Int?) -> [String] {
            SagaPlan(
                saga: "s",
                steps: kinds.map {
                    SagaPlan.Step(name: $0.0, kind: $0.1, canBeUndone: false, policy: SagaPolicy())
                }, stages: kinds.indices.map { [[$0]] }, pivot: pivot, concludes: false
            ).mistakes
        }
        #expect(mistakes([("a", .lock(.goOn)), ("b", .release("a"))], pivot: nil).isEmpty)
        #expect(mistakes([("a", .action), ("b", .lock(.goOn))], pivot: 1).first?.contains("before the pivot") == true)
        #expect(mistakes([("a", .action), ("b", .release("a"))], pivot: nil).first?.contains("no step before") == true)
    }

    @Test("Locks are drawn")
    func drawn() {
        let diagram = Self.seat(Ledger()).release("seat").description.mermaid
        #expect(diagram.contains("[/\"🔒 seat: plane\"\\]") && diagram.contains("[\\\"🔓 seat\"/]"))
    }

    private static func wait(_ node: TestNode, rows count: Int) async throws {
        while try await node.log.snapshot({
            try $0.row(Int.self, "SELECT COUNT(*) FROM dovetail_saga_locks") ?? 0
        }) != count { try await Task.sleep(for: .milliseconds(2)) }
    }

    private static func rows(_ harness: SagaHarness) async throws -> Int {
        try await harness.log.snapshot { try $0.row(Int.self, "SELECT COUNT(*) FROM dovetail_saga_locks") ?? 0 }
    }
}
