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

    /// Whether nothing more happens at all.
    public var hasEnded: Bool { self == .completed || self == .compensated }
}

/// A saga's instance, as its journal keeps it.
public struct SagaRecord: Sendable, Codable {
    /// Its number in its store, from 1; 0 before it is kept.
    public var number: Int64 = 0
    /// The instance.
    public var id: UniqueID
    /// The saga's name.
    public var saga: String
    /// Where it stands.
    public var status: SagaStatus
    /// How often it has changed; who writes it names the revision that it goes by.
    public var revision = 0
    /// The ownership under which it was last changed.
    public var epoch = 0
    /// How far it is.
    public var progress = SagaProgress()
    /// The state, as JSON.
    public var state: String
    /// When it is to be looked at; nil if only a message or an operator moves it.
    public var dueAt: Date?
    /// Why it turns back, or is stuck: problem details as JSON.
    public var problem: String?
    /// What an operator asks for: an intervention as JSON.
    public var request: String?
    /// The instance and step that it is a child of, as `id/step`.
    public var parent: String?
    /// Names the flow.
    public var correlationID: String
    /// The trace of the event that started it.
    public var traceparent: String?
    /// The event that started it; a child has its parent's.
    public var startedBy: UniqueID
    /// When it was started.
    public var startedAt: Date
    /// When it last changed.
    public var updatedAt: Date
    /// What of its row cannot be read; nil: all can.
    public var damage: String?

    /// The steps that it is at.
    public var steps: [String] { progress.tasks.map { $0.step.isEmpty ? "compensated" : $0.step } }

    /// The journal's first line.
    var firstLine: [SagaJournalEntry] {
        [
            SagaJournalEntry(
                step: "", kind: .started, outcome: .done, attempt: 1, detail: nil, startedAt: startedAt,
                finishedAt: startedAt)
        ]
    }

    /// The journal's last line, if it has come to its end.
    var lastLine: [SagaJournalEntry] {
        guard status.hasEnded else { return [] }
        return [
            SagaJournalEntry(
                sequence: .max, step: status.rawValue, kind: .finished, outcome: .done, attempt: 1, detail: nil,
                startedAt: updatedAt, finishedAt: updatedAt)
        ]
    }

    /// The id of the instance of a saga that an event starts: the same each time.
    ///
    /// It begins as the event's id does, with the time: instances that are under way at one time lie together in the index.
    public static func id(of saga: String, startedBy event: UniqueID) -> UniqueID {
        let hash = UniqueID.derived(from: "saga", saga, event.description)
        return UniqueID(high: event.high & ~0xF000 | 0x8000, low: hash.low)
    }

    /// The id of the child that the instance `parent` runs at `step`: the same each time.
    static func childID(of parent: UniqueID, at step: String) -> UniqueID {
        .derived(from: "saga child", parent.description, step)
    }
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
        /// A wait for an event, a signal, or the end of a child.
        case wait
        /// A lock on a resource.
        case lock
        /// The end of a lock.
        case release
        /// What follows when everything was undone.
        case conclude
        /// An operator intervened.
        case intervention = "operator"
        /// The instance came to its end, or is stuck.
        case finished
    }

    /// What came of it.
    public enum Outcome: String, Sendable, Codable {
        /// It succeeded.
        case done
        /// It began: what it waits for has not come.
        case waiting
        /// It failed and is tried again.
        case retry
        /// It failed for good.
        case failed
        /// It was given up without knowing whether it had an effect.
        case inDoubt
    }

    /// The line's number; rises within an instance.
    public var sequence: Int64 = 0
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

/// What is sent to instances that wait.
enum SagaMessage {
    /// The topic of the end of a child.
    static let child = "$child"

    /// The topic of a signal.
    static func signal(_ name: String) -> String { "$signal.\(name)" }

    /// The topic of the answer to who asks for a resource; there is no message, its place in the queue says it.
    static func lock(_ resource: String) -> String { "$lock.\(resource)" }

    /// How a child has ended, as it is told to its parent.
    struct ChildEnd: Codable {
        var status: SagaStatus
        var state: String
        var problem: Problem?
    }
}
