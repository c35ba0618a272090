import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// An instance while it is carried: where it stands, its state, and the steps that are under way. What came of a step goes in, the transition to be written comes out.
struct CarriedSaga<State: Wire> {
    private let worker: SagaWorker<State>
    private let epoch: Int
    private(set) var record: SagaRecord
    /// Nil if it cannot be read.
    private(set) var state: State?
    private let unreadable: String?
    /// The move with which it ends because its owner before has died, if it does.
    private var ending: SagaMachine.Move?
    /// The steps that are being carried out.
    private(set) var inFlight: Set<String> = []
    private var isWoken = true
    /// How many had been forgotten when the state was read.
    private var forgettings = PersonalData.vault?.forgettings

    /// The instance as it was found; `isInterrupted` if this owner was in the middle of it before, and could not write what came of that.
    init(_ found: SagaRecord, _ worker: SagaWorker<State>, epoch: Int, isInterrupted: Bool) {
        self.worker = worker
        self.epoch = epoch
        record = found
        if isInterrupted || found.epoch != epoch {
            let move = worker.machine.resumed(found, now: worker.clock.now())
            if move.record.status == found.status { record = move.record } else { ending = move }
        }
        do {
            state = try JSON.decode(State.self, from: Array(found.state.utf8))
            unreadable = nil
        } catch {
            unreadable = "\(error)"
        }
    }

    /// The tasks that are to be begun now; they count as under way from here on.
    mutating func due() -> [SagaTask] {
        let due = worker.machine.due(record, at: worker.clock.now(), isWoken: isWoken).filter {
            !inFlight.contains($0.step)
        }
        isWoken = false
        inFlight.formUnion(due.map(\.step))
        return due
    }

    /// The transition of an instance of which nothing is left to do now that its owner before has died; nil for others.
    func resumption() throws -> SagaCommit? {
        try ending.map { try commit($0, isAnswer: false) }
    }

    /// What an operator has asked for, as a transition.
    func intervention() throws -> SagaCommit? {
        guard let text = record.request else { return nil }
        let requests = try SagaIntervention.requests(text)
        return try commit(
            worker.machine.intervene(record, requests, inFlight: inFlight, now: worker.clock.now()), isAnswer: true)
    }

    /// The transition of an instance whose state cannot be read, if it cannot: it can go nowhere.
    func givingUp() throws -> SagaCommit? {
        guard let unreadable, !record.status.hasEnded else { return nil }
        let problem = Problem("saga-state-unreadable", status: 500)(
            "its state cannot be read (\(unreadable)); bring back the fields that it has, then `sagas retry`")
        return try commit(worker.machine.givingUp(record, problem, now: worker.clock.now()), isAnswer: false)
    }

    /// The transition that follows from what came of a task; nil if nothing does.
    mutating func commit(_ result: SagaWorker<State>.Result) throws -> SagaCommit? {
        inFlight.remove(result.task.step)
        // What was dropped meanwhile, because the saga has turned back, has no result any more.
        guard record.progress.tasks.contains(where: { $0.step == result.task.step && $0.awaits == result.task.awaits })
        else { return nil }
        var (outcome, accepted) = (result.outcome, result.change)
        if case .arrived(let number) = outcome, record.progress.taken.contains(number) {
            // Another branch, which waits for the same, has taken it since this one looked.
            (outcome, accepted) = (.notYet, nil)
        }
        if case .notYet = outcome, record.dueAt == record.progress.dueAt { return nil }
        var before = record
        if let change = accepted, var changed = state {
            do {
                try change(&changed)
                let encoded = try JSON.encode(changed)
                before.state = String(decoding: encoded, as: UTF8.self)
                // What was sealed just now stays as it is sealed, whoever is forgotten later.
                state = SealedText.found(in: encoded).isEmpty ? changed : try JSON.decode(State.self, from: encoded)
            } catch {
                // What it has done it has done, though nothing can be kept of it.
                for index in before.progress.tasks.indices where before.progress.tasks[index].step == result.task.step {
                    before.progress.tasks[index].inDoubt = true
                }
                outcome = .failed(
                    .permanent, Problem("saga-state", status: 500, detail: "the result does not fit: \(error)"))
            }
        }
        let move = worker.machine.advance(
            before, result.task, by: outcome, inFlight: inFlight, began: result.began, now: worker.clock.now(),
            share: worker.clock.share())
        return try commit(move, child: result.child, isAnswer: false)
    }

    /// The transition is written.
    mutating func written(_ record: SagaRecord, hasMessage: Bool) {
        self.record = record
        isWoken = hasMessage
        // What a step has just learnt of somebody who is forgotten by now is not for the next one.
        let now = PersonalData.vault?.forgettings
        guard now != forgettings, state != nil else { return }
        forgettings = now
        state = try? read(record.state)
    }

    private func read(_ text: String) throws -> State { try JSON.decode(State.self, from: Array(text.utf8)) }

    private func commit(
        _ move: SagaMachine.Move, child: SagaRecord? = nil, isAnswer: Bool
    ) throws -> SagaCommit {
        let (machine, now, inFlight) = (worker.machine, worker.clock.now(), inFlight)
        return try SagaCommit(before: record, move: move, child: child, answersRequest: isAnswer) { record, requests in
            machine.intervene(record, requests, inFlight: inFlight, now: now)
        }
    }
}
