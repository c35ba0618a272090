import DovetailCore
import Foundation
import Testing

@testable import DovetailSagas

/// The rules of sagas, without a log or a clock.
@Suite struct SagaMachineTests {
    private var three: Rules { Rules([[["a"]], [["b-"]], [["c"]]]) }

    @Test("Forward, step by step, to the end")
    func forward() {
        let (end, done) = three.run { _ in .done }
        #expect(done == ["a", "b-", "c"])
        #expect(end.status == .completed && end.problem == nil && end.dueAt == nil)
    }

    @Test("A refusal turns back: what was done is undone in reverse order, what cannot be is passed over")
    func refusal() {
        let (end, done) = three.run { $0 == "c" ? failed(.permanent) : .done }
        #expect(done == ["a", "b-", "c", "undo a", "conclude"])
        #expect(end.status == .compensated)
        #expect(end.problem?.contains("no") == true)
        #expect(three.run { $0 == "a" ? failed(.permanent) : .done }.done == ["a", "conclude"])
    }

    @Test("What may pass is tried again, so often; a step that stays in doubt is undone as well")
    func doubt() {
        let transient = three.run { $0 == "c" ? failed(.transient) : .done }
        #expect(transient.done == ["a", "b-", "c", "c", "c", "undo a", "conclude"])
        let doubtful = three.run { $0 == "c" ? failed(.inDoubt) : .done }
        #expect(doubtful.done == ["a", "b-", "c", "c", "c", "undo c", "undo a", "conclude"])
    }

    @Test("A refusal after an attempt in doubt does not say what became of that one: the step is undone as well")
    func refusalAfterDoubt() {
        var attempts = 0
        let (_, done) = three.run { name in
            guard name == "c" else { return .done }
            attempts += 1
            return failed(attempts == 1 ? .inDoubt : .permanent)
        }
        #expect(done == ["a", "b-", "c", "c", "undo c", "undo a", "conclude"])
    }

    @Test("A retry waits as long as is drawn, and counts; success forgets the count")
    func retries() {
        let start = three.begin()
        var move = three.advance(start, "a", failed(.notSent))
        var task = move.record.progress.tasks[0]
        #expect(task.attempts == 1 && !task.inDoubt && move.record.dueAt == Rules.now.addingTimeInterval(0.5))
        #expect(move.lines.map(\.outcome) == [.retry])
        #expect(move.lines[0].attempt == 1 && move.lines[0].detail?.contains("no") == true)
        move = three.advance(move.record, "a", failed(.inDoubt))
        task = move.record.progress.tasks[0]
        #expect(task.attempts == 2 && task.inDoubt && move.record.dueAt == Rules.now.addingTimeInterval(1))
        move = three.advance(move.record, "a", .done)
        #expect(move.record.progress.tasks == [SagaTask("b-", .forward, dueAt: Rules.now)])
        #expect(move.lines.map(\.outcome) == [.done] && move.lines[0].attempt == 3)
    }

    @Test("Behind the pivot there is only forward; what is refused for good again and again is stuck")
    func pivot() {
        let rules = Rules([[["a"]], [["b-"]]], pivot: 1)
        var left = 20
        let (end, done) = rules.run { name in
            guard name == "b-" else { return .done }
            left -= 1
            return left > 0 ? failed(.inDoubt) : .done
        }
        #expect(end.status == .completed && done.count == 21 && !done.contains("undo a"))
        let stuck = rules.run { $0 == "b-" ? failed(.permanent) : .done }
        #expect(stuck.end.status == .stuck && stuck.done == ["a", "b-", "b-"])
        #expect(stuck.end.problem != nil && stuck.end.progress.tasks[0].failure?.contains("no") == true)
    }

    @Test(
        "An undo, or what concludes, that is refused for good leaves the instance stuck, and why it turned back stays known"
    )
    func undoFails() {
        let stuck = three.run { name in
            if name == "c" { return .failed(.permanent, Problem("first", status: 409)) }
            return name == "undo a" ? failed(.permanent) : .done
        }
        #expect(stuck.end.status == .stuck && stuck.done == ["a", "b-", "c", "undo a", "undo a"])
        #expect(stuck.end.problem?.contains("first") == true)
        var left = 30
        let (end, _) = three.run { name in
            if name == "c" { return failed(.permanent) }
            if name == "conclude" { left -= 1 }
            return name == "conclude" && left > 0 ? failed(.transient) : .done
        }
        #expect(end.status == .compensated)
    }

