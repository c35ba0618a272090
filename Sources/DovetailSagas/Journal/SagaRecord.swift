import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// Where a saga's instance stands.
public enum SagaStatus: String, Sendable, Codable, CaseIterable {
    /// Going forward.
    case running
    /// Undoing what was done.
    case compensating
    /// All steps are done.
    case completed
    /// Everything done was undone.
    case compensated
    /// It can go neither forward nor back; an operator has to look.
    case stuck

    /// Whether nothing more happens by itself.
    public var isFinal: Bool { self == .completed || self == .compensated || self == .stuck }
}

/// A saga's instance, as its journal keeps it.
public struct SagaRecord: Sendable, Codable {
    /// The instance.
    public var id: UniqueID
    /// The saga's name.
    public var saga: String
    /// Where it stands.
    public var status: SagaStatus
    /// The step that comes next; going back, the step that is undone next.
    public var step: Int
    /// How often that step was carried out without success.
    public var attempts: Int
    /// Whether any of those attempts may have had an effect.
    public var inDoubt: Bool
    /// The state, as JSON.
    public var state: String
    /// When the step is due.
    public var dueAt: Date
    /// Why it turns back, or is stuck: problem details as JSON.
    public var problem: String?
    /// Names the flow.
    public var correlationID: String
    /// The trace of the event that started it.
    public var traceparent: String?
    /// The event that started it.
    public var startedBy: UniqueID
    /// When it was started.
    public var startedAt: Date
    /// When it last changed.
    public var updatedAt: Date
}

/// One line of an instance's journal: something that was done, undone, or failed.
public struct SagaJournalEntry: Sendable, Codable {
    /// What was done.
    public enum Kind: String, Sendable, Codable {
        /// The instance began.
        case started
        /// The step's action.
        case action = "do"
        /// The step's undo.
        case undo
        /// A timer.
        case pause
        /// What follows when everything was undone.
        case conclude
        /// The instance came to its end.
        case finished
    }

    /// What came of it.
    public enum Outcome: String, Sendable, Codable {
        /// It succeeded.
        case done
        /// It failed and is tried again.
        case retry
        /// It failed for good.
        case failed
        /// It was given up without knowing whether it had an effect.
        case inDoubt
    }

    /// The line's number, from 1.
    public var sequence: Int
    /// The step's name; the final status for ``Kind/finished``.
    public var step: String
    /// What was done.
    public var kind: Kind
    /// What came of it.
    public var outcome: Outcome
    /// The attempt's number.
    public var attempt: Int
    /// The error, where there was one.
    public var detail: String?
    /// When it began.
    public var startedAt: Date
    /// When it was over.
    public var finishedAt: Date
}
