import DovetailCore
import DovetailEvents
import Foundation

extension SagaIntervention {
    /// What is asked of an instance, the first first, as its row keeps it: one intervention, or several.
    static func requests(_ text: String) throws -> [SagaIntervention] {
        let bytes = Array(text.utf8)
        if bytes.first == UInt8(ascii: "[") { return try JSON.decode([SagaIntervention].self, from: bytes) }
        return [try JSON.decode(SagaIntervention.self, from: bytes)]
    }
}

extension SagaTables {
    /// Asks an instance for something, behind what it was asked for before; nothing if there is none, or it has ended.
    ///
    /// What was asked before is not replaced, nor does it stand in the way: a parent that has turned back asks once.
    static func ask(
        _ intervention: SagaIntervention, of id: UniqueID, now: Date, in transaction: Transaction
    ) throws {
        guard let record = try instance(id, in: transaction), !record.status.hasEnded else { return }
        try ask(intervention, of: record, now: now, in: transaction)
    }

    /// The same, of an instance that was just read, and has not ended.
    static func ask(
        _ intervention: SagaIntervention, of record: SagaRecord, now: Date, in transaction: Transaction
    ) throws {
        let all = try (record.request.map { try SagaIntervention.requests($0) } ?? []) + [intervention]
        let text = String(decoding: try all.count == 1 ? JSON.encode(intervention) : JSON.encode(all), as: UTF8.self)
        try transaction.execute(
            "UPDATE dovetail_saga_instances SET request = \(text), due_at = \(now) WHERE number = \(record.number)")
    }
}