    @Test(
        "What may pass and does not is stuck after its patience: an undo, what concludes, a step behind the pivot; a retry begins anew",
        arguments: [FailureKind.transient, .inDoubt, .notSent])
    func patience(kind: FailureKind) {
        // Pauses of half a second, one, and two: the third is one too many.
        let rules = Rules([[["a"]], [["b-"]], [["c-"]]], pivot: 2, attempts: 1, patience: .seconds(2))
        for (name, refused) in [("undo a", "b-"), ("conclude", "b-"), ("c-", "")] {
            func outcome(_ step: String) -> SagaMachine.Outcome {
                step == name ? failed(kind) : step == refused ? failed(.permanent) : .done
            }
            let first = rules.run(outcome)
            #expect(first.end.status == .stuck && first.done.filter { $0 == name }.count == 3)
            #expect(first.end.progress.failingSince == nil && first.end.dueAt == nil)
            #expect(first.end.progress.tasks[0].failure?.contains("no") == true)
            let again = rules.machine.intervene(first.end, SagaIntervention(.retry), now: Rules.now).record
            #expect(again.progress.tasks[0].attempts == 0 && again.progress.failingSince == nil)
            #expect(rules.run(from: again, outcome).done == [name, name, name])
            #expect(rules.run(from: again) { _ in .done }.end.status.hasEnded)
        }
    }

    @Test("Patience is counted in pauses, the longest among them, and a policy without pauses has an end too")
    func patienceOfPolicies() {
        func attempts(_ policy: SagaPolicy) -> Int? { (1...100_000).first { policy.isExhausted(after: $0) } }
        let minute = SagaPolicy(backoff: .seconds(1), maximumBackoff: .seconds(8), patience: .seconds(60))
        // 1, 2, 4, 8, 8, 8, 8, 8, 8 are 55 seconds.
        #expect(attempts(minute) == 10)
        #expect(attempts(SagaPolicy(attemptsBeforeStuck: 5, patience: .zero)) == 5)
        #expect(attempts(SagaPolicy(backoff: .zero, maximumBackoff: .zero, patience: .seconds(1))) == 101)
        #expect(attempts(SagaPolicy(backoff: .seconds(9), maximumBackoff: .seconds(1), patience: .seconds(9))) == 10)
        let standard = attempts(SagaPolicy()) ?? 0
        #expect((2880...2900).contains(standard), "\(standard)")
    }

    @Test("Since when a step fails is known while it is tried again, and forgotten when it succeeds")
    func failingSince() {
        let start = three.begin()
        let failing = three.advance(start, "a", failed(.transient)).record
        #expect(failing.progress.failingSince == Rules.now)
        let later = three.machine.advance(
            failing, failing.progress.tasks[0], by: failed(.transient), began: Rules.now,
            now: Rules.now.addingTimeInterval(9), share: 1
        ).record
        #expect(later.progress.failingSince == Rules.now)
        #expect((try? SagaProgress(text: later.progress.text)) == later.progress)
        #expect(three.advance(later, "a", .done).record.progress.failingSince == nil)
    }

    @Test("Branches go beside each other, and the saga goes on when the last is at its end")
    func branches() {
        let rules = Rules([[["a"]], [["b1", "b2"], ["c1"]], [["d"]]])
        var record = rules.advance(rules.begin(), "a", .done).record
        #expect(record.steps == ["b1", "c1"])
        record = rules.advance(record, "c1", .done, inFlight: ["b1"]).record
        #expect(record.steps == ["b1"])
        record = rules.advance(record, "b1", .done).record
        #expect(record.steps == ["b2"])
        record = rules.advance(record, "b2", .done).record
        #expect(record.steps == ["d"] && record.progress.done == ["a", "c1", "b1", "b2"])
    }

    @Test("A branch that fails waits for what the others are at, then all is undone, the last done first")
    func draining() {
        let rules = Rules([[["b1", "b2"], ["c1"], ["d1"]]])
        var record = rules.advance(rules.begin(), "b1", .done, inFlight: ["c1"]).record
        record = rules.advance(record, "d1", failed(.permanent), inFlight: ["c1", "b2"]).record
        #expect(record.status == .compensating)
        #expect(record.progress.tasks.map(\.phase) == [.draining, .draining])
        // Due, so that it is found if the node dies now.
        #expect(record.dueAt == Rules.now)
        record = rules.advance(record, "c1", .done, inFlight: ["b2"]).record
        #expect(record.progress.tasks.map(\.step) == ["b2"])
        record = rules.advance(record, "b2", failed(.inDoubt)).record
        #expect(record.progress.tasks.map(\.phase) == [.undo] && record.steps == ["b2"])
        let (end, done) = rules.run(from: record) { _ in .done }
        #expect(done == ["undo b2", "undo c1", "undo b1", "conclude"] && end.status == .compensated)
    }

