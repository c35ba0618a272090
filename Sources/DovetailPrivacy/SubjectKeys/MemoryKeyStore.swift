import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Keys in memory, gone with the process: for stores that are.
public final class MemoryKeyStore: SubjectKeyStore {
    private struct State {
        var keys: [UniqueID: SubjectKey] = [:]
        var forgotten: [String: ForgottenSubject] = [:]
        var unannounced: Set<String> = []
        var lock: String?
        var place: LogPosition?

        func status(of subject: String) -> SubjectStatus? {
            let keys = keys.values.filter { $0.subject == subject }
            guard !keys.isEmpty || forgotten[subject] != nil else { return nil }
            return SubjectStatus(
                subject: subject, keys: keys.count, since: keys.map(\.createdAt).min(), forgotten: forgotten[subject])
        }
    }

    private let state = Mutex(State())
    public let name = "memory"

    /// No keys.
    public init() {}

    public func lock() -> String? { state.withLock { $0.lock } }

    public func relock(_ lock: String, _ change: (SubjectKey) throws -> SubjectKey) throws {
        try state.withLock { state in
            state.keys = try state.keys.mapValues(change)
            state.lock = lock
        }
    }

    public func newestKey(of subject: String) -> SubjectKey? {
        state.withLock { state in
            state.keys.values.filter { $0.subject == subject }.max { $0.createdAt < $1.createdAt }
        }
    }

    public func key(_ id: UniqueID) -> SubjectKey? { state.withLock { $0.keys[id] } }

    public func add(_ keys: [SubjectKey], lock: String) {
        state.withLock { state in
            state.lock = state.lock ?? lock
            for key in keys where state.forgotten[key.subject] == nil && state.keys[key.id] == nil {
                state.keys[key.id] = key
            }
        }
    }

    public func forgotten(_ subject: String) -> ForgottenSubject? { state.withLock { $0.forgotten[subject] } }

    public func forget(_ subject: ForgottenSubject, announced: Bool) -> ForgottenSubject {
        state.withLock { state in
            state.keys = state.keys.filter { $0.value.subject != subject.subject }
            if let known = state.forgotten[subject.subject] { return known }
            state.forgotten[subject.subject] = subject
            if !announced { state.unannounced.insert(subject.subject) }
            return subject
        }
    }

    /// What is removed from memory is nowhere.
    public func overwrite() {}

    public func unannounced() -> [ForgottenSubject] {
        state.withLock { state in state.unannounced.compactMap { state.forgotten[$0] } }
    }

    public func announced(_ subject: String) { state.withLock { _ = $0.unannounced.remove(subject) } }

    public func status(of subject: String) -> SubjectStatus? { state.withLock { $0.status(of: subject) } }

    public func subjects(after subject: String, limit: Int) -> [SubjectStatus] {
        state.withLock { state in
            Set(state.keys.values.map(\.subject)).union(state.forgotten.keys).filter { $0 > subject }.sorted()
                .prefix(limit).compactMap { state.status(of: $0) }
        }
    }

    public func place() -> LogPosition? { state.withLock { $0.place } }

    public func keep(_ place: LogPosition) { state.withLock { $0.place = place } }
}
