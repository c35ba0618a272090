import DovetailCore
import Foundation
import Testing

@testable import DovetailSagas

/// Sagas under everything at once: steps that fail in all ways, nodes that die, operators that intervene, by seeds.
@Suite struct SagaSimulationTests {
    @Test(
        "Whatever happens, each instance ends completed, compensated or stuck with a reason; what was done is undone once, the last first",
        arguments: 0..<20)
    func ends(part: UInt64) {
        for seed in part * 100..<(part + 1) * 100 {
            var world = World(seed: seed)
            world.run()
            let findings = world.findings
            #expect(findings.isEmpty, "seed \(seed): \(findings)\n\(world.story.joined(separator: "\n"))")
        }
    }

    @Test("The simulation sees each end, crashes, cancellations and interventions")
    func covers() {
        var ends: [SagaStatus: Int] = [:]
        var story: Set<String> = []
        for seed in 0..<400 as Range<UInt64> {
            var world = World(seed: seed)
            world.run()
            ends[world.record.status, default: 0] += 1
            story.formUnion(world.story.map { String($0.split(separator: ":")[0]) })
        }
        for status in [SagaStatus.completed, .compensated, .stuck] { #expect(ends[status, default: 0] > 10, "\(ends)") }
        #expect(story.isSuperset(of: ["crash", "lost", "cancel", "retry", "skip", "compensate"]), "\(story)")
    }

    @Test("A machine that forgets an undo, or does one twice, is found out")
    func canFail() {
        var forgetful = World(seed: 1)
        forgetful.effects = ["a"]
        forgetful.record.status = .compensated
        #expect(forgetful.findings.contains { $0.contains("not undone") })
        var twice = World(seed: 1)
        twice.undone = ["a", "a"]
        twice.record.status = .compensated
        #expect(!twice.findings.isEmpty)
    }
}

/// One instance of a random saga, and the outside that it has its effects on.
private struct World {
    var random: SeededGenerator
    let rules: Rules
    var record: SagaRecord
    /// What the steps have done outside, in the order in which it was done.
    var effects: [String] = []
    /// What was undone outside, in order: only what was there.
    var undone: [String] = []
    /// Steps that operators have taken on themselves.
    var skipped: Set<String> = []
    var inFlight: [SagaTask] = []
    var story: [String] = []
    var misplaced: [String] = []

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        var number = 0
        var waits: [String: SagaTimeout] = [:]
        let count = Int.random(in: 1...4, using: &random)
        let pivot = Bool.random(using: &random) ? Int.random(in: 0...count, using: &random) : nil
        var stages: [[[String]]] = []
        for stage in 0..<count {
            let isAfter = pivot.map { stage >= $0 } ?? false
            let branches = Bool.random(using: &random) ? 1 : Int.random(in: 2...3, using: &random)
            var members: [[String]] = []
            for _ in 0..<branches {
                var branch: [String] = []
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    number += 1
                    let canBeUndone = !isAfter && Int.random(in: 0..<4, using: &random) > 0
                    let name = "s\(number)\(canBeUndone ? "" : "-")"
                    if Int.random(in: 0..<6, using: &random) == 0 { waits[name] = isAfter ? .goOn : .turnBack }
                    branch.append(name)
                }
                members.append(branch)
            }
            stages.append(members)
        }
        rules = Rules(stages, pivot: pivot, waits: waits)
        record = rules.begin()
    }

    mutating func run() {
        var moves = 0
        var interventions = Int.random(in: 0...3, using: &random)
        while !record.status.hasEnded, moves < 500 {
            moves += 1
            let chance = Int.random(in: 0..<100, using: &random)
            if chance < 4 {
                crash()
            } else if chance < 8 || record.status == .stuck && inFlight.isEmpty {
                guard interventions > 0 else {
                    if record.status == .stuck, inFlight.isEmpty { return }
                    continue
                }
                interventions -= 1
                intervene()
            } else {
                step()
            }
        }
    }

    private mutating func apply(_ move: SagaMachine.Move) { record = move.record }

    /// Some tasks are begun, and one of those under way comes to its end.
    private mutating func step() {
        let due = rules.machine.due(record, at: .distantFuture, isWoken: true)
        for task in due where !inFlight.contains(where: { $0.step == task.step }) {
            if Bool.random(using: &random) || inFlight.isEmpty { inFlight.append(task) }
        }
        guard !inFlight.isEmpty else { return }
        let task = inFlight.remove(at: Int.random(in: 0..<inFlight.count, using: &random))
        let outcome = outcome(of: task)
        if Int.random(in: 0..<20, using: &random) == 0 {
            // The work is done, and its transition is not written: the node dies.
            story.append("lost: \(Rules.name(task))")
            crash()
            return
        }
        story.append("\(outcome): \(Rules.name(task))")
        apply(
            rules.machine.advance(
                record, task, by: outcome, inFlight: Set(inFlight.map(\.step)), began: Rules.now, now: Rules.now,
                share: 1))
    }

    private mutating func outcome(of task: SagaTask) -> SagaMachine.Outcome {
        if case .wait = rules.machine.work(for: task) {
            if !task.isArmed { return .armed(SagaAddress(topic: "t", key: task.step), until: Rules.now) }
            return Bool.random(using: &random) ? .arrived(Int64(record.progress.taken.count)) : .timedOut
        }
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return failed(.permanent)
        case 1: return failed(.transient)
        case 2:
            if Bool.random(using: &random) { perform(task) }
            return failed(.inDoubt)
        default:
            perform(task)
            return .done
        }
    }

    /// The effect on the outside, which knows a step by its key: a second call does nothing.
    private mutating func perform(_ task: SagaTask) {
        switch task.phase {
        case .forward, .draining: if !effects.contains(task.step) { effects.append(task.step) }
        case .undo: if effects.contains(task.step), !undone.contains(task.step) { undone.append(task.step) }
        case .conclude: break
        }
    }

    private mutating func crash() {
        story.append("crash: \(inFlight.map(\.step))")
        if !record.status.hasEnded, record.dueAt == nil,
            !record.progress.tasks.contains(where: { $0.isListening || $0.isStuck })
        {
            misplaced.append("nobody would find it after a crash: \(record.progress)")
        }
        // What was under way may have had its effect.
        for task in inFlight where Bool.random(using: &random) {
            if case .wait = rules.machine.work(for: task) { continue }
            perform(task)
        }
        inFlight = []
        record = rules.machine.resumed(record, now: Rules.now).record
    }

    private mutating func intervene() {
        let action = SagaIntervention.Action.allCases.randomElement(using: &random) ?? .retry
        let step = Bool.random(using: &random) ? record.progress.tasks.randomElement(using: &random)?.step : nil
        let intervention = SagaIntervention(action, step: step)
        let move = rules.machine.intervene(
            record, intervention, inFlight: Set(inFlight.map(\.step)), now: Rules.now)
        story.append("\(action.rawValue): \(step ?? "") \(move.lines.map(\.outcome.rawValue))")
        if action == .skip, move.lines.first?.outcome == .done {
            for task in record.progress.tasks where step.map({ $0 == task.step }) ?? task.isStuck {
                skipped.insert(task.step)
            }
        }
        apply(move)
    }

    /// What should not be.
    var findings: [String] {
        var findings = misplaced
        if !record.status.isFinal { findings.append("it has come to no end: \(record.status), \(record.progress)") }
        if record.status == .stuck {
            for task in record.progress.tasks where task.isStuck && task.failure == nil {
                findings.append("it is stuck at \(task.step) without a reason")
            }
            if !record.progress.tasks.contains(where: \.isStuck) { findings.append("it is stuck at nothing") }
        }
        let undoable = effects.filter { !$0.hasSuffix("-") && !skipped.contains($0) }
        if record.status == .compensated {
            let missing = Set(undoable).subtracting(undone)
            if !missing.isEmpty { findings.append("not undone: \(missing.sorted())") }
        }
        if record.status == .completed, !undone.isEmpty { findings.append("completed, and \(undone) undone") }
        if Set(undone).count != undone.count { findings.append("undone twice: \(undone)") }
        for (first, second) in zip(undone, undone.dropFirst()) {
            // Of one branch, or of stages that follow each other: the later is undone first.
            guard let one = rules.machine.plan.index(of: first), let two = rules.machine.plan.index(of: second) else {
                continue
            }
            let (a, b) = (rules.machine.plan.place(of: one), rules.machine.plan.place(of: two))
            if a.stage < b.stage || a.stage == b.stage && a.branch == b.branch && a.index < b.index {
                findings.append("\(first) was undone before \(second)")
            }
        }
        return findings
    }
}
