import DovetailCQRS
import DovetailCore
import DovetailEvents
import DovetailResilience
import Foundation
import Logging
import ServiceLifecycle
import Tracing

/// Carries the instances of one saga from step to step.
///
/// New instances begin with their event, in the transaction that moves the reader's cursor; all others are found in the journal, where the process left them. Each
/// step is carried out at least once, each transition committed once. On shutdown steps in progress are cancelled and taken up at the next start.
final class SagaRunner<State: Codable & Sendable>: Service {
    private let saga: Saga<State>
    private let machine: SagaMachine
    private let log: any EventLog
    private let journal: SagaJournal
    private let commands: CommandExecutor
    private let source: String
    private let concurrency: Int
    private let wakes = WakeUps()
    private let logger = Logger(label: "dovetail.sagas")

    init(_ saga: Saga<State>, log: any EventLog, commands: CommandExecutor, source: String, concurrency: Int = 64) {
        self.saga = saga
        self.machine = saga.machine
        self.log = log
        self.journal = SagaJournal(log: log)
        self.commands = commands
        self.source = source
        self.concurrency = concurrency
    }

    func run() async throws {
        try await journal.prepare()
        try await journal.takeOver(saga.name)
        let starter = EffectivelyOnceReader(
            "saga \(saga.name)", from: log, into: log, types: [saga.trigger.type], handler: start)
        do {
            try await starter.prepare()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await starter.run() }
                group.addTask {
                    var seen = starter.status.scanned
                    while true {
                        seen = try await starter.waitForProgress(beyond: seen)
                        self.wakes.bump()
                    }
                }
                group.addTask { try await self.schedule() }
                try await group.next()
                group.cancelAll()
            }
        } catch is CancellationError {
            return
        }
    }

    private func start(_ event: StoredEvent, _ transaction: Transaction) throws {
        guard event.version == saga.trigger.version else { return }
        let state = try saga.trigger.start(event)
        let now = Date()
        var due = now
        if let pause = machine.steps.first?.pause { due = now.addingTimeInterval(pause.inSeconds) }
        let record = SagaRecord(
            id: .derived(from: "saga", saga.name, event.id.description), saga: saga.name, status: .running, step: 0,
            attempts: 0, inDoubt: false, state: String(decoding: try JSON.encode(state), as: UTF8.self), dueAt: due,
            problem: nil, correlationID: event.attributes.correlationID ?? event.id.description,
            traceparent: event.attributes.traceparent, startedBy: event.id, startedAt: now, updatedAt: now)
        try SagaJournal.start(record, in: transaction)
    }

    private enum Turn {
        case finished(UniqueID)
        case woken
    }

    /// Runs what is due, each instance in a task of its own, and sleeps until something else is.
    private func schedule() async throws {
        try await withThrowingTaskGroup(of: Turn.self) { group in
            var active: Set<UniqueID> = []
            var isWaiting = false
            while true {
                let seen = wakes.value
                let now = Date()
                if active.count < concurrency {
                    let due = try await journal.due(saga.name, at: now, limit: concurrency + active.count)
                    for record in due where active.count < concurrency && active.insert(record.id).inserted {
                        group.addTask {
                            await self.drive(record)
                            return .finished(record.id)
                        }
                    }
                }
                if !isWaiting {
                    isWaiting = true
                    let next = try await journal.nextDue(saga.name, after: now)
                    group.addTask {
                        try await self.wakes.wait(beyond: seen, until: next ?? now.addingTimeInterval(60))
                        return .woken
                    }
                }
                switch try await group.next() {
                case .finished(let id):
                    active.remove(id)
                    // It may be due again before the timer that is set.
                    wakes.bump()
                case .woken: isWaiting = false
                case nil: return
                }
            }
        }
    }

    /// Carries an instance on until it is final, has to wait, or the task is cancelled.
    private func drive(_ record: SagaRecord) async {
        var record = record
        do {
            while !record.status.isFinal, record.dueAt <= Date() {
                let began = Date()
                let outcome = try await perform(record)
                let (next, lines) = machine.advance(
                    record, by: outcome, began: began, now: Date(), pause: saga.policyPause)
                try await journal.commit(next, lines)
                record = next
                if next.status == .stuck {
                    logger.error(
                        "a saga is stuck",
                        metadata: [
                            "saga": "\(saga.name)", "id": "\(next.id)", "step": "\(lines.first?.step ?? "")",
                            "problem": "\(next.problem ?? "")",
                        ])
                }
            }
        } catch is CancellationError {
            return
        } catch {
            // The journal could not be written: the instance is where it was, and found again when it is next looked for.
            logger.error(
                "a saga's transition was not written",
                metadata: ["saga": "\(saga.name)", "id": "\(record.id)", "error": "\(error)"])
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func perform(_ record: SagaRecord) async throws -> SagaMachine.Outcome {
        let work = machine.work(for: record)
        do {
            var state = try JSON.decode(State.self, from: Array(record.state.utf8))
            switch work {
            case .action(let index):
                guard case .action(let action) = saga.steps[index].work else { break }
                let before = state
                state = try await step(record, saga.steps[index].name) { context in
                    var changed = before
                    try await action(&changed, context)
                    return changed
                }
            case .undo(let index):
                let before = state
                let undo = saga.steps[index].undo
                try await step(record, "undo \(saga.steps[index].name)") { try await undo?(before, $0) }
            case .conclude:
                let before = state
                let problem = try record.problem.map { try JSON.decode(Problem.self, from: Array($0.utf8)) }
                try await step(record, "compensated") { context in
                    try await self.saga.compensated?(before, problem ?? Problem("unknown", status: 500), context)
                }
            case .pause, .none:
                break
            }
            return .done(state: String(decoding: try JSON.encode(state), as: UTF8.self))
        } catch let error as CancellationError where Task.isCancelled {
            throw error
        } catch {
            let problem =
                (error as? Problem) ?? Problem("saga-step-failed", status: 500, detail: String(describing: error))
            return .failed(FailureKind.of(error), problem)
        }
    }

    /// Runs a step's function within its time, under its key, in the instance's trace.
    private func step<Result: Sendable>(
        _ record: SagaRecord, _ name: String, _ body: @escaping @Sendable (SagaContext) async throws -> Result
    ) async throws -> Result {
        var attributes = EventAttributes()
        attributes.correlationID = record.correlationID
        attributes.traceparent = record.traceparent
        var call = attributes.callContext(causedBy: record.startedBy)
        call.idempotencyKey = "\(record.id)/\(name)"
        let deadline = MonotonicTime.now + saga.policy.timeout
        call.deadline = deadline
        return try await withSpan("saga \(saga.name): \(name)", context: call.trace, ofKind: .internal) { span in
            span.attributes["dovetail.saga.id"] = record.id.description
            span.attributes["dovetail.saga.attempt"] = record.attempts + 1
            call.trace = span.context
            let context = SagaContext(
                sagaID: record.id, idempotencyKey: "\(record.id)/\(name)", call: call, commands: commands,
                source: source)
            return try await CallContext.$current.withValue(call) {
                try await body(context)
            }
        }
    }
}

extension Saga {
    var machine: SagaMachine {
        SagaMachine(
            steps: steps.map { step in
                if case .pause(let pause) = step.work {
                    return SagaMachine.Step(name: step.name, canBeUndone: false, pause: pause)
                }
                return SagaMachine.Step(name: step.name, canBeUndone: step.undo != nil, pause: nil)
            }, pivot: pivotIndex, policy: policy)
    }

    func policyPause(_ attempt: Int) -> Duration { policy.pause(after: attempt) }
}
