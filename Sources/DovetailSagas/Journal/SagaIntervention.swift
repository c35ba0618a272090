import DovetailContracts
import DovetailCore
import DovetailEvents

/// What an operator does to an instance, on record in the log: an event of the topic `$operator.saga-<action>`, with the instance's id as its key.
public struct SagaIntervention: Wire {
    /// What is done.
    public enum Action: String, Wire, CaseIterable {
        /// The tasks that it is stuck at, or waits to try again, are tried at once, with all their attempts.
        case retry
        /// The tasks that it is stuck at count as done, without a result.
        case skip
        /// It turns back, also behind its pivot.
        case compensate
        /// It turns back if it is before its pivot.
        case cancel
    }

    /// What is done.
    public var action: Action
    /// Only to the task at this step; nil: to all.
    public var step: String?
    /// Why, in words.
    public var reason: String?

    /// An intervention.
    public init(_ action: Action, step: String? = nil, reason: String? = nil) {
        self.action = action
        self.step = step
        self.reason = reason
    }

    /// The topics of all that is on record of interventions, signals among them.
    static let topics = Set((Action.allCases.map(\.rawValue) + ["signal"]).map(topic))

    private static func topic(_ action: String) -> String { "$operator.saga-\(action)" }

    /// What is on record.
    struct Record: Wire {
        var action: String
        var saga: String
        var id: UniqueID
        var step: String?
        var reason: String?

        func draft() throws -> EventDraft {
            EventDraft(
                type: SagaIntervention.topic(action), key: id.description, source: "operator",
                data: try JSON.encode(self))
        }
    }

    /// The record that it was done to an instance.
    func draft(of record: SagaRecord) throws -> EventDraft {
        try Record(action: action.rawValue, saga: record.saga, id: record.id, step: step, reason: reason).draft()
    }
}

/// Why an operator's request cannot be carried out.
public struct SagaRefusal: Error, CustomStringConvertible {
    /// What is so, and what to do.
    public let description: String
}
