import DovetailCQRS
import DovetailEvents
import ServiceLifecycle

/// What a document or a check needs to know of a saga.
public struct SagaDescription: Sendable, Codable {
    /// One step.
    public struct Step: Sendable, Codable {
        /// The step's name.
        public var name: String
        /// Whether it says how it is undone.
        public var canBeUndone: Bool
        /// Whether it is only a pause.
        public var isPause: Bool
        /// Whether it comes after the point of no return.
        public var isAfterPivot: Bool
    }

    /// The saga's name.
    public var name: String
    /// The topic that starts an instance.
    public var startedBy: String
    /// The steps, in order.
    public var steps: [Step]
    /// Whether it says what follows when everything was undone.
    public var concludes: Bool
}

/// A ``Saga`` whose state is not known here.
public protocol AnySaga: Sendable {
    /// What a document needs to know of it.
    var description: SagaDescription { get }

    /// What carries its instances on `log`; commands go through `commands`, events are published for `source`.
    func runner(log: any EventLog, commands: CommandExecutor, source: String) -> any Service
}

extension Saga: AnySaga {
    public var description: SagaDescription {
        SagaDescription(
            name: name, startedBy: trigger.type,
            steps: steps.enumerated().map { index, step in
                var isPause = false
                if case .pause = step.work { isPause = true }
                return .init(
                    name: step.name, canBeUndone: step.undo != nil, isPause: isPause,
                    isAfterPivot: pivotIndex.map { index >= $0 } ?? false)
            }, concludes: compensated != nil)
    }

    public func runner(log: any EventLog, commands: CommandExecutor, source: String) -> any Service {
        SagaRunner(self, log: log, commands: commands, source: source)
    }
}
