import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// What is let go of: instances that have ended, and messages that nobody has waited for. In steps, each a transaction that holds nobody up.
extension SagaJournal {
    /// How many rows a step looks at.
    static let step = 200

    /// On record for each step: how many instances went, and when the last of them had ended.
    struct Removal: Wire {
        var saga: String
        var count: Int
        var endedBefore: Date
    }

    /// Removes the instances of a saga that ended before `date`, with their journals and what was kept for them; returns how many. On record as `$saga.removed`.
    ///
    /// Throws ``SagaOwnershipLost`` unless `epoch` owns the saga.
    @discardableResult
    func removeEnded(of saga: String, before date: Date, epoch: Int) async throws -> Int {
        var total = 0
        while true {
            let removed = try await log.transaction("saga \(saga)", as: .engine) { transaction in
                try SagaJournal.requireOwnership(of: saga, epoch, in: transaction)
                return try SagaJournal.removeStep(of: saga, before: date, in: transaction)
            }
            total += removed
            guard removed == SagaJournal.step else { return total }
            try Task.checkCancellation()
        }
    }

    private static func removeStep(of saga: String, before date: Date, in transaction: Transaction) throws -> Int {
        struct Row: Decodable { var number: Int64, status: String }
        let rows = try transaction.rows(
            Row.self,
            """
            SELECT number, status FROM dovetail_saga_instances
            WHERE saga = \(saga) AND updated_at < \(date) AND status IN ('completed', 'compensated')
            ORDER BY updated_at LIMIT \(step)
            """)
        guard !rows.isEmpty else { return 0 }
        for row in rows {
            try transaction.execute("DELETE FROM dovetail_saga_lines WHERE number = \(row.number)")
            try transaction.execute("DELETE FROM dovetail_saga_instances WHERE number = \(row.number)")
        }
        for (status, rows) in Dictionary(grouping: rows, by: \.status) {
            guard let status = SagaStatus(rawValue: status) else { continue }
            try SagaTables.count(saga, status, by: -rows.count, in: transaction)
        }
        let removal = Removal(saga: saga, count: rows.count, endedBefore: date)
        try transaction.append(
            Append(events: [
                EventDraft(
                    type: "$saga.removed", key: saga, source: "saga:\(saga)", data: try JSON.encode(removal))
            ]))
        return rows.count
    }

    /// Drops messages older than `date` that nobody waits for; what is sent to an instance by its id, as signals and the ends of children, only once it has ended. Returns how many.
    @discardableResult
    func forgetMessages(of saga: String, before date: Date) async throws -> Int {
        struct Row: Decodable, Sendable { var number: Int64, receivedAt: Date }
        var (after, number) = (Date.distantPast, Int64(0))
        var total = 0
        while true {
            let (from, last) = (after, number)
            let step = try await log.transaction("saga \(saga)", as: .engine) { transaction in
                let rows = try transaction.rows(
                    Row.self,
                    """
                    SELECT number, received_at FROM dovetail_saga_messages
                    WHERE saga = \(saga) AND (received_at, number) > (\(from), \(last)) AND received_at < \(date)
                    ORDER BY received_at, number LIMIT \(SagaJournal.step)
                    """)
                var dropped = 0
                for row in rows { dropped += try SagaJournal.forget(row.number, in: transaction) }
                return (dropped: dropped, rows: rows)
            }
            total += step.dropped
            guard step.rows.count == SagaJournal.step, let end = step.rows.last else { return total }
            (after, number) = (end.receivedAt, end.number)
            try Task.checkCancellation()
        }
    }

    private static func forget(_ number: Int64, in transaction: Transaction) throws -> Int {
        try transaction.execute(
            """
            DELETE FROM dovetail_saga_messages WHERE number = \(number)
                AND NOT EXISTS (SELECT 1 FROM dovetail_saga_waits w WHERE w.saga = dovetail_saga_messages.saga
                    AND w.topic = dovetail_saga_messages.topic
                    AND w.message_key = dovetail_saga_messages.message_key)
                AND (topic NOT LIKE '$signal.%' AND topic <> \(SagaMessage.child)
                    OR NOT EXISTS (SELECT 1 FROM dovetail_saga_instances i
                        WHERE i.id = SUBSTR(dovetail_saga_messages.message_key, 1, 36)
                            AND i.status NOT IN ('completed', 'compensated')))
            """)
    }
}
