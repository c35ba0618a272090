import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailResilience
import Foundation
import Tracing

/// Carries out single tasks of a saga's instances: calls what the definition says, and tells what came of it. Writes nothing.
struct SagaWorker<State: Wire>: Sendable {
    let saga: Saga<State>
    let machine: SagaMachine
    let journal: SagaJournal
    let commands: CommandExecutor
    let source: String
    let clock: SagaClock

    /// What came of a task.
    struct Result: Sendable {
        let task: SagaTask
        let began: Date
        let outcome: SagaMachine.Outcome
        var change: SagaStep<State>.Change?
        var child: SagaRecord?
    }

    /// The journal could not be asked: nothing is known of the task, and nothing has come of it.
    private struct JournalFailure: Error { let cause: LogError }

    /// Carries a task out. Throws only `CancellationError`, when the node stops, and ``LogError`` where the saga's own journal could not be asked; what a step throws, also of a log, is what came of it.
    func perform(_ task: SagaTask, of record: SagaRecord, _ state: State) async throws -> Result {
        let began = clock.now()
        func result(_ outcome: SagaMachine.Outcome, _ change: SagaStep<State>.Change? = nil) -> Result {
            Result(task: task, began: began, outcome: outcome, change: change)
        }
        do {
            switch machine.work(for: task) {
            case .action(let index):
                guard case .action(let action) = saga.steps[index].work else { break }
                let change = try await attempt(task, of: record, task.step, machine.plan.steps[index].policy) {
                    try await action(state, $0)
                }
                return result(.done, change)
            case .undo(let index):
                guard let undo = saga.steps[index].undo else { break }
                try await attempt(task, of: record, "undo \(task.step)", machine.plan.steps[index].policy) {
                    try await undo(state, $0)
                }
            case .conclude:
                guard let conclude = saga.compensated else { break }
                let problem = try record.problem.map { try JSON.decode(Problem.self, from: Array($0.utf8)) }
                try await attempt(task, of: record, "compensated", saga.policy) {
                    try await conclude(state, problem ?? Problem("unknown", status: 500), $0)
                }
            case .timer(let index):
                guard !task.isArmed, case .timer(let date) = saga.steps[index].work else { break }
                return result(.armed(nil, until: date(state, began)))
            case .wait(let index):
                guard case .wait(let wait) = saga.steps[index].work else { break }
                return try await listen(task, of: record, state, wait, result)
            case .child(let index):
                guard case .child(let child) = saga.steps[index].work else { break }
                return try await follow(task, of: record, state, child, result)
            case .lock(let index):
                guard case .lock(let lock) = saga.steps[index].work else { break }
                return try await acquire(task, of: record, state, lock, result)
            case .release: break
            case .missing:
                throw Problem("saga-step-missing", status: 500)(
                    "the definition of '\(saga.name)' has no step '\(task.step)' any more; bring it back, or turn the instance back with `sagas compensate`"
                )
            }
            return result(.done)
        } catch let error as CancellationError where Task.isCancelled {
            throw error
        } catch let failure as JournalFailure {
            throw failure.cause
        } catch {
            let problem =
                (error as? Problem) ?? Problem("saga-step-failed", status: 500, detail: String(describing: error))
            return result(.failed(Self.kind(of: error), problem))
        }
    }

    /// What a step's error means. One that came behind others on a stream has written nothing, and finds the stream as it is when it comes again.
    private static func kind(of error: any Error) -> FailureKind {
        if let error = error as? LogError, error.code == .versionConflict { return .transient }
        return FailureKind.of(error)
    }

    private func asking<Value>(_ question: () async throws -> Value) async throws -> Value {
        do { return try await question() } catch let error as LogError { throw JournalFailure(cause: error) }
    }

