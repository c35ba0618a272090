import DovetailCore
import DovetailEvents
import Foundation

extension SagaRecord {
    /// An instance out of a row of ``SagaTables/columns``, in their order: many are read when a node takes over.
    init(_ row: borrowing SQLRow) throws {
        func text(_ index: Int) throws -> String {
            guard case .text(let text) = row[index] else { throw SagaRecord.damaged(row[0]) }
            return text
        }
        func optionalText(_ index: Int) -> String? {
            if case .text(let text) = row[index] { return text }
            return nil
        }
        func number(_ index: Int) throws -> Int64 {
            guard case .integer(let number) = row[index] else { throw SagaRecord.damaged(row[0]) }
            return number
        }
        func date(_ index: Int) throws -> Date {
            Date(timeIntervalSince1970: Double(try number(index)) / 1e6)
        }
        guard let id = UniqueID(try text(1)), let status = SagaStatus(rawValue: try text(3)),
            let startedBy = UniqueID(try text(14))
        else { throw SagaRecord.damaged(row[0]) }
        self.init(
            number: try number(0), id: id, saga: try text(2), status: status, revision: Int(try number(4)),
            epoch: Int(try number(5)), progress: try JSON.decode(SagaProgress.self, from: Array(try text(6).utf8)),
            state: try text(7), dueAt: row[8] == .null ? nil : try date(8), problem: optionalText(9),
            request: optionalText(10), parent: optionalText(11), correlationID: try text(12),
            traceparent: optionalText(13), startedBy: startedBy, startedAt: try date(15), updatedAt: try date(16))
    }

    private static func damaged(_ number: SQLValue) -> LogError {
        LogError(.unreadable, "dovetail_saga_instances", "the row \(number) is none of a saga; verify the store")
    }
}
