import DovetailCore
import DovetailEvents
import Foundation

/// The rules by which an instance moves: given where it stands and what came of a task, where it stands next.
///
/// Pure; the runner performs the tasks and commits the transitions.
struct SagaMachine: Sendable {
    /// What a task is about.
    enum Work: Equatable {
        case action(Int)
        case timer(Int)
        case wait(Int)
        case child(Int)
        case lock(Int)
        case release(Int)
        case undo(Int)
        case conclude
        /// Its step is in the definition no more.
        case missing
    }

    /// What came of a task.
    enum Outcome: Sendable {
        case done
        case failed(FailureKind, Problem)
        /// A timer or a wait has begun.
        case armed(SagaAddress?, until: Date?)
        /// What it waits for has come, as the message of this number.
        case arrived(Int64)
        /// The resource that it waits for is its own.
        case locked
        /// It has not come in time.
        case timedOut
        /// It has not come yet.
        case notYet
    }

    /// A move: where the instance stands, the journal's lines about it, and what else has to be done in the same commit.
    struct Move: Sendable {
        var record: SagaRecord
        var lines: [SagaJournalEntry] = []
        /// Children that are no longer wanted.
        var cancelledChildren: [UniqueID] = []
    }

    let plan: SagaPlan

    // MARK: What is to be done

    func work(for task: SagaTask) -> Work {
        if task.phase == .conclude { return .conclude }
        guard let index = plan.index(of: task.step) else { return .missing }
        if task.phase == .undo { return .undo(index) }
        switch plan.steps[index].kind {
        case .action: return .action(index)
        case .timer: return .timer(index)
        case .wait: return .wait(index)
        case .child: return .child(index)
        case .lock: return .lock(index)
        case .release: return .release(index)
        }
    }

    /// The tasks that are due; `isWoken` if a message may have come for one that waits.
    func due(_ record: SagaRecord, at now: Date, isWoken: Bool) -> [SagaTask] {
        record.progress.tasks.filter { task in
            task.dueAt.map { $0 <= now } ?? false || isWoken && task.isListening
        }
    }

    // MARK: Beginning

    /// A new instance, at its first step.
    func begin(_ record: SagaRecord, now: Date) -> SagaRecord {
        var move = Move(record: record)
        enter(0, &move, now)
        return settled(move).record
    }

    // MARK: Moving

    /// The instance after one of its tasks. `inFlight` are the steps that are being carried out beside it; `began` is when the task was begun; `share` draws the pause before a retry.
    func advance(
        _ record: SagaRecord, _ task: SagaTask, by outcome: Outcome, inFlight: Set<String> = [], began: Date, now: Date,
        share: @autoclosure () -> Double
    ) -> Move {
        var move = Move(record: record)
        guard let current = record.progress.tasks.first(where: { $0.step == task.step }) else { return move }
        move.record.updatedAt = now
        let work = work(for: current)
        func told(_ outcome: SagaJournalEntry.Outcome, _ detail: String? = nil) -> SagaJournalEntry {
            let name = current.phase == .conclude ? "compensated" : current.step
            return line(name, kind(of: work), outcome, current.attempts + 1, detail, began, now)
        }
        switch outcome {
        case .notYet:
            break
        case .armed(let address, let until):
            change(current.step, &move.record) {
                $0.isArmed = true
                $0.awaits = address
                $0.until = until
                $0.dueAt = until
            }
            if case .lock = work, let address {
                let resource = String(address.topic.dropFirst(SagaMessage.lock("").count))
                move.record.progress.locks.append(SagaLock(step: current.step, resource: resource, key: address.key))
            }
            move.lines.append(told(.waiting))
        case .done, .locked, .arrived:
            if case .arrived(let number) = outcome { move.record.progress.taken.append(number) }
            move.lines.append(told(.done))
            end(current, work, &move, now)
        case .timedOut:
            let problem = Problem("saga-timed-out", status: 504)(
                "what '\(current.step)' waits for has not come in time")
            move.lines.append(told(.failed, problem.description))
            unlock(current.step, &move.record)
            if turnsBack(work), current.phase == .forward {
                remove(current.step, &move.record)
                turnBack(&move, inFlight, problem, now)
            } else {
                end(current, work, &move, now, isIdle: true)
            }
        case .failed(let kind, let problem):
            fail(current, work, kind, problem, inFlight, &move, now, share(), told)
        }
        return settled(move)
    }

