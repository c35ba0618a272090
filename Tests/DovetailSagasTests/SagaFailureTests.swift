import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Synchronization
import Testing

@testable import DovetailSagas

/// What becomes of steps that fail of the log itself, and of those that never succeed.
@Suite struct SagaFailureTests {
    private static let trips = Aggregate("trip", 0).apply(TripAPI().paid) { number, _ in number += 1 }

    /// A trip whose second step carries out a command.
    private func commanding(_ ledger: Ledger, policy: SagaPolicy = SagaPolicy()) -> Saga<Booking> {
        tripSaga().calls(ledger, "flight").step("command", policy: policy) { state, context in
            try ledger.call("command \(state.trip)", context)
            try await context.execute(Self.trips, state.trip) { _ in [paid(state.trip)] }
        }
    }

    @Test(
        "A command on a stream that was deleted is a refusal: the saga turns back at once", .timeLimit(.minutes(1)),
        arguments: [false, true])
    func deletedStream(forGood: Bool) async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let commands = CommandExecutor(log: node.log)
        try await commands.execute(Self.trips, "7", key: "k", source: "test", context: nil) { _ in [paid("7")] }
        if forGood {
            try await commands.tombstone(Self.trips, "7")
        } else {
            _ = try await node.log.delete("trip-7")
        }
        try await node.running(commanding(ledger)) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.compensated] == 1 }
        }
        #expect(ledger.effects == ["flight 7", "command 7", "undo flight 7"])
        #expect(ledger.calls.filter { $0.what == "command 7" }.count == 1)
        let record = try await node.journal.instances()[0]
        #expect(record.problem?.contains("deleted") == true)
    }

    @Test(
        "What a step throws of a log is a failure of the step like any other, by its kind", .timeLimit(.minutes(1)),
        arguments: [
            (LogError.Code.statement, 1), (.forbidden, 1), (.overloaded, 3), (.storeFull, 3), (.versionConflict, 3),
            (.outcomeUnknown, 3),
        ])
    func errorsOfALog(code: LogError.Code, attempts: Int) async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        for _ in 0..<10 { ledger.fail("hotel 7", LogError(code, "another", "no")) }
        let policy = SagaPolicy(attempts: 3)
        try await harness.add(tripSaga().calls(ledger, "flight").calls(ledger, "hotel").policy(policy))
        try await harness.publish(booked("7"))
        try await harness.run()
        let record = try #require(try await harness.instances().first)
        #expect(record.status == .compensated)
        #expect(ledger.calls.filter { $0.what == "hotel 7" }.count == attempts)
        let lines = try await harness.journal(of: record.id).filter { $0.step == "hotel" && $0.kind == .action }
        #expect(lines.map(\.attempt) == Array(1...attempts))
        #expect(lines.allSatisfy { $0.detail?.contains(code.rawValue) == true })
    }

    @Test("A compensation that fails for ever without being refused is stuck after a day, with few lines, and loud")
    func undoFailsForEver() async throws {
        let harness = try await SagaHarness()
        let ledger = Ledger()
        let isBroken = Mutex(true)
        let saga = tripSaga().step("flight") { state, context in
            try ledger.call("flight \(state.trip)", context)
        } undo: { state, context in
            if isBroken.withLock({ $0 }) { throw Problem("broken", status: 500) }
            try ledger.call("undo flight \(state.trip)", context)
        }.step("hotel") { _, _ in throw refused }
        try await harness.add(saga)
        let start = harness.now
        try await harness.publish(booked("7"))
        let journal = SagaJournal(log: harness.log)
        try await harness.run(for: .seconds(3600))
        #expect(try await harness.instances().map(\.status) == [.compensating])
        #expect(try await journal.failing().map(\.count) == [1])
        #expect(try #require(try await journal.failing().first).since.timeIntervalSince(start) < 60)
        try await harness.run()
        let record = try #require(try await harness.instances().first)
        #expect(record.status == .stuck && record.progress.tasks[0].failure?.contains("broken") == true)
        #expect(try await journal.failing().isEmpty)
        let days = record.updatedAt.timeIntervalSince(start) / 86_400
        #expect((0.9...1.1).contains(days), "\(days)")
        let lines = try await harness.journal(of: record.id)
        #expect(lines.count < 30, "\(lines.count)")
        #expect(lines.contains { $0.kind == .undo && $0.attempt > 2000 && $0.outcome == .retry })
        #expect(lines.last?.kind == .finished)
        let notices = try await harness.log.events(after: 0, types: ["$saga.stuck"], limit: 10).events
        #expect(notices.count == 1)
        // The operator mends the cause.
        isBroken.withLock { $0 = false }
        try await harness.intervene(record.id, SagaIntervention(.retry))
        try await harness.run()
        #expect(try await harness.instances().map(\.status) == [.compensated])
        #expect(ledger.effects == ["flight 7", "undo flight 7"])
    }

    @Test("A step behind the pivot that hangs is stuck after the patience of its policy", .timeLimit(.minutes(1)))
    func hangsBehindThePivot() async throws {
        let node = try await TestNode()
        let policy = SagaPolicy(
            backoff: .milliseconds(1), maximumBackoff: .milliseconds(1), timeout: .milliseconds(5),
            attemptsBeforeStuck: 2, patience: .milliseconds(50))
        let saga = tripSaga().pivot().step("ticket", policy: policy) { _, _ in
            try await Task.sleep(for: .seconds(100))
        }
        try await node.running(saga) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.stuck] == 1 }
        }
        let record = try await node.journal.instances()[0]
        #expect(record.progress.tasks[0].attempts == 6)
    }

    @Test("A node that dies in a harness forgets what its commands remember, and a command has its effect once")
    func commandsDieWithTheNode() async throws {
        let lives = Mutex(0)
        let report = try await SagaHarness.crashingAtEveryCommit { harness in
            let saga = tripSaga().step("command") { state, context in
                try await context.execute(Self.trips, state.trip) { _ in [paid(state.trip)] }
            }.calls(Ledger(), "flight")
            try await harness.add(saga)
            try await harness.publish(booked("7"))
            let before = harness.commands
            try await harness.run()
            if harness.commands !== before { lives.withLock { $0 += 1 } }
            return try await harness.log.events(after: 0, types: ["trip.paid"], limit: 10).events.map(\.key)
        }
        #expect(report.crashes >= 4 && lives.withLock { $0 } == report.crashes)
    }
}
