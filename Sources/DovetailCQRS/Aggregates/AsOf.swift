import DovetailEvents
import Foundation

/// The moment of which a state is asked for.
public enum AsOf: Sendable, Hashable {
    /// As it is.
    case now
    /// As it was when the stream had reached this version.
    case version(Int64)
    /// As it was then, by the times at which the log committed the events.
    case time(Date)

    /// Whether an event had happened by then.
    func includes(_ event: StoredEvent) -> Bool {
        switch self {
        case .now: true
        case .version(let version): (event.stream?.version ?? 0) <= version
        case .time(let date): event.time <= date
        }
    }

    /// Whether all that a snapshot holds had happened by then.
    func includes(_ snapshot: SnapshotStore.Record) -> Bool {
        switch self {
        case .now: true
        case .version(let version): snapshot.version <= version
        case .time(let date): snapshot.time <= date
        }
    }
}
