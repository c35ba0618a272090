import DovetailCore
import DovetailEvents
import Foundation

/// Taking events in: starting instances, and keeping what others wait for.
extension SagaRunner {
    func listen(_ reader: EffectivelyOnceReader, _ group: inout ThrowingTaskGroup<Void, any Error>) {
        group.addTask { try await reader.run() }
        group.addTask {
            var seen = reader.status.scanned
            while true {
                seen = try await reader.waitForProgress(beyond: seen)
                self.arrivals.reach(seen)
                self.wakes.bump(isArrival: true)
            }
        }
    }

    func effect(of event: StoredEvent) -> EffectivelyOnceReader.Effect {
        let (now, position) = (clock.now(), event.position.number)
        guard let intake = intakes[event.type] else {
            // An operator has asked for something, by whatever way: it stands in the journal.
            return { [arrivals] _ in arrivals.note(position, started: nil, isMessage: true) }
        }
        let arrival = Result { try intake.arrival(event, now: now) }
        return { [weak self] transaction in
            guard let self else { throw CancellationError() }
            do {
                arrivals.note(position, started: nil, isMessage: false)
                if case .failure(let error) = arrival {
                    guard try park(event, error, now: now, in: transaction) else { throw error }
                    return
                }
                let taken = try intake.take(
                    try arrival.get(), of: event, owner: epoch.withLock { $0 }, now: now, in: transaction)
                arrivals.note(position, started: taken.started, isMessage: taken.isMessage)
            } catch let error as SagaOwnershipLost {
                lost.advance(to: 1)
                throw error
            }
        }
    }

    /// Whether the reader goes past an event that it cannot read, by the definition or because an operator has said so.
    private func park(
        _ event: StoredEvent, _ error: any Error, now: Date, in transaction: Transaction
    ) throws -> Bool {
        if try SagaJournal.isParked(event.position.number, of: saga.name, in: transaction) { return true }
        guard saga.parks else { return false }
        try SagaJournal.requireOwnership(of: saga.name, epoch.withLock { $0 }, in: transaction)
        try SagaJournal.park(event, "\(error)", of: saga.name, at: now, in: transaction)
        logger.error(
            "a saga has put an event aside that it cannot read",
            metadata: [
                "saga": "\(saga.name)", "position": "\(event.position.number)", "type": "\(event.type)",
                "error": "\(error)",
            ])
        return true
    }

    /// Takes in what was put aside and can be read by now.
    func takeParked() async throws {
        let (name, now, owner) = (saga.name, clock.now(), epoch.withLock { $0 })
        let taken = try await patiently {
            try await journal.takeParked(of: name) { event in
                guard let intake = intakes[event.type], let arrival = try? intake.arrival(event, now: now) else {
                    return nil
                }
                return { _ = try intake.take(arrival, of: event, owner: owner, now: now, in: $0) }
            }
        }
        guard taken > 0 else { return }
        logger.notice(
            "a saga has taken events in that were put aside", metadata: ["saga": "\(name)", "count": "\(taken)"])
    }
}
