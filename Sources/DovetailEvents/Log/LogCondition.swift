import Synchronization

/// Whether a log takes in what it is given.
public enum LogCondition: Sendable {
    /// It does.
    case open
    /// The disk is full: publishing is refused until there is space again, and then resumes by itself.
    case full
    /// It has stopped, for this reason; a restart is needed.
    case stopped(LogError)
}

/// A log's condition, set by its writer and read by all.
package final class ConditionCell: Sendable {
    private let value = Mutex(LogCondition.open)

    package init() {}

    package var condition: LogCondition { value.withLock { $0 } }

    /// Changes it; who has stopped stays so.
    package func set(_ condition: LogCondition) {
        value.withLock { value in
            if case .stopped = value { return }
            value = condition
        }
    }
}
