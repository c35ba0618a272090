import DovetailContracts
import DovetailCore
import Foundation

/// What an operator may do to an instance.
extension SagaMachine {
    /// Why an intervention would be refused; nil if it would be carried out.
    func refusal(of intervention: SagaIntervention, on record: SagaRecord) -> String? {
        if record.status.hasEnded { return "it has ended, \(record.status.rawValue); nothing can be done to it" }
        let tasks = record.progress.tasks.filter { intervention.step == nil || $0.step == intervention.step }
        if let step = intervention.step, tasks.isEmpty {
            return "it is not at the step '\(step)', but at \(record.steps.joined(separator: ", "))"
        }
        switch intervention.action {
        case .retry:
            return tasks.contains { $0.isStuck || $0.attempts > 0 } ? nil : "none of its steps has failed"
        case .skip:
            let skipped = tasks.filter { isSkipped($0, intervention) }
            if skipped.isEmpty { return "it is not stuck; name the step that is to be skipped" }
            let isLost = skipped.contains { $0.phase == .forward && plan.index(of: $0.step) == nil }
            return isLost
                ? "what follows a step that the definition has no more is not known; bring it back, or compensate" : nil
        case .compensate:
            return tasks.contains { $0.phase == .forward } ? nil : "it is on its way back already"
        case .cancel:
            if !tasks.contains(where: { $0.phase == .forward }) { return "it is on its way back already" }
            let isBehind = record.progress.tasks.contains { plan.index(of: $0.step).map(plan.isAfterPivot) ?? false }
            return isBehind ? "it is behind its pivot; `compensate` turns it back all the same" : nil
        }
    }

    private func isSkipped(_ task: SagaTask, _ intervention: SagaIntervention) -> Bool {
        intervention.step.map { $0 == task.step } ?? task.isStuck
    }

    /// The instance after several interventions, one after the other.
    func intervene(
        _ record: SagaRecord, _ interventions: [SagaIntervention], inFlight: Set<String> = [], now: Date
    ) -> Move {
        interventions.reduce(into: Move(record: record)) { move, intervention in
            let next = intervene(move.record, intervention, inFlight: inFlight, now: now)
            move.record = next.record
            move.lines += next.lines
            move.cancelledChildren += next.cancelledChildren
        }
    }

    /// The instance after an operator has intervened; the journal says whether it was carried out.
    func intervene(
        _ record: SagaRecord, _ intervention: SagaIntervention, inFlight: Set<String> = [], now: Date
    ) -> Move {
        var move = Move(record: record)
        move.record.request = nil
        move.record.updatedAt = now
        var refusal = refusal(of: intervention, on: record)
        if refusal == nil, intervention.action == .skip,
            let busy = record.progress.tasks.first(where: { isSkipped($0, intervention) && inFlight.contains($0.step) })
        {
            refusal = "'\(busy.step)' is being carried out"
        }
        let words = [intervention.step, refusal, intervention.reason].compactMap { $0 }.joined(separator: "; ")
        move.lines.append(
            line(
                intervention.action.rawValue, .intervention, refusal == nil ? .done : .failed, 1,
                words.isEmpty ? nil : words, now, now))
        guard refusal == nil else { return settled(move) }
        switch intervention.action {
        case .retry:
            for task in record.progress.tasks where intervention.step.map({ $0 == task.step }) ?? true {
                guard task.isStuck || task.attempts > 0, !inFlight.contains(task.step) else { continue }
                change(task.step, &move.record) {
                    $0.isStuck = false
                    $0.failure = nil
                    $0.attempts = 0
                    $0.failingSince = nil
                    // What waits goes on waiting, until when it would have.
                    $0.dueAt = $0.isArmed ? $0.until : now
                }
            }
        case .skip:
            for task in record.progress.tasks where isSkipped(task, intervention) {
                // What has had no effect is not owed an undo; what may have had one is.
                // A lock that is skipped is not waited for any more.
                if task.phase == .forward { unlock(task.step, &move.record) }
                end(task, work(for: task), &move, now, isIdle: task.phase == .forward && !task.inDoubt)
            }
        case .compensate, .cancel:
            let problem = Problem(
                intervention.action == .cancel ? "saga-cancelled" : "saga-turned-back", status: 409)
            turnBack(&move, inFlight, intervention.reason.map { problem($0) } ?? problem, now)
        }
        return settled(move)
    }
}
