import DovetailCore
import DovetailEvents
import Foundation

/// What is due by a clock that was set back: steps, pauses between attempts, messages. Timers and time-outs are dates, and stay as they are.
extension SagaRunner {
    /// When the log's last event was committed; nil if it has none, or that cannot be read.
    func lastDate() async -> Date? {
        let head = log.head
        guard head > 0 else { return nil }
        return try? await log.events(after: head - 1, types: nil, limit: 1).events.last?.time
    }

    /// Brings instances to the present date that were to be looked at by a later one, besides those of `active` numbers: they are carried, and come to it afterwards.
    func catchUp(_ now: Date, setBackBy back: Duration, besides active: Set<Int64>) async throws {
        logger.warning(
            "the clock was set back: what a saga was about to do is done by the new time",
            metadata: ["saga": "\(saga.name)", "seconds": "\(back.inSeconds)"])
        let horizon = now.addingTimeInterval((back + machine.plan.longestPause).inSeconds + 1)
        var place = (date: now, number: Int64.max)
        while true {
            let after = place
            let found = try await patiently {
                try await journal.due(saga.name, after: after, until: horizon, limit: SagaJournal.step)
            }
            try await catchUp(now, found.filter { !active.contains($0.number) })
            guard found.count == SagaJournal.step, let last = found.last, let date = last.dueAt else { return }
            place = (date, last.number)
        }
    }

    /// The same with one instance, which was carried when the clock was set back, and is not any more.
    func catchUp(_ now: Date, _ number: Int64) async throws {
        let record = try await patiently { try await log.snapshot { try SagaTables.instance(number, in: $0) } }
        if let record { try await catchUp(now, [record]) }
    }

    private func catchUp(_ now: Date, _ records: [SagaRecord]) async throws {
        let owner = epoch.withLock { $0 }
        let commits = try records.filter { $0.damage == nil && !$0.status.hasEnded }.compactMap { record in
            try machine.caughtUp(record, now: now).map { move in
                try SagaCommit(before: record, move: move, answersRequest: false) { [machine] record, requests in
                    machine.intervene(record, requests, now: now)
                }
            }
        }
        guard !commits.isEmpty else { return }
        try await patiently { _ = try await journal.commit(saga.name, epoch: owner, now: now, commits) }
    }
}
