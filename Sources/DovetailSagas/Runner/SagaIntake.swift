import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// What an event is to a saga: the instance that it starts, the message that it is. Worked out before there is a transaction, so that the writer does not wait for it.
struct SagaIntake<State: Wire>: Sendable {
    private let saga: Saga<State>
    private let machine: SagaMachine
    private let wait: SagaStep<State>.Wait?

    /// What an event is to the saga.
    struct Arrival: Sendable {
        fileprivate var message: (data: [UInt8], version: Int?)?
        fileprivate var record: SagaRecord?
        fileprivate var notice: EventDraft?
    }

    /// What became of an event.
    struct Taken {
        /// The instance that it has started; nil if it has started none, or had before.
        var started: SagaRecord?
        /// Whether somebody may have waited for it.
        var isMessage = false
    }

    /// The intake of the events of a topic.
    private init(_ saga: Saga<State>, _ machine: SagaMachine, topic: String) {
        self.saga = saga
        self.machine = machine
        wait =
            saga.steps.lazy.compactMap { step -> SagaStep<State>.Wait? in
                if case .wait(let wait) = step.work, wait.topic == topic, wait.payload != nil { wait } else { nil }
            }.first
    }

    /// The intakes of a saga, by topic.
    static func all(of saga: Saga<State>) -> [String: SagaIntake<State>] {
        let machine = SagaMachine(plan: saga.plan)
        return Dictionary(
            saga.listensTo.map { ($0, SagaIntake(saga, machine, topic: $0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Works out what an event is. Throws where it cannot be read.
    func arrival(_ event: StoredEvent, now: Date) throws -> Arrival {
        var arrival = Arrival()
        if let wait, let payload = wait.payload { arrival.message = (try payload(event), wait.version) }
        guard let trigger = saga.trigger, trigger.type == event.type else { return arrival }
        let state = String(decoding: try JSON.encode(try trigger.start(event)), as: UTF8.self)
        let record = saga.begin(
            SagaBeginning(
                id: SagaRecord.id(of: saga.name, startedBy: event.id), state: state, parent: nil,
                correlationID: event.attributes.correlationID ?? event.id.description,
                traceparent: event.attributes.traceparent, startedBy: event.id, now: now), by: machine)
        arrival.record = record
        arrival.notice = try SagaJournal.notice("$saga.started", record)
        return arrival
    }

    /// Takes an event in for the saga's owner: starts an instance, and keeps it for those that wait, or will. Throws ``SagaOwnershipLost`` if another owns the saga.
    func take(
        _ arrival: Arrival, of event: StoredEvent, owner: Int, now: Date, in transaction: Transaction
    ) throws -> Taken {
        var taken = Taken()
        if let message = arrival.message {
            try SagaJournal.requireOwnership(of: saga.name, owner, in: transaction)
            taken.isMessage = try SagaTables.deliver(
                message.data, version: message.version, id: event.id.description, to: saga.name,
                SagaAddress(topic: event.type, key: event.key), at: now, in: transaction)
        }
        if var record = arrival.record,
            let number = try SagaJournal.start(record, notice: arrival.notice, owner: owner, in: transaction)
        {
            record.number = number
            record.epoch = owner
            taken.started = record
        }
        return taken
    }
}
