import Crypto
import DovetailContracts
import DovetailCore
import Foundation
import Synchronization

/// The keys of subjects at work: seals and opens personal values with AES-256-GCM, a key for each subject.
///
/// Keys are drawn when a subject is first met and held in memory, a bounded number of them. A key that was drawn is written by ``flush()``, which a store calls before it commits, so that
/// nothing is kept that cannot be read after a crash, and many new subjects share one write.
public final class KeyRing: PersonalVault {
    private struct Held {
        let subject: String
        let key: SymmetricKey
    }

    private struct State {
        var keys: [UniqueID: Held] = [:]
        /// The key that seals what is new of a subject.
        var current: [String: UniqueID] = [:]
        /// Keys that are not durable yet.
        var unwritten: [UniqueID: SubjectKey] = [:]
        var forgettings = 0
        var observers: [@Sendable (String) -> Void] = []
    }

    /// Where the keys are kept.
    public let store: any SubjectKeyStore
    private let master: MasterKey?
    private let limit: Int
    private let state = Mutex(State())
    /// One writes at a time, so that who waits for a write finds it done.
    private let writing = Mutex(())

    private var lock: String { master?.mark ?? MasterKey.none }

    /// The keys in `store`, locked with `master` there, of which about `limit` are held in memory.
    ///
    /// Keys that are not locked yet, or with one of `previous`, are locked anew. Throws ``PersonalDataError`` `wrongMasterKey` if they are locked with another.
    public init(
        _ store: any SubjectKeyStore, master: MasterKey? = nil, previous: [MasterKey] = [], limit: Int = 10_000
    ) throws {
        self.store = store
        self.master = master
        self.limit = limit
        guard let found = try store.lock(), found != lock else { return }
        let before = previous.first { $0.mark == found }
        guard before != nil || found == MasterKey.none else {
            throw PersonalDataError(.wrongMasterKey, store.name)
        }
        try store.relock(lock) { key in
            var key = key
            let secret = try before?.unlock(key) ?? key.secret
            key.secret = try master?.lock(secret, key) ?? secret
            return key
        }
        try store.overwrite()
    }

    // MARK: Values

    public func seal(_ bytes: [UInt8], of subject: String) throws -> SealedText {
        let (id, key) = try state.withLock { try current(of: subject, &$0) }
        return try SealedText(of: subject, key: id) { header in
            let box = try AES.GCM.seal(bytes, using: key, authenticating: header)
            return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
        }
    }

    public func open(_ sealed: SealedText) throws -> [UInt8]? {
        let held = try state.withLock { try find(sealed.key, &$0) }
        guard let held else {
            if try store.forgotten(sealed.subject) != nil { return nil }
            throw PersonalDataError(.keyMissing, sealed.subject)
        }
        guard held.subject == sealed.subject, let box = try? AES.GCM.SealedBox(combined: sealed.bytes),
            let bytes = try? AES.GCM.open(box, using: held.key, authenticating: sealed.header)
        else { throw PersonalDataError(.tampered, sealed.subject) }
        return Array(bytes)
    }

    public func isForgotten(_ subject: String) throws -> Bool {
        // Who has a key is not.
        if state.withLock({ $0.current[subject] != nil }) { return false }
        return try store.forgotten(subject) != nil
    }

    // MARK: Keys

    private func current(of subject: String, _ state: inout State) throws -> (UniqueID, SymmetricKey) {
        if let id = state.current[subject], let held = state.keys[id] { return (id, held.key) }
        if let found = try store.newestKey(of: subject) {
            let held = try hold(found, &state)
            state.current[subject] = found.id
            return (found.id, held.key)
        }
        guard try store.forgotten(subject) == nil else { throw PersonalDataError(.subjectForgotten, subject) }
        let key = SymmetricKey(size: .bits256)
        let id = try draw(.v7(), subject, key.withUnsafeBytes { Array($0) }, &state)
        state.current[subject] = id
        return (id, key)
    }

    private func find(_ id: UniqueID, _ state: inout State) throws -> Held? {
        if let held = state.keys[id] { return held }
        return try store.key(id).map { try hold($0, &state) }
    }

    private func hold(_ key: SubjectKey, _ state: inout State) throws -> Held {
        guard let secret = try? master?.unlock(key) ?? key.secret, secret.count == 32 else {
            throw PersonalDataError(.wrongMasterKey, store.name)
        }
        let held = Held(subject: key.subject, key: SymmetricKey(data: secret))
        makeRoom(&state)
        state.keys[key.id] = held
        return held
    }