    @Test("A wait is armed, taken, or not in time: then it turns back, or goes on")
    func waits() {
        let address = SagaAddress(topic: "paid", key: "7")
        let until = Rules.now.addingTimeInterval(60)
        for goesOn in [false, true] {
            let rules = Rules([[["a"]], [["w"]], [["b"]]], waits: ["w": goesOn ? .goOn : .turnBack])
            let before = rules.advance(rules.begin(), "a", .done).record
            let armed = rules.advance(before, "w", .armed(address, until: until)).record
            #expect(armed.dueAt == until && armed.progress.tasks[0].isListening)
            #expect(rules.machine.due(armed, at: Rules.now, isWoken: false).isEmpty)
            #expect(rules.machine.due(armed, at: Rules.now, isWoken: true).map(\.step) == ["w"])
            let taken = rules.advance(armed, "w", .arrived(5)).record
            #expect(taken.steps == ["b"] && taken.progress.taken == [5])
            let late = rules.advance(armed, "w", .timedOut).record
            #expect(late.steps == (goesOn ? ["b"] : ["a"]))
            #expect(late.status == (goesOn ? .running : .compensating))
        }
    }

    @Test("Nothing comes after the end, and beginning and end stand in the journal")
    func end() {
        let rules = Rules([[["a"]]])
        let move = rules.advance(rules.begin(), "a", .done)
        #expect(move.lines.map(\.kind) == [.action] && move.record.lastLine.map(\.step) == ["completed"])
        #expect(rules.begin().firstLine.map(\.kind) == [.started] && rules.begin().lastLine.isEmpty)
        #expect(rules.machine.due(move.record, at: .distantFuture, isWoken: true).isEmpty)
    }

    @Test("Progress is the same JSON, written quickly or in full")
    func progressText() throws {
        for step in ["a", "say \"hello\"", "größer"] {
            for isPlain in [true, false] {
                var progress = SagaProgress()
                progress.tasks = [SagaTask(step, .forward, dueAt: Rules.now), SagaTask("b", .forward, dueAt: nil)]
                progress.done = [step, "b"]
                if !isPlain { progress.tasks[0].attempts = 2 }
                let read = try JSON.decode(SagaProgress.self, from: Array(progress.text.utf8))
                #expect(read == progress)
            }
        }
    }

    @Test("An instance at a step that its definition does not have any more is stuck, and says so")
    func missingStep() {
        var record = three.begin()
        record.progress.tasks[0].step = "gone"
        #expect(three.machine.work(for: record.progress.tasks[0]) == .missing)
        let (end, done) = three.run(from: record) { _ in failed(.permanent) }
        #expect(end.status == .stuck && done == ["gone"] && end.dueAt == nil)
        // Nothing is passed over: neither what follows it, nor an undo that is no more.
        #expect(three.machine.refusal(of: SagaIntervention(.skip), on: end)?.contains("bring it back") == true)
        record = three.advance(three.begin(), "a", .done).record
        record.progress.done = ["gone"]
        record = three.advance(record, "b-", failed(.permanent)).record
        #expect(three.run(from: record) { _ in failed(.permanent) }.end.status == .stuck)
    }

    @Test("What an owner was at when it died is in doubt; what it had waited for is not")
    func resumed() {
        let rules = Rules([[["a"], ["w"]], [["b"]]], waits: ["w": .turnBack])
        let armed = rules.advance(
            rules.begin(), "w", .armed(SagaAddress(topic: "t", key: "k"), until: nil), inFlight: ["a"]
        ).record
        let resumed = rules.machine.resumed(armed, now: Rules.now).record
        #expect(resumed.progress.tasks.map(\.inDoubt) == [true, false])
        // A step that was waited for on the way back cannot tell its end any more: it is undone.
        let drains = Rules([[["a"], ["c"]]])
        let draining = drains.advance(drains.begin(), "a", failed(.permanent), inFlight: ["c"]).record
        #expect(drains.machine.resumed(draining, now: Rules.now).record.progress.tasks.map(\.phase) == [.undo])
    }

    @Test("An operator retries, skips, turns back; what makes no sense is refused and changes nothing")
    func interventions() {
        let rules = Rules([[["a"]], [["b-"]], [["c-"]]], pivot: 1)
        let stuck = rules.run { $0 == "b-" ? failed(.permanent) : .done }.end
        func after(_ action: SagaIntervention.Action, on record: SagaRecord) -> SagaMachine.Move {
            rules.machine.intervene(record, SagaIntervention(action, reason: "why"), now: Rules.now)
        }
        let retried = after(.retry, on: stuck)
        #expect(retried.record.status == .running && retried.record.dueAt == Rules.now)
        #expect(retried.record.progress.tasks[0].attempts == 0 && retried.lines.map(\.kind) == [.intervention])
        #expect(after(.skip, on: stuck).record.steps == ["c-"])
        let back = after(.compensate, on: stuck).record
        #expect(back.status == .compensating && back.steps == ["a"] && back.problem?.contains("why") == true)
        let refused = after(.cancel, on: stuck)
        #expect(refused.record.progress == stuck.progress && refused.lines[0].outcome == .failed)
        #expect(refused.lines[0].detail?.contains("pivot") == true)
        let running = rules.begin()
        #expect(after(.cancel, on: running).record.steps == ["compensated"])
        #expect(after(.retry, on: running).lines[0].outcome == .failed)
        #expect(after(.skip, on: running).lines[0].outcome == .failed)
        let ended = rules.run { _ in .done }.end
        for action in SagaIntervention.Action.allCases {
            #expect(after(action, on: ended).lines[0].outcome == .failed)
            #expect(after(action, on: ended).record.status == .completed)
        }
    }