    /// The instance when nothing can be done with it, as it is: stuck at all that it is at.
    func givingUp(_ record: SagaRecord, _ problem: Problem, now: Date) -> Move {
        var move = Move(record: record)
        move.record.updatedAt = now
        for task in record.progress.tasks {
            change(task.step, &move.record) {
                $0.isStuck = true
                $0.failingSince = nil
                $0.failure = problem.description
                $0.dueAt = nil
            }
            move.lines.append(
                line(task.step, kind(of: work(for: task)), .failed, task.attempts + 1, problem.description, now, now))
        }
        if move.record.problem == nil { move.record.problem = text(problem) }
        return settled(move)
    }

    private func fail(
        _ task: SagaTask, _ work: Work, _ kind: FailureKind, _ problem: Problem, _ inFlight: Set<String>,
        _ move: inout Move, _ now: Date, _ share: Double,
        _ told: (SagaJournalEntry.Outcome, String?) -> SagaJournalEntry
    ) {
        let attempts = task.attempts + 1
        let inDoubt = task.inDoubt || kind == .inDoubt
        let detail = problem.description
        if task.phase == .draining {
            move.lines.append(told(inDoubt ? .inDoubt : .failed, detail))
            remove(task.step, &move.record)
            if inDoubt { owe(task.step, &move.record) }
            goBack(&move, now)
            return
        }
        let index: Int? =
            switch work {
            case .action(let index), .timer(let index), .wait(let index), .child(let index), .lock(let index),
                .release(let index):
                index
            case .undo, .conclude, .missing: nil
            }
        let policy = plan.index(of: task.step).map { plan.steps[$0].policy } ?? plan.policy
        if let index, !plan.isAfterPivot(index), kind == .permanent || attempts >= policy.attempts {
            // A refusal does not say what became of an earlier attempt in doubt, so that one is undone as well.
            move.lines.append(told(inDoubt ? .inDoubt : .failed, detail))
            remove(task.step, &move.record)
            if case .lock = work { unlock(task.step, &move.record) }
            if inDoubt { owe(task.step, &move.record) }
            turnBack(&move, inFlight, problem, now)
            return
        }
        let isBefore = index.map { !plan.isAfterPivot($0) } ?? false
        let isHopeless = kind == .permanent && attempts >= policy.attemptsBeforeStuck
        let isStuck = work == .missing || !isBefore && (isHopeless || policy.isExhausted(after: attempts))
        move.lines.append(told(isStuck ? .failed : .retry, detail))
        change(task.step, &move.record) {
            $0.attempts = attempts
            $0.inDoubt = inDoubt
            $0.isStuck = isStuck
            $0.failure = isStuck ? detail : nil
            $0.failingSince = isStuck ? nil : $0.failingSince ?? now
            $0.dueAt =
                isStuck
                ? nil : now.addingTimeInterval(policy.pause(after: attempts, share: share).inSeconds)
        }
        // Why it turned back stays what it was.
        if isStuck, move.record.problem == nil { move.record.problem = text(problem) }
    }

    /// Whether a saga turns back when what a step waits for has not come in time.
    private func turnsBack(_ work: Work) -> Bool {
        switch work {
        case .wait(let index): plan.steps[index].kind == .wait(.turnBack) && !plan.isAfterPivot(index)
        case .lock(let index): plan.steps[index].kind == .lock(.turnBack)
        default: false
        }
    }

    /// A task has come to its end: what follows it begins. With `isIdle` it has had no effect.
    func end(_ task: SagaTask, _ work: Work, _ move: inout Move, _ now: Date, isIdle: Bool = false) {
        remove(task.step, &move.record)
        switch task.phase {
        case .forward:
            if !isIdle { owe(task.step, &move.record) }
            if case .release(let index) = work, case .release(let lock) = plan.steps[index].kind {
                unlock(lock, &move.record)
                move.record.progress.done.removeAll { $0 == lock }
            }
            guard let index = plan.index(of: task.step) else { return }
            if let next = plan.next(after: index) {
                move.record.progress.tasks.append(SagaTask(plan.steps[next].name, .forward, dueAt: now))
            } else if !move.record.progress.tasks.contains(where: { $0.phase == .forward }) {
                enter(plan.place(of: index).stage + 1, &move, now)
            }
        case .draining:
            owe(task.step, &move.record)
            goBack(&move, now)
        case .undo:
            unlock(task.step, &move.record)
            goBack(&move, now)
        case .conclude:
            finish(.compensated, &move)
        }
    }