    private func draw(
        _ id: UniqueID, _ subject: String, _ secret: [UInt8], _ state: inout State
    ) throws -> UniqueID {
        var key = SubjectKey(id: id, subject: subject, secret: [], createdAt: .now.toTheMicrosecond)
        key.secret = try master?.lock(secret, key) ?? secret
        makeRoom(&state)
        state.keys[id] = Held(subject: subject, key: SymmetricKey(data: secret))
        state.unwritten[id] = key
        return id
    }

    /// Lets go of all that the store has, when it is too much: what is needed again is read again.
    private func makeRoom(_ state: inout State) {
        guard state.keys.count >= limit else { return }
        state.keys = state.keys.filter { state.unwritten[$0.key] != nil }
        state.current = state.current.filter { state.unwritten[$0.value] != nil }
    }

    /// Makes durable all keys that were drawn before the call. Blocks for that time; at once if there are none.
    public func flush() throws {
        guard state.withLock({ !$0.unwritten.isEmpty }) else { return }
        try writing.withLock { _ in
            let keys = state.withLock { Array($0.unwritten.values) }
            guard !keys.isEmpty else { return }
            try store.add(keys, lock: lock)
            state.withLock { state in for key in keys { state.unwritten[key.id] = nil } }
        }
    }

    // MARK: Forgetting

    public var forgettings: Int { state.withLock { $0.forgettings } }

    /// Calls `observer` with each subject that is forgotten from now on: to drop what is held of it in memory.
    public func onForgetting(_ observer: @escaping @Sendable (String) -> Void) {
        state.withLock { $0.observers.append(observer) }
    }

    /// Forgets a subject: its keys are gone from memory and disk when this returns. Once more, it changes nothing.
    ///
    /// Blocks for the time of a write. The log is told by ``Privacy``. Throws what the store throws; the subject is then not forgotten, or forgotten and not said to be.
    @discardableResult
    public func forget(_ subject: String, reason: String?) throws -> ForgottenSubject {
        let forgotten = try remove(subject, reason: reason, announced: false)
        try store.overwrite()
        return forgotten
    }

    /// Removes the keys of a subject of which the log was `announced` to know: nothing is read any more, and the store has still to overwrite them.
    @discardableResult
    func remove(_ subject: String, reason: String?, announced: Bool) throws -> ForgottenSubject {
        let (forgotten, observers) = try writing.withLock { _ in
            try state.withLock { state in
                let forgotten = try store.forget(
                    ForgottenSubject(subject, at: .now.toTheMicrosecond, reason: reason), announced: announced)
                state.keys = state.keys.filter { $0.value.subject != subject }
                state.unwritten = state.unwritten.filter { $0.value.subject != subject }
                state.current[subject] = nil
                state.forgettings += 1
                return (forgotten, state.observers)
            }
        }
        for observer in observers { observer(subject) }
        return forgotten
    }

    // MARK: Fellow nodes

    public func share(_ sealed: [SealedText]) throws -> SharedKeys {
        var shared = SharedKeys(keys: [], forgotten: [])
        var seen: Set<UniqueID> = []
        for one in sealed where seen.insert(one.key).inserted {
            if let held = try state.withLock({ try find(one.key, &$0) }) {
                shared.keys.append(
                    .init(id: one.key, subject: held.subject, secret: held.key.withUnsafeBytes { Array($0) }))
            } else if try store.forgotten(one.subject) != nil, !shared.forgotten.contains(one.subject) {
                shared.forgotten.append(one.subject)
            }
        }
        return shared
    }

    public func take(_ shared: SharedKeys) throws {
        try state.withLock { state in
            for key in shared.keys where key.secret.count == 32 {
                guard try find(key.id, &state) == nil, try store.forgotten(key.subject) == nil else { continue }
                _ = try draw(key.id, key.subject, key.secret, &state)
            }
        }
        for subject in shared.forgotten where try store.forgotten(subject) == nil {
            // Who forgot first tells the log, and the log tells all.
            try remove(subject, reason: "another node has forgotten it", announced: true)
        }
        // Also what an attempt before has removed and could not overwrite.
        if !shared.forgotten.isEmpty { try store.overwrite() }
    }
}

extension Date {
    /// As it is kept.
    fileprivate var toTheMicrosecond: Date {
        Date(timeIntervalSince1970: (timeIntervalSince1970 * 1e6).rounded(.down) / 1e6)
    }
}
