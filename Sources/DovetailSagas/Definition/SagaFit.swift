import DovetailContracts
import DovetailCore

/// Whether instances under way can go on under a definition that has changed since they were started.
public struct SagaFit: Sendable, Codable {
    /// An instance that the definition would break, and why.
    public struct Misfit: Sendable, Codable {
        /// The instance.
        public var id: UniqueID
        /// The saga's name.
        public var saga: String
        /// What does not fit, and what to do.
        public var reason: String
    }

    /// How many instances were looked at.
    public private(set) var checked = 0
    /// Those that would break.
    public private(set) var misfits: [Misfit] = []

    /// Looks at instances under way against the program's definitions, and those that they have gone by so far; see ``SagaJournal/plans()``.
    public init(of records: [SagaRecord], under plans: [SagaKeptPlan] = [], in sagas: [any AnySaga]) {
        let kept = Dictionary(grouping: plans, by: \.saga)
        let known = Dictionary(sagas.map { ($0.name, $0) }) { first, _ in first }
        for record in records where !record.status.hasEnded {
            checked += 1
            let reason: String?
            if let saga = known[record.saga] {
                let plan = kept[record.saga]?.filter { $0.epoch <= record.epoch }.max { $0.epoch < $1.epoch }
                reason = saga.misfit(of: record, under: plan?.plan)
            } else {
                reason = "the program has no saga '\(record.saga)' any more; keep it until its instances have ended"
            }
            if let reason { misfits.append(Misfit(id: record.id, saga: record.saga, reason: reason)) }
        }
    }
}

extension Saga {
    public func misfit(of record: SagaRecord, under before: SagaDescription?) -> String? {
        let plan = plan
        let lost = record.progress.tasks.filter { !$0.step.isEmpty && plan.index(of: $0.step) == nil }.map(\.step)
        if let step = lost.first { return "it is at the step '\(step)', which is no more; bring the step back" }
        let unforgiven = record.progress.done.filter { step in
            plan.index(of: step).map { !plan.isUndone($0) } ?? true
        }
        if let step = unforgiven.first {
            return "it has done '\(step)', which nothing undoes any more; bring the step and its undo back"
        }
        let undone = record.progress.tasks.filter { task in
            task.phase == .undo && !(plan.index(of: task.step).map { plan.isUndone($0) } ?? false)
        }
        if let task = undone.first { return "it is undoing '\(task.step)', which has no undo any more; bring it back" }
        let change = SagaPlanChange(from: before, to: description)
        if let reason = change.breakage(of: record.progress) { return reason }
        do {
            _ = try JSON.decode(State.self, from: Array(record.state.utf8))
        } catch {
            return "its state cannot be read any more (\(error)); keep old fields readable, new ones optional"
        }
        return nil
    }
}