    private func listen(
        _ task: SagaTask, of record: SagaRecord, _ state: State, _ wait: SagaStep<State>.Wait,
        _ result: (SagaMachine.Outcome, SagaStep<State>.Change?) -> Result
    ) async throws -> Result {
        guard task.isArmed, let address = task.awaits else {
            let until = wait.within.map { clock.now().addingTimeInterval($0.inSeconds) }
            return result(.armed(SagaAddress(topic: wait.topic, key: wait.key(state, record.id)), until: until), nil)
        }
        if let message = try await asking({ try await journal.message(for: record, at: address) }) {
            return result(.arrived(message.number), try wait.accept(message.data, message.version))
        }
        return result(task.dueAt.map { $0 <= clock.now() } ?? false ? .timedOut : .notYet, nil)
    }

    private func acquire(
        _ task: SagaTask, of record: SagaRecord, _ state: State, _ wanted: SagaStep<State>.Lock,
        _ result: (SagaMachine.Outcome, SagaStep<State>.Change?) -> Result
    ) async throws -> Result {
        guard task.isArmed, let lock = record.progress.locks.first(where: { $0.step == task.step }) else {
            let until = wanted.within.map { clock.now().addingTimeInterval($0.inSeconds) }
            return result(
                .armed(SagaAddress(topic: SagaMessage.lock(wanted.resource), key: wanted.key(state)), until: until), nil
            )
        }
        switch try await asking({ try await journal.state(of: lock, for: record) }) {
        case .held: return result(.locked, nil)
        case .deadlock:
            throw Problem("saga-deadlock", status: 409)(
                "it would wait for the \(lock.resource) '\(lock.key)', whose holder waits for what it holds itself; let sagas take these locks in one order"
            )
        case .waiting, nil: return result(task.dueAt.map { $0 <= clock.now() } ?? false ? .timedOut : .notYet, nil)
        }
    }

    private func follow(
        _ task: SagaTask, of record: SagaRecord, _ state: State, _ child: SagaStep<State>.Child,
        _ result: (SagaMachine.Outcome, SagaStep<State>.Change?) -> Result
    ) async throws -> Result {
        guard task.isArmed, let address = task.awaits else {
            let parent = "\(record.id)/\(task.step)"
            var result = result(.armed(SagaAddress(topic: SagaMessage.child, key: parent), until: nil), nil)
            result.child = child.saga.begin(
                SagaBeginning(
                    id: SagaRecord.childID(of: record.id, at: task.step), state: try child.start(state),
                    parent: parent, correlationID: record.correlationID, traceparent: record.traceparent,
                    startedBy: record.startedBy, now: clock.now()))
            return result
        }
        guard let message = try await asking({ try await journal.message(for: record, at: address) }) else {
            return result(.notYet, nil)
        }
        let end = try JSON.decode(SagaMessage.ChildEnd.self, from: message.data)
        guard end.status == .completed else {
            // It has undone itself, so there is no doubt about it, whatever its problem says of the call that failed.
            let problem =
                end.problem ?? Problem("saga-child-compensated", status: 409)("the saga '\(task.step)' was undone")
            return result(.failed(.permanent, problem), nil)
        }
        return result(.arrived(message.number), try child.accept(end.state))
    }

    /// Calls a step's function within its time, under its key, in the instance's trace.
    @discardableResult
    private func attempt<Value: Sendable>(
        _ task: SagaTask, of record: SagaRecord, _ name: String, _ policy: SagaPolicy,
        _ body: @escaping @Sendable (SagaContext) async throws -> Value
    ) async throws -> Value {
        var attributes = EventAttributes()
        attributes.correlationID = record.correlationID
        attributes.traceparent = record.traceparent
        var call = attributes.callContext(causedBy: record.startedBy)
        let key = "\(record.id)/\(name)"
        call.idempotencyKey = key
        let deadline = MonotonicTime.now + policy.timeout
        call.deadline = deadline
        let callee = "saga \(saga.name): \(name)"
        return try await withSpan(callee, context: call.trace, ofKind: .internal) { span in
            span.attributes["dovetail.saga.id"] = record.id.description
            span.attributes["dovetail.saga.attempt"] = task.attempts + 1
            call.trace = span.context
            let context = SagaContext(
                sagaID: record.id, idempotencyKey: key, call: call, locks: record.progress.locks, commands: commands,
                source: source)
            return try await CallContext.$current.withValue(call) {
                try await withDeadline(deadline, callee: callee) { try await body(context) }
            }
        }
    }
}
