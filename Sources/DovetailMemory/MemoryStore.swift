import DovetailCore
import DovetailEvents
import DovetailPrivacy
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
    public init() throws {
        log = try MemoryLog()
        keys = try KeyRing(MemoryKeyStore())
    }

    /// The read models of a module: a database of their own; the same one at every call.
    public func views(module: String) throws -> any Database {
        try opened.withLock { opened -> any Database in
            if let database = opened[module] { return database }
            let database = try MemoryDatabase()
            opened[module] = database
            return database
        }
    }

    /// Ends the waits for the log's head. For the same surface as a store on disk.
    public func close() async {
        (log as? MemoryLog)?.close()
    }
}
