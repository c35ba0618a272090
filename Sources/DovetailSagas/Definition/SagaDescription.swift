import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import ServiceLifecycle

/// What a document or a check needs to know of a saga.
public struct SagaDescription: Sendable, Codable {
    /// One step.
    public struct Step: Sendable, Codable {
        /// What the step does.
        public enum Kind: String, Sendable, Codable {
            /// It calls.
            case action
            /// It sleeps.
            case pause
            /// It waits for an event.
            case event
            /// It waits for a person.
            case decision
            /// It runs another saga.
            case child
            /// It takes a lock on a resource.
            case lock
            /// It lets go of a lock.
            case release
        }

        /// The step's name.
        public var name: String
        /// What it does.
        public var kind: Kind
        /// The topic it waits for, the saga it runs, the resource it locks, or the lock it releases.
        public var of: String?
        /// Whether it says how it is undone.
        public var canBeUndone: Bool
        /// Whether it comes after the point of no return.
        public var isAfterPivot: Bool
    }

    /// The saga's name.
    public var name: String
    /// The topic that starts an instance; nil if another saga does.
    public var startedBy: String?
    /// The topics that it listens to: the one that starts it, and those that it waits for.
    public var topics: [String]
    /// The steps, in order.
    public var steps: [Step]
    /// The steps' places, by their names: stages one after the other, branches beside each other, steps of a branch in order.
    public var stages: [[[String]]]
    /// Whether it says what follows when everything was undone.
    public var concludes: Bool
}

/// What a new instance begins with.
public struct SagaBeginning: Sendable {
    var id: UniqueID
    var state: String
    var parent: String?
    var correlationID: String
    var traceparent: String?
    var startedBy: UniqueID
    var now: Date
}

/// A ``Saga`` whose state is not known here.
public protocol AnySaga: Sendable {
    /// The durable name.
    var name: String { get }

    /// What a document needs to know of it.
    var description: SagaDescription { get }

    /// The sagas that it runs as children, and theirs.
    var children: [any AnySaga] { get }

    /// The events that it reads: the one that starts it, and those that it waits for.
    var events: [EventDescription] { get }

    /// What carries its instances on `log`; commands go through `commands`, events are published for `source`. Those that have ended are kept for `keepEnded`, unless the saga says
    /// otherwise; nil: for good.
    func runner(
        log: any EventLog, commands: CommandExecutor, source: String, wakeUps: SagaWakeUps, keepEnded: Duration?
    ) -> any SagaService

    /// What carries its instances when told to, for tests.
    func carrier(log: any EventLog, commands: CommandExecutor, source: String, clock: SagaClock) -> any SagaCarrier

    /// Why the instance cannot go on under this definition; nil if it can. `plan` is the definition that it has gone by so far, where that is known. See ``SagaFit``.
    func misfit(of record: SagaRecord, under plan: SagaDescription?) -> String?

    /// Why an intervention on the instance would be refused; nil if it would be carried out.
    func refusal(of intervention: SagaIntervention, on record: SagaRecord) -> String?

    /// A new instance.
    func begin(_ beginning: SagaBeginning) -> SagaRecord

    /// Whether it has nothing that could be refused: its pivot comes first.
    var beginsWithPivot: Bool { get }
}

extension AnySaga {
    /// What can be read of its events, for a look at what is stored.
    package var eventReaders: EventReaders { EventReaders("the saga '\(name)'", events.map(EventReader.init)) }

    /// What carries its instances on `log`; see ``AnySaga/runner(log:commands:source:wakeUps:keepEnded:)``. Those that have ended are kept for thirty days, unless the saga says otherwise.
    public func runner(
        log: any EventLog, commands: CommandExecutor, source: String, wakeUps: SagaWakeUps
    ) -> any SagaService {
        runner(log: log, commands: commands, source: source, wakeUps: wakeUps, keepEnded: .seconds(30 * 86_400))
    }
}

extension Saga: AnySaga {
    public var description: SagaDescription {
        let plan = plan
        return SagaDescription(
            name: name, startedBy: trigger?.type, topics: listensTo,
            steps: steps.enumerated().map { index, step in
                var kind = SagaDescription.Step.Kind.action
                var of: String?
                switch step.work {
                case .action: break
                case .timer: kind = .pause
                case .wait(let wait):
                    kind = wait.payload == nil ? .decision : .event
                    of = wait.payload == nil ? step.name : wait.topic
                case .child(let child):
                    kind = .child
                    of = child.saga.name
                case .lock(let lock):
                    kind = .lock
                    of = lock.resource
                case .release(let lock):
                    kind = .release
                    of = lock
                }
                return .init(
                    name: step.name, kind: kind, of: of, canBeUndone: step.undo != nil,
                    isAfterPivot: plan.isAfterPivot(index))
            }, stages: stages.map { $0.map { $0.map { steps[$0].name } } }, concludes: compensated != nil)
    }

    public var beginsWithPivot: Bool { pivotStage == 0 }

    public var events: [EventDescription] {
        let waited = steps.compactMap { step -> EventDescription? in
            if case .wait(let wait) = step.work { return wait.event }
            return nil
        }
        return [trigger?.event].compactMap { $0 } + waited
    }

    public var children: [any AnySaga] {
        steps.flatMap { step -> [any AnySaga] in
            if case .child(let child) = step.work { return [child.saga] + child.saga.children }
            return []
        }
    }

    public func runner(
        log: any EventLog, commands: CommandExecutor, source: String, wakeUps: SagaWakeUps, keepEnded: Duration?
    ) -> any SagaService {
        SagaRunner(
            self, log: log, commands: commands, source: source, wakeUps: wakeUps, keepEnded: keepsEnded ?? keepEnded)
    }

    public func carrier(
        log: any EventLog, commands: CommandExecutor, source: String, clock: SagaClock
    ) -> any SagaCarrier {
        ManualSagaCarrier(self, log: log, commands: commands, source: source, clock: clock)
    }

    public func refusal(of intervention: SagaIntervention, on record: SagaRecord) -> String? {
        SagaMachine(plan: plan).refusal(of: intervention, on: record)
    }

    public func begin(_ beginning: SagaBeginning) -> SagaRecord {
        begin(beginning, by: SagaMachine(plan: plan))
    }

    func begin(_ beginning: SagaBeginning, by machine: SagaMachine) -> SagaRecord {
        let record = SagaRecord(
            id: beginning.id, saga: name, status: .running, state: beginning.state, dueAt: beginning.now,
            parent: beginning.parent, correlationID: beginning.correlationID, traceparent: beginning.traceparent,
            startedBy: beginning.startedBy, startedAt: beginning.now, updatedAt: beginning.now)
        return machine.begin(record, now: beginning.now)
    }

    /// The topics that the saga's reader wants.
    var listensTo: [String] {
        let waited = steps.compactMap { step -> String? in
            if case .wait(let wait) = step.work, wait.payload != nil { return wait.topic }
            return nil
        }
        return Array(Set(waited + [trigger?.type].compactMap { $0 })).sorted()
    }

    var receivesMessages: Bool {
        steps.contains {
            switch $0.work {
            case .action, .timer, .lock, .release: false
            case .wait, .child: true
            }
        }
    }
}
