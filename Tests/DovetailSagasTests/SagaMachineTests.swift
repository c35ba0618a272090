import DovetailCore
import Foundation
import Testing

@testable import DovetailSagas

/// The rules of sagas, without a log or a clock.
@Suite struct SagaMachineTests {
    private let now = Date(timeIntervalSince1970: 1000)

    private func machine(
        _ steps: [(name: String, canBeUndone: Bool)], pivot: Int? = nil, attempts: Int = 3, beforeStuck: Int = 2
    ) -> SagaMachine {
        SagaMachine(
            steps: steps.map { .init(name: $0.name, canBeUndone: $0.canBeUndone, pause: nil) }, pivot: pivot,
            policy: SagaPolicy(attempts: attempts, attemptsBeforeStuck: beforeStuck))
    }

    private var three: SagaMachine { machine([("a", true), ("b", false), ("c", true)]) }

    private func instance(_ status: SagaStatus = .running, step: Int = 0) -> SagaRecord {
        SagaRecord(
            id: .derived(from: "test"), saga: "s", status: status, step: step, attempts: 0, inDoubt: false,
            state: "0", dueAt: now, problem: nil, correlationID: "c", traceparent: nil,
            startedBy: .derived(from: "event"), startedAt: now, updatedAt: now)
    }

    private func advance(
        _ machine: SagaMachine, _ record: SagaRecord, _ outcome: SagaMachine.Outcome
    ) -> (SagaRecord, [SagaJournalEntry]) {
        machine.advance(record, by: outcome, began: now, now: now) { .seconds($0) }
    }

    private func failed(_ kind: FailureKind) -> SagaMachine.Outcome { .failed(kind, Problem("no", status: 409)) }

    /// Runs an instance to its end; `outcomes` says what comes of each task, by its name. What was done, in order.
    private func run(
        _ machine: SagaMachine, _ outcome: (String) -> SagaMachine.Outcome
    ) -> (end: SagaRecord, done: [String]) {
        var record = instance()
        var done: [String] = []
        while !record.status.isFinal, done.count < 1000 {
            let name =
                switch machine.work(for: record) {
                case .action(let index), .pause(let index): machine.steps[index].name
                case .undo(let index): "undo " + machine.steps[index].name
                case .conclude: "conclude"
                case .none: "none"
                }
            done.append(name)
            record = advance(machine, record, outcome(name)).0
        }
        return (record, done)
    }

    @Test("Forward, step by step, to the end")
    func forward() {
        let (end, done) = run(three) { _ in .done(state: "1") }
        #expect(done == ["a", "b", "c"])
        #expect(end.status == .completed && end.state == "1" && end.problem == nil)
    }

    @Test("A refusal turns back: what was done is undone in reverse order, what cannot be is passed over")
    func refusal() {
        let (end, done) = run(three) { $0 == "c" ? failed(.permanent) : .done(state: "1") }
        #expect(done == ["a", "b", "c", "undo a", "conclude"])
        #expect(end.status == .compensated)
        #expect(end.problem?.contains("no") == true)
        #expect(run(three) { $0 == "a" ? failed(.permanent) : .done(state: "1") }.done == ["a", "conclude"])
    }

    @Test("What may pass is tried again, so often; a step that stays in doubt is undone as well")
    func doubt() {
        let transient = run(three) { $0 == "c" ? failed(.transient) : .done(state: "1") }
        #expect(transient.done == ["a", "b", "c", "c", "c", "undo a", "conclude"])
        let doubtful = run(three) { $0 == "c" ? failed(.inDoubt) : .done(state: "1") }
        #expect(doubtful.done == ["a", "b", "c", "c", "c", "undo c", "undo a", "conclude"])
    }

    @Test("A refusal after an attempt in doubt does not say what became of that one: the step is undone as well")
    func refusalAfterDoubt() {
        var attempts = 0
        let (_, done) = run(three) { name in
            guard name == "c" else { return .done(state: "1") }
            attempts += 1
            return failed(attempts == 1 ? .inDoubt : .permanent)
        }
        #expect(done == ["a", "b", "c", "c", "undo c", "undo a", "conclude"])
    }

    @Test("A retry waits as long as is drawn, and counts; success forgets the count")
    func retries() {
        var (record, lines) = advance(three, instance(), failed(.notSent))
        #expect(record.attempts == 1 && !record.inDoubt && record.dueAt == now.addingTimeInterval(1))
        #expect(lines.map(\.outcome) == [.retry] && lines[0].attempt == 1 && lines[0].detail?.contains("no") == true)
        (record, lines) = advance(three, record, failed(.inDoubt))
        #expect(record.attempts == 2 && record.inDoubt && record.dueAt == now.addingTimeInterval(2))
        (record, lines) = advance(three, record, .done(state: "1"))
        #expect(record.attempts == 0 && !record.inDoubt && record.step == 1 && record.dueAt == now)
        #expect(lines.map(\.outcome) == [.done] && lines[0].attempt == 3)
    }

