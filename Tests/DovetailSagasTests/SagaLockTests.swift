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

    private static func rows(_ harness: SagaHarness) async throws -> Int {
        try await harness.log.snapshot { try $0.row(Int.self, "SELECT COUNT(*) FROM dovetail_saga_locks") ?? 0 }
    }
}
