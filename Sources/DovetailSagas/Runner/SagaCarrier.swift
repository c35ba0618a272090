import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Carries a saga's instances when told to, one after the other: the runner without a will of its own, for tests that decide when what happens.
public protocol SagaCarrier: Sendable {
    /// Takes the saga over, as a node does that starts.
    func takeOver() async throws

    /// Takes in what the log has: starts instances, keeps what they wait for.
    func receive() async throws

    /// Carries what is due; true if anything was. `moment` is called before and after each commit; what it throws ends the carrying there, as if the node had died.
    func carry(_ moment: (SagaMoment) throws -> Void) async throws -> Bool

    /// When the next instance is due that is not due yet.
    func nextDue() async throws -> Date?
}

/// A moment at which a node may die.
public enum SagaMoment: Sendable, Equatable {
    /// A step is carried out, and nobody knows it yet.
    case beforeCommit
    /// The step's result is durable, and the node does not know it yet.
    case afterCommit
}

final class ManualSagaCarrier<State: Wire>: SagaCarrier {
    private let saga: Saga<State>
    private let log: any EventLog
    private let journal: SagaJournal
    private let worker: SagaWorker<State>
    private let clock: SagaClock
    private let intakes: [String: SagaIntake<State>]
    private let place = Mutex<(epoch: Int, scanned: Int64)>((0, 0))

    init(_ saga: Saga<State>, log: any EventLog, commands: CommandExecutor, source: String, clock: SagaClock) {
        self.saga = saga
        self.log = log
        self.clock = clock
        intakes = SagaIntake.all(of: saga)
        journal = SagaJournal(log: log)
        worker = SagaWorker(
            saga: saga, machine: SagaMachine(plan: saga.plan), journal: journal, commands: commands, source: source,
            clock: clock)
    }

    func takeOver() async throws {
        try await journal.prepare()
        let epoch = try await journal.takeOver(saga.name, as: saga.description)
        place.withLock { $0 = (epoch, 0) }
    }

    func receive() async throws {
        guard !saga.listensTo.isEmpty else { return }
        let (saga, clock, intakes) = (saga, clock, intakes)
        while true {
            let (epoch, scanned) = place.withLock { $0 }
            guard scanned < log.head else { return }
            let page = try await log.events(after: scanned, types: Set(saga.listensTo), limit: 256)
            // What was taken in before is known by its ids.
            try await log.transaction("saga \(saga.name)", as: .engine) { transaction in
                for event in page.events {
                    guard let intake = intakes[event.type] else { continue }
                    let arrival: SagaIntake<State>.Arrival
                    do {
                        arrival = try intake.arrival(event, now: clock.now())
                    } catch {
                        guard saga.parks else { throw error }
                        try SagaJournal.park(event, "\(error)", of: saga.name, at: clock.now(), in: transaction)
                        continue
                    }
                    _ = try intake.take(arrival, of: event, owner: epoch, now: clock.now(), in: transaction)
                }
            }
            place.withLock { $0.scanned = page.scanned }
        }
    }

    func carry(_ moment: (SagaMoment) throws -> Void) async throws -> Bool {
        let due = try await journal.due(saga.name, at: clock.now(), limit: 100).records
        let damaged = due.filter { $0.damage != nil }
        if !damaged.isEmpty {
            let epoch = place.withLock { $0.epoch }
            try await journal.setAside(damaged, of: saga.name, epoch: epoch, now: clock.now())
        }
        for record in due where record.damage == nil { try await carry(record, moment) }
        return !due.isEmpty
    }

    func nextDue() async throws -> Date? {
        try await journal.nextDue(saga.name, after: clock.now())
    }

    private func carry(_ found: SagaRecord, _ moment: (SagaMoment) throws -> Void) async throws {
        let epoch = place.withLock { $0.epoch }
        var carried = CarriedSaga(found, worker, epoch: epoch, isInterrupted: false)
        func write(_ commit: SagaCommit) async throws -> Bool {
            try moment(.beforeCommit)
            let result = try await journal.commit(saga.name, epoch: epoch, now: clock.now(), [commit]).first
            try moment(.afterCommit)
            guard case .written(let record, let hasMessage, _) = result else { return false }
            carried.written(record, hasMessage: hasMessage)
            return true
        }
        if let commit = try carried.resumption(), try await !write(commit) { return }
        if let commit = try carried.intervention(), try await !write(commit) { return }
        if let commit = try carried.givingUp(), try await !write(commit) { return }
        while true {
            var results: [SagaWorker<State>.Result] = []
            for task in carried.due() {
                guard let state = carried.state else { return }
                results.append(try await worker.perform(task, of: carried.record, state))
            }
            if results.isEmpty { return }
            for result in results {
                if let commit = try carried.commit(result), try await !write(commit) { return }
            }
        }
    }
}
