import DovetailCore
import DovetailEvents
import DovetailPrivacy
import Foundation
import SQLiteBinding
import Synchronization

/// The promises of the embedded engine in memory, for tests and `--dev`: gone with the process.
///
/// Transactions and snapshots run on the caller's thread, one after the other; a body must not use the store that it runs on.
public final class MemoryStore: Sendable {
    /// The log.
    public let log: any EventLog
    /// The keys of personal data.
    public let keys: KeyRing
    private let opened = Mutex<[String: MemoryDatabase]>([:])

    /// An empty store.
    public convenience init() throws { try self.init(clock: { Date() }) }

    /// An empty store that takes the time that events get from `clock`.
    package init(clock: @escaping @Sendable () -> Date) throws {
        let keys = try KeyRing(MemoryKeyStore())
        self.keys = keys
        log = try MemoryLog(clock: clock) { try keys.flush() }
    }

    /// The read models of a module: a database of their own; the same one at every call.
    public func views(module: String) throws -> any Database {
        try opened.withLock { opened -> any Database in
            if let database = opened[module] { return database }
            let database = try MemoryDatabase { [keys] in try keys.flush() }
            opened[module] = database
            return database
        }
    }

    /// Ends the waits for the log's head. For the same surface as a store on disk.
    public func close() async {
        (log as? MemoryLog)?.close()
    }
}
