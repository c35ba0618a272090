import DovetailCore
import DovetailEvents
import Foundation

extension SagaRecord {
    /// An instance out of a row of ``SagaTables/columns``, in their order: many are read when a node takes over.
    ///
    /// A row that cannot be read is an instance too, stuck, with ``damage``: one that is broken must not keep others from being found.
    init(_ row: borrowing SQLRow) {
        var damage: [String] = []
        func text(_ index: Int, _ name: String) -> String {
            if case .text(let text) = row[index] { return text }
            damage.append("\(name) is no text")
            return ""
        }
        func optionalText(_ index: Int) -> String? {
            if case .text(let text) = row[index] { return text }
            return nil
        }
        func number(_ index: Int, _ name: String) -> Int64 {
            if case .integer(let number) = row[index] { return number }
            damage.append("\(name) is no number")
            return 0
        }
        func id(_ index: Int, _ name: String) -> UniqueID {
            if let id = UniqueID(text(index, name)) { return id }
            damage.append("\(name) is no id")
            return UniqueID(high: 0, low: 0)
        }
        func date(_ index: Int, _ name: String) -> Date {
            Date(timeIntervalSince1970: Double(number(index, name)) / 1e6)
        }
        let standing = text(3, "status")
        let status = SagaStatus(rawValue: standing)
        if status == nil { damage.append("there is no status '\(standing)'") }
        var progress = SagaProgress()
        do {
            progress = try SagaProgress(text: text(6, "progress"))
        } catch {
            damage.append("progress: \(error)")
        }
        self.init(
            number: number(0, "number"), id: id(1, "id"), saga: text(2, "saga"), status: status ?? .stuck,
            revision: Int(number(4, "revision")), epoch: Int(number(5, "epoch")), progress: progress,
            state: text(7, "state"), dueAt: row[8] == .null ? nil : date(8, "due_at"), problem: optionalText(9),
            request: optionalText(10), parent: optionalText(11), correlationID: text(12, "correlation_id"),
            traceparent: optionalText(13), startedBy: id(14, "started_by"), startedAt: date(15, "started_at"),
            updatedAt: date(16, "updated_at"))
        if !damage.isEmpty { self.damage = damage.joined(separator: ", ") }
    }
}