    @Test("Behind the pivot there is only forward; what is refused for good again and again is stuck")
    func pivot() {
        let saga = machine([("a", true), ("b", true)], pivot: 1)
        var left = 20
        let (end, done) = run(saga) { name in
            guard name == "b" else { return .done(state: "1") }
            left -= 1
            return left > 0 ? failed(.inDoubt) : .done(state: "1")
        }
        #expect(end.status == .completed && done.count == 21 && !done.contains("undo a"))
        let stuck = run(saga) { $0 == "b" ? failed(.permanent) : .done(state: "1") }
        #expect(stuck.end.status == .stuck && stuck.done == ["a", "b", "b"])
        #expect(stuck.end.problem != nil)
    }

    @Test(
        "An undo, or what concludes, that is refused for good leaves the instance stuck; one that may pass is tried on")
    func undoFails() {
        let stuck = run(three) { $0 == "c" || $0 == "undo a" ? failed(.permanent) : .done(state: "1") }
        #expect(stuck.end.status == .stuck && stuck.done == ["a", "b", "c", "undo a", "undo a"])
        var left = 30
        let (end, _) = run(three) { name in
            if name == "c" { return failed(.permanent) }
            if name == "conclude" { left -= 1 }
            return name == "conclude" && left > 0 ? failed(.transient) : .done(state: "1")
        }
        #expect(end.status == .compensated)
    }

    @Test("A pause is due when it is over")
    func pause() {
        let saga = SagaMachine(
            steps: [
                .init(name: "a", canBeUndone: true, pause: nil),
                .init(name: "wait", canBeUndone: false, pause: .seconds(60)),
            ], pivot: nil, policy: SagaPolicy())
        let (record, _) = advance(saga, instance(), .done(state: "1"))
        #expect(saga.work(for: record) == .pause(1) && record.dueAt == now.addingTimeInterval(60))
        #expect(advance(saga, record, .done(state: "1")).0.status == .completed)
    }

    @Test("The end has a line of its own, and nothing comes after it")
    func end() {
        let (record, lines) = advance(machine([("a", true)]), instance(), .done(state: "1"))
        #expect(lines.map(\.kind) == [.action, .finished] && lines[1].step == "completed")
        #expect(machine([("a", true)]).work(for: record) == .none)
        for status in SagaStatus.allCases where status.isFinal {
            #expect(three.work(for: instance(status)) == .none)
        }
    }

    @Test("An instance at a step that its definition does not have any more is stuck, and says so")
    func missingStep() {
        let (record, _) = advance(three, instance(step: 7), .done(state: "1"))
        #expect(record.status == .stuck)
        #expect(record.problem?.contains("bring the steps back") == true)
    }

    @Test(
        "Whatever comes of the steps: each instance ends, and what was done before a turn is undone in reverse",
        arguments: 0..<200)
    func random(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...5, using: &random)
        let steps = (0..<count).map { (name: "s\($0)", canBeUndone: Bool.random(using: &random)) }
        let pivot = Bool.random(using: &random) ? Int.random(in: 0...count, using: &random) : nil
        let saga = machine(steps, pivot: pivot)
        var doubtful: Set<String> = []
        var succeeded: [String] = []
        let (end, done) = run(saga) { name in
            switch Int.random(in: 0..<10, using: &random) {
            case 0: return failed(.permanent)
            case 1: return failed(.transient)
            case 2:
                doubtful.insert(name)
                return failed(.inDoubt)
            default:
                succeeded.append(name)
                return .done(state: "1")
            }
        }
        #expect(end.status.isFinal, "seed \(seed)")
        let undone = succeeded.filter { $0.hasPrefix("undo ") }.map { String($0.dropFirst(5)) }
        #expect(undone == undone.sorted().reversed(), "seed \(seed): in reverse order")
        for name in undone { #expect(succeeded.contains(name) || doubtful.contains(name), "seed \(seed)") }
        if end.status == .compensated {
            let owed = steps.filter { $0.canBeUndone && (succeeded.contains($0.name) || doubtful.contains($0.name)) }
            #expect(Set(undone) == Set(owed.map(\.name)), "seed \(seed)")
            #expect(done.last == "conclude")
        }
        if let pivot, steps.indices.contains(pivot), succeeded.contains(steps[pivot].name) {
            #expect(!done.contains { $0.hasPrefix("undo ") }, "seed \(seed): behind the pivot nothing is undone")
        }
    }
}
