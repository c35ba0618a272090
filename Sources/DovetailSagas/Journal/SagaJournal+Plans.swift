import DovetailContracts
import DovetailCore
import DovetailEvents

/// How a saga was defined from an ownership on, until that of the next plan.
public struct SagaKeptPlan: Wire {
    /// The saga.
    public var saga: String
    /// The first ownership that went by it.
    public var epoch: Int
    /// The definition.
    public var plan: SagaDescription
}

/// The definitions that instances have gone by: a line for each that is another than the one before it.
extension SagaJournal {
    /// The definitions that are known of all sagas, in the order of their ownerships. One that cannot be read any more is left out.
    public func plans() async throws -> [SagaKeptPlan] {
        struct Row: Decodable, Sendable { var saga: String, epoch: Int, plan: String }
        let rows = try await log.snapshot { snapshot in
            try snapshot.rows(Row.self, "SELECT saga, epoch, plan FROM dovetail_saga_plans ORDER BY saga, epoch")
        }
        return rows.compactMap { row in
            guard let plan = try? JSON.decode(SagaDescription.self, from: Array(row.plan.utf8)) else { return nil }
            return SagaKeptPlan(saga: row.saga, epoch: row.epoch, plan: plan)
        }
    }

    /// Keeps a definition from an ownership on, unless it is that of the ownership before.
    static func keep(_ plan: String, of saga: String, from epoch: Int, in transaction: Transaction) throws {
        let last = try transaction.row(
            String.self,
            "SELECT plan FROM dovetail_saga_plans WHERE saga = \(saga) ORDER BY epoch DESC LIMIT 1")
        guard last != plan else { return }
        try transaction.execute(
            "INSERT INTO dovetail_saga_plans (saga, epoch, plan) VALUES (\(saga), \(epoch), \(plan))")
    }
}