    func enter(_ stage: Int, _ move: inout Move, _ now: Date) {
        guard let first = plan.first(of: stage) else {
            finish(.completed, &move)
            return
        }
        move.record.progress.tasks += first.map { SagaTask(plan.steps[$0].name, .forward, dueAt: now) }
    }

    /// Turns an instance back: what is carried out beside is waited for, all else that it is at is dropped.
    func turnBack(_ move: inout Move, _ inFlight: Set<String>, _ problem: Problem, _ now: Date) {
        move.record.problem = text(problem)
        move.record.status = .compensating
        for task in move.record.progress.tasks where task.phase == .forward {
            var isChild = false
            var isCalling = false
            switch work(for: task) {
            case .child: isChild = task.isArmed
            case .action: isCalling = inFlight.contains(task.step)
            default: break
            }
            if isCalling || isChild {
                change(task.step, &move.record) {
                    $0.phase = .draining
                    $0.isStuck = false
                    $0.failingSince = nil
                    // Due, so that who takes the instance over finds it.
                    $0.dueAt = isChild ? nil : now
                }
                if isChild {
                    move.cancelledChildren.append(SagaRecord.childID(of: move.record.id, at: task.step))
                }
            } else {
                remove(task.step, &move.record)
                unlock(task.step, &move.record)
                if task.inDoubt { owe(task.step, &move.record) }
            }
        }
        goBack(&move, now)
    }

    /// The next thing to undo, once nothing goes forward any more.
    func goBack(_ move: inout Move, _ now: Date) {
        guard move.record.progress.tasks.isEmpty else { return }
        if let last = move.record.progress.done.popLast() {
            move.record.progress.tasks = [SagaTask(last, .undo, dueAt: now)]
        } else if plan.concludes {
            move.record.progress.tasks = [SagaTask("", .conclude, dueAt: now)]
        } else {
            finish(.compensated, &move)
        }
    }

    private func finish(_ status: SagaStatus, _ move: inout Move) {
        move.record.status = status
        move.record.progress.tasks = []
        move.record.progress.locks = []
        if status == .completed { move.record.problem = nil }
    }

    /// The status and the due time that follow from the tasks.
    func settled(_ move: Move) -> Move {
        var move = move
        let before = move.record.status
        if !before.hasEnded {
            let tasks = move.record.progress.tasks
            let isForward = tasks.allSatisfy { $0.phase == .forward }
            move.record.status =
                tasks.contains(where: \.isStuck) ? .stuck : isForward ? .running : .compensating
            if move.record.status == .stuck, before != .stuck {
                let at = move.record.updatedAt
                move.lines.append(line(SagaStatus.stuck.rawValue, .finished, .failed, 1, nil, at, at))
            }
        }
        move.record.dueAt = move.record.progress.dueAt
        return move
    }

    // MARK: Details

    func change(_ step: String, _ record: inout SagaRecord, _ body: (inout SagaTask) -> Void) {
        guard let index = record.progress.tasks.firstIndex(where: { $0.step == step }) else { return }
        body(&record.progress.tasks[index])
    }

    func remove(_ step: String, _ record: inout SagaRecord) {
        record.progress.tasks.removeAll { $0.step == step }
    }

    func unlock(_ step: String, _ record: inout SagaRecord) {
        record.progress.locks.removeAll { $0.step == step }
    }

    /// A step has had an effect, or may have: it is undone when the saga turns back, if it can be.
    func owe(_ step: String, _ record: inout SagaRecord) {
        // One that the definition has no more may have been one that can be: it is not passed over in silence.
        if let index = plan.index(of: step), !plan.isUndone(index) { return }
        record.progress.done.append(step)
    }

    private func text(_ problem: Problem) -> String? {
        (try? JSON.encode(problem)).map { String(decoding: $0, as: UTF8.self) }
    }

    func line(
        _ step: String, _ kind: SagaJournalEntry.Kind, _ outcome: SagaJournalEntry.Outcome, _ attempt: Int,
        _ detail: String?, _ began: Date, _ now: Date
    ) -> SagaJournalEntry {
        SagaJournalEntry(
            step: step, kind: kind, outcome: outcome, attempt: attempt, detail: detail, startedAt: began,
            finishedAt: now)
    }

    private func kind(of work: Work) -> SagaJournalEntry.Kind {
        switch work {
        case .action, .missing: .action
        case .timer: .pause
        case .wait, .child: .wait
        case .lock: .lock
        case .release: .release
        case .undo: .undo
        case .conclude: .conclude
        }
    }
}
