import DovetailCore
import Foundation

/// An instance that is found by another owner, or by another date, than it was left by.
extension SagaMachine {
    /// An instance taken over from an owner that has stopped: what it was doing then is in doubt, and nothing of it is under way.
    func resumed(_ record: SagaRecord, now: Date) -> Move {
        var move = Move(record: record)
        for (index, task) in record.progress.tasks.enumerated() where task.phase == .forward && !task.isArmed {
            // A step that is in the definition no more may have been under way as well.
            switch work(for: task) {
            case .action, .missing: move.record.progress.tasks[index].inDoubt = true
            default: break
            }
        }
        let drained = record.progress.tasks.filter { $0.phase == .draining && !$0.isListening }
        for task in drained {
            remove(task.step, &move.record)
            owe(task.step, &move.record)
        }
        guard !drained.isEmpty else {
            move.record.dueAt = move.record.progress.dueAt
            return move
        }
        move.record.updatedAt = now
        goBack(&move, now)
        return settled(move)
    }

    /// An instance by a clock that was set back: what is to be done now is due now, and no pause between attempts is longer than it was to be. Nil if nothing changes.
    ///
    /// Timers and time-outs are dates: they come when the clock says so.
    func caughtUp(_ record: SagaRecord, now: Date) -> Move? {
        var move = Move(record: record)
        for (index, task) in record.progress.tasks.enumerated() {
            guard let dueAt = task.dueAt, !(task.isArmed && dueAt == task.until) else { continue }
            let policy = plan.index(of: task.step).map { plan.steps[$0].policy } ?? plan.policy
            let pause = task.attempts > 0 ? policy.pause(after: task.attempts, share: 1) : .zero
            move.record.progress.tasks[index].dueAt = min(dueAt, now.addingTimeInterval(pause.inSeconds))
        }
        // What it is to be looked at for beside its tasks: a message, or an operator.
        let isCalled = record.dueAt.map { $0 > now } ?? false && record.dueAt != record.progress.dueAt
        guard isCalled || move.record.progress != record.progress else { return nil }
        move.record.updatedAt = now
        return settled(move)
    }
}