    @Test("A step that is skipped is owed no undo, unless it may have had its effect")
    func skippedSteps() {
        for inDoubt in [false, true] {
            var record = three.begin()
            record = three.advance(record, "a", failed(inDoubt ? .inDoubt : .notSent)).record
            let skipped = three.machine.intervene(record, SagaIntervention(.skip, step: "a"), now: Rules.now).record
            #expect(skipped.steps == ["b-"] && skipped.progress.done == (inDoubt ? ["a"] : []))
        }
    }

    @Test("What is wrong with a definition is said when it is made")
    func mistakes() {
        func mistakes(_ stages: [[[String]]], _ waits: [String: SagaTimeout] = [:]) -> [String] {
            Rules(stages, pivot: 1, waits: waits).machine.plan.mistakes
        }
        #expect(mistakes([[["a"]], [["b-"]]]) == [])
        #expect(mistakes([[["a"]], [["b"]]]).first?.contains("nothing is undone any more") == true)
        #expect(mistakes([[["a"]], [["a-"], ["a-"]]]).first?.contains("two steps called") == true)
        #expect(mistakes([[["a"]], [["w-"]]], ["w-": .turnBack]).first?.contains("no turning back") == true)
        #expect(mistakes([[["a"]], [["w-"]]], ["w-": .goOn]) == [])
    }
}

/// Rules over a plan of steps, of which those whose names end in `-` have no undo.
struct Rules {
    static let now = Date(timeIntervalSince1970: 1000)
    let machine: SagaMachine

    init(
        _ stages: [[[String]]], pivot: Int? = nil, waits: [String: SagaTimeout] = [:], attempts: Int = 3,
        beforeStuck: Int = 2, patience: Duration = .seconds(86_400)
    ) {
        let policy = SagaPolicy(attempts: attempts, attemptsBeforeStuck: beforeStuck, patience: patience)
        var steps: [SagaPlan.Step] = []
        let places = stages.map { branches in
            branches.map { branch in
                branch.map { name in
                    steps.append(
                        SagaPlan.Step(
                            name: name, kind: waits[name].map { .wait($0) } ?? .action,
                            canBeUndone: waits[name] == nil && !name.hasSuffix("-"), policy: policy))
                    return steps.count - 1
                }
            }
        }
        machine = SagaMachine(
            plan: SagaPlan(saga: "s", steps: steps, stages: places, pivot: pivot, concludes: true, policy: policy))
    }

    func begin() -> SagaRecord {
        let record = SagaRecord(
            id: .derived(from: "test"), saga: "s", status: .running, state: "0", dueAt: Rules.now,
            correlationID: "c", startedBy: .derived(from: "event"), startedAt: Rules.now, updatedAt: Rules.now)
        return machine.begin(record, now: Rules.now)
    }

    func advance(
        _ record: SagaRecord, _ step: String, _ outcome: SagaMachine.Outcome, inFlight: Set<String> = []
    ) -> SagaMachine.Move {
        let task = record.progress.tasks.first { $0.step == step } ?? SagaTask(step, .forward, dueAt: nil)
        return machine.advance(
            record, task, by: outcome, inFlight: inFlight, began: Rules.now, now: Rules.now, share: 1)
    }

    static func name(_ task: SagaTask) -> String {
        switch task.phase {
        case .forward, .draining: task.step
        case .undo: "undo " + task.step
        case .conclude: "conclude"
        }
    }

    /// Runs an instance as far as it goes by itself, one task at a time; `outcome` says what comes of each, by its name. What was done, in order.
    func run(
        from start: SagaRecord? = nil, _ outcome: (String) -> SagaMachine.Outcome
    ) -> (end: SagaRecord, done: [String]) {
        var record = start ?? begin()
        var done: [String] = []
        while done.count < 1000, let task = machine.due(record, at: .distantFuture, isWoken: false).first {
            done.append(Rules.name(task))
            record =
                machine.advance(
                    record, task, by: outcome(Rules.name(task)), began: Rules.now, now: Rules.now, share: 1
                ).record
        }
        return (record, done)
    }
}

func failed(_ kind: FailureKind) -> SagaMachine.Outcome { .failed(kind, Problem("no", status: 409)) }
