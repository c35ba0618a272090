import DovetailCore
import Foundation

/// Why a log, or a database beside it, could not do what was asked.
public struct LogError: ClassifiedFailure, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Code: String, Sendable {
        /// A stream is not at the version that the append expected; nothing was written.
        case versionConflict
        /// The stream was deleted and takes no more events; nothing was written.
        case streamDeleted
        /// The stream was deleted for good: it takes no more events, and cannot be restored; nothing was written.
        case streamTombstoned
        /// The writer's mailbox is full; nothing was written.
        case overloaded
        /// The disk is full; nothing was written, and publishing resumes by itself when there is space again.
        case storeFull
        /// The disk failed while committing: whether the write lasted is not known. The same event ids may be sent again.
        case outcomeUnknown
        /// The store stopped after a failure, or was shut down; a restart is needed.
        case stopped
        /// Another process has the store open.
        case locked
        /// The store cannot be read: it is damaged, from a newer version, or not a store.
        case unreadable
        /// The store's folder or file does not let itself be written.
        case readOnly
        /// A statement failed: syntax, a constraint, a type.
        case statement
        /// The statement is not the module's to make: transaction control, ATTACH, PRAGMA, the engine's own tables.
        case forbidden
        /// A position is of another log or epoch, or lies ahead of this log.
        case foreignPosition
        /// The wait for a position took too long.
        case notReached
    }

    /// What kind of failure it is.
    public var code: Code
    /// The store, stream or statement concerned.
    public var subject: String
    /// What happened and what to do, in a sentence.
    public var message: String

    /// A failure.
    public init(_ code: Code, _ subject: String, _ message: String) {
        self.code = code
        self.subject = subject
        self.message = message
    }

    /// The refusal of an append to a deleted stream.
    package static func streamDeleted(_ name: String, at date: Date) -> LogError {
        LogError(
            .streamDeleted, name,
            "it was deleted at \(Timestamp.text(date) ?? "a time before") and takes no more events; use another id, or restore the stream"
        )
    }

    /// The refusal of whatever is asked of a stream that was deleted for good.
    package static func streamTombstoned(_ name: String, at date: Date) -> LogError {
        LogError(
            .streamTombstoned, name,
            "it is deleted for good since \(Timestamp.text(date) ?? "a time before"): it takes no more events and cannot be restored; use another id"
        )
    }

    public var failureKind: FailureKind {
        switch code {
        case .overloaded, .storeFull, .stopped, .locked, .notReached: .transient
        case .outcomeUnknown: .inDoubt
        default: .permanent
        }
    }

    /// Whether the same may go well later, as long as the process lives: not with a store that has stopped, or a place that is of another log.
    package var mayPass: Bool { code != .stopped && code != .foreignPosition }

    public var description: String { "\(subject): \(message) (\(code.rawValue))" }
}
