import DovetailCore
import DovetailEvents
import Foundation

/// The rules by which an instance moves: given where it stands and what came of its task, where it stands next.
///
/// Pure; the runner performs the tasks and commits the transitions.
struct SagaMachine: Sendable {
    /// What the rules need to know of a step.
    struct Step: Sendable {
        let name: String
        let canBeUndone: Bool
        let pause: Duration?
    }

    /// What an instance does next.
    enum Work: Equatable {
        case action(Int)
        case pause(Int)
        case undo(Int)
        case conclude
        /// Nothing: it is final, or at a step that its definition does not have any more.
        case none
    }

    /// What came of it.
    enum Outcome {
        case done(state: String)
        case failed(FailureKind, Problem)
    }

    let steps: [Step]
    let pivot: Int?
    let policy: SagaPolicy

    func work(for record: SagaRecord) -> Work {
        switch record.status {
        case .running:
            guard steps.indices.contains(record.step) else { return .none }
            return steps[record.step].pause == nil ? .action(record.step) : .pause(record.step)
        case .compensating:
            return steps.indices.contains(record.step) ? .undo(record.step) : .conclude
        case .completed, .compensated, .stuck:
            return .none
        }
    }

    /// The instance after its task, and the journal's lines about it. The task began at `began`; `pause` is drawn for a retry.
    func advance(
        _ record: SagaRecord, by outcome: Outcome, began: Date, now: Date, pause: (Int) -> Duration
    ) -> (SagaRecord, [SagaJournalEntry]) {
        let work = work(for: record)
        var next = record
        next.updatedAt = now
        next.dueAt = now
        next.attempts = 0
        next.inDoubt = false
        var line = SagaJournalEntry(
            sequence: 0, step: name(of: work), kind: kind(of: work), outcome: .done, attempt: record.attempts + 1,
            detail: nil, startedAt: began, finishedAt: now)

        switch outcome {
        case .done(let state):
            next.state = state
            switch work {
            case .action(let index), .pause(let index): moveForward(&next, from: index, now: now)
            case .undo(let index): moveBack(&next, from: index - 1)
            case .conclude: next.status = .compensated
            case .none:
                line.outcome = .failed
                next.status = .stuck
                next.problem = text(
                    Problem("saga-step-missing", status: 500)(
                        "the instance is at step \(record.step + 1), and its definition has \(steps.count); bring the steps back"
                    ))
            }
        case .failed(let kind, let problem):
            line.detail = problem.description
            let attempts = record.attempts + 1
            let inDoubt = record.inDoubt || kind == .inDoubt
            switch decision(work, kind, attempts: attempts, inDoubt: inDoubt) {
            case .retry:
                line.outcome = .retry
                next.attempts = attempts
                next.inDoubt = inDoubt
                next.dueAt = now.addingTimeInterval(pause(attempts).inSeconds)
            case .turnBack(let index):
                line.outcome = inDoubt ? .inDoubt : .failed
                next.problem = text(problem)
                next.status = .compensating
                moveBack(&next, from: index)
            case .stuck:
                line.outcome = .failed
                next.attempts = attempts
                next.problem = text(problem)
                next.status = .stuck
            }
        }
        guard next.status.isFinal else { return (next, [line]) }
        let end = SagaJournalEntry(
            sequence: 0, step: next.status.rawValue, kind: .finished, outcome: .done, attempt: 1, detail: nil,
            startedAt: now, finishedAt: now)
        return (next, [line, end])
    }

    private func text(_ problem: Problem) -> String? {
        (try? JSON.encode(problem)).map { String(decoding: $0, as: UTF8.self) }
    }

    private enum Decision {
        case retry
        case turnBack(from: Int)
        case stuck
    }

    private func decision(_ work: Work, _ kind: FailureKind, attempts: Int, inDoubt: Bool) -> Decision {
        switch work {
        case .action(let index) where pivot.map({ index < $0 }) ?? true:
            if kind != .permanent, attempts < policy.attempts { return .retry }
            // A refusal does not say what became of an earlier attempt in doubt, so that one is undone as well.
            return .turnBack(from: inDoubt ? index : index - 1)
        case .action, .undo, .conclude:
            return kind == .permanent && attempts >= policy.attemptsBeforeStuck ? .stuck : .retry
        case .pause, .none:
            return .retry
        }
    }

    private func moveForward(_ record: inout SagaRecord, from index: Int, now: Date) {
        record.step = index + 1
        guard steps.indices.contains(record.step) else {
            record.status = .completed
            return
        }
        if let pause = steps[record.step].pause { record.dueAt = now.addingTimeInterval(pause.inSeconds) }
    }

    private func moveBack(_ record: inout SagaRecord, from index: Int) {
        record.step = steps[..<max(index + 1, 0)].lastIndex { $0.canBeUndone } ?? -1
    }

    private func name(of work: Work) -> String {
        switch work {
        case .action(let index), .pause(let index), .undo(let index): steps[index].name
        case .conclude: "compensated"
        case .none: ""
        }
    }

    private func kind(of work: Work) -> SagaJournalEntry.Kind {
        switch work {
        case .action: .action
        case .pause: .pause
        case .undo: .undo
        case .conclude, .none: .conclude
        }
    }
}
