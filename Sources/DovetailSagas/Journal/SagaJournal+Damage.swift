import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

extension SagaJournal {
    /// Sets instances aside whose rows cannot be read: each is stuck, and says why; nothing of what its row holds is touched, nor of what it was asked for.
    ///
    /// Others go on. `sagas retry` has an instance looked at again, once a program or a person has made its row readable. Throws ``SagaOwnershipLost`` unless `epoch` owns the saga.
    func setAside(_ damaged: [SagaRecord], of saga: String, epoch: Int, now: Date) async throws {
        try await log.transaction("saga \(saga)", as: .engine) { transaction in
            try SagaJournal.requireOwnership(of: saga, epoch, in: transaction)
            for record in damaged { try SagaJournal.setAside(record, of: saga, epoch, now, in: transaction) }
        }
    }

    private static func setAside(
        _ record: SagaRecord, of saga: String, _ epoch: Int, _ now: Date, in transaction: Transaction
    ) throws {
        let was = try transaction.row(
            String.self, "SELECT status FROM dovetail_saga_instances WHERE number = \(record.number)")
        let problem = Problem("saga-unreadable", status: 500)(
            "its row cannot be read (\(record.damage ?? "")); bring back a program that can, then `sagas retry`")
        let text = String(decoding: try JSON.encode(problem), as: UTF8.self)
        let isSet = try transaction.execute(
            """
            UPDATE dovetail_saga_instances SET status = 'stuck', due_at = NULL, failing_since = NULL, problem = \(text),
                revision = revision + 1, epoch = \(epoch), updated_at = \(now)
            WHERE number = \(record.number)
            """)
        guard isSet == 1 else { return }
        let before = was.flatMap { SagaStatus(rawValue: $0) }
        if before != .stuck {
            if let before { try SagaTables.count(saga, before, by: -1, in: transaction) }
            try SagaTables.count(saga, .stuck, by: 1, in: transaction)
            var told = record
            (told.saga, told.status, told.problem) = (saga, .stuck, text)
            try transaction.append(Append(events: [try notice("$saga.stuck", told)]))
        }
        let revision = try transaction.row(
            Int64.self, "SELECT revision FROM dovetail_saga_instances WHERE number = \(record.number)")
        let line = SagaJournalEntry(
            sequence: (revision ?? 0) * 4096, step: SagaStatus.stuck.rawValue, kind: .finished, outcome: .failed,
            attempt: 1, detail: problem.description, startedAt: now, finishedAt: now)
        try SagaTables.note(line, of: record.number, in: transaction)
    }
}
