import DovetailCore
import DovetailEvents
import DovetailPrivacy
import Foundation
import Synchronization

/// The embedded engine: a log in a SQLite file, and beside it a file of read models for each module.
///
/// One process has a store open at a time. Every change goes through one thread that commits requests in groups, so the cost of an fsync is shared;
/// reads run beside it on threads of their own. A call that returned has reached the ``Durability`` of the options.
public final class SQLiteStore: Sendable {
    /// How a store is kept; the defaults are for production.
    public struct Options: Sendable {
        /// What the log promises: ``Durability/disk`` (an fsync for each group), or ``Durability/operatingSystem``, which a power loss may cost the last moments.
        public var durability: Durability
        /// How many requests may wait for the writer before `overloaded` is thrown.
        public var maximumWaitingRequests: Int
        /// How many bytes of them.
        public var maximumWaitingBytes: Int
        /// The pages in the write-ahead log after which they are moved into the database; 1,000–2,000 keep the pause short.
        public var checkpointPages: Int
        /// Bytes held back on the disk, given up when it is full so that acknowledgements and checkpoints still find room.
        public var ballastBytes: Int
        /// Threads that read the log.
        public var readers: Int
        /// What locks the keys of personal data; nil: they lie in their file as they are.
        public var masterKey: MasterKey?
        /// What may have locked them before: they are locked anew then.
        public var previousMasterKeys: [MasterKey] = []
        /// Makes durable what a commit rests on.
        var beforeCommit: (@Sendable () throws -> Void)?
        /// Tells the time that events get; a clock that jumps, for tests.
        package var clock: @Sendable () -> Date = { Date() }
        /// The pages that the database may have: a full disk, for tests.
        package var maximumPages: Int?

        /// The defaults.
        public init(
            durability: Durability = .disk, maximumWaitingRequests: Int = 8192, maximumWaitingBytes: Int = 64 << 20,
            checkpointPages: Int = 1500, ballastBytes: Int = 32 << 20, readers: Int = 2
        ) {
            self.durability = durability
            self.maximumWaitingRequests = maximumWaitingRequests
            self.maximumWaitingBytes = maximumWaitingBytes
            self.checkpointPages = checkpointPages
            self.ballastBytes = ballastBytes
            self.readers = readers
        }
    }

    /// The log.
    public let log: any EventLog
    /// The keys of personal data, in a file beside the log's: `<log>.keys`, made with the first of them. Backups do not hold it.
    public let keys: KeyRing
    private let keyStore: SQLiteKeyStore
    private let database: SQLiteDatabase
    private let path: String
    private let folder: String
    private let options: Options
    private let lock: StoreLock
    private let opened = Mutex<[String: SQLiteDatabase]>([:])
    private let isClosed = Mutex(false)

    /// Opens the store whose log is the file at `path`, and makes it, with its folder, if it is not there.
    ///
    /// Blocks for the time that takes. Throws ``LogError``: `locked` if another process has it open, `readOnly` if the folder or its files cannot be
    /// written, `unreadable` if the file is damaged, no store, or of a newer version, `storeFull` if there is no space.
    public static func open(_ path: String, options: Options = Options()) throws -> SQLiteStore {
        try SQLiteStore(path: path, options: options)
    }

    private init(path: String, options: Options) throws {
        let file = URL(fileURLWithPath: path)
        self.path = file.path
        folder = file.deletingLastPathComponent().path
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw LogError(
                .readOnly, folder,
                "the folder cannot be made (\(error.localizedDescription)); check its path and permissions")
        }
        lock = try StoreLock(path: file.path + ".lock")
        let ballast = Ballast(path: file.path + ".ballast", bytes: options.ballastBytes)
        // Without room for it the store still opens: what it holds can be read, and the first commit says what is wrong.
        _ = ballast.restore()
        keyStore = try SQLiteKeyStore(path: file.path + ".keys")
        let keys = try KeyRing(keyStore, master: options.masterKey, previous: options.previousMasterKeys)
        self.keys = keys
        var options = options
        options.beforeCommit = { try keys.flush() }
        self.options = options
        let settings = Writer.Settings(
            path: file.path, durability: options.durability, isLog: true, options: options, ballast: ballast)
        database = try SQLiteDatabase(settings, readers: max(1, options.readers))
        guard let identity = database.identity else {
            throw LogError(.unreadable, file.path, "its id is missing; restore it from a backup")
        }
        log = SQLiteLog(database, identity: identity, durability: options.durability)
    }

    /// The read models of a module: a database of their own, `views/<module>.db` beside the log's file.
    ///
    /// It survives a crash of the process; a power loss may set it back, together with the cursors in it, and it then catches up from the log. The
    /// same database at every call. Throws ``LogError`` as ``open(_:options:)`` does.
    public func views(module: String) throws -> any Database {
        try opened.withLock { opened -> any Database in
            if let database = opened[module] { return database }
            guard !isClosed.withLock({ $0 }) else { throw LogError(.stopped, folder, "the store was shut down") }
            let isName =
                !module.isEmpty
                && module.utf8.allSatisfy { character in
                    switch character {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }
            guard isName else {
                throw LogError(
                    .statement, module, "a module's name has letters, digits, - and _ only: a file is named after it")
            }
            let views = folder + "/views"
            do {
                try FileManager.default.createDirectory(atPath: views, withIntermediateDirectories: true)
            } catch {
                throw LogError(
                    .readOnly, views, "the folder cannot be made (\(error.localizedDescription)); check its permissions"
                )
            }
            let settings = Writer.Settings(
                path: "\(views)/\(module).db", durability: .operatingSystem, isLog: false, options: options,
                ballast: nil)
            let database = try SQLiteDatabase(settings, readers: 1)
            opened[module] = database
            return database
        }
    }

    /// How long the log's commits take.
    public var times: StoreTimes { database.writer.times.value }

    /// Copies log and read models, each as it is at one moment, into a new folder, while the store is at work.
    ///
    /// Commits go on; the write-ahead log grows meanwhile by what they write. The backup is on the disk when this returns, and not there at all if it throws. The copy runs on
    /// a thread of its own, to its end also when the task is cancelled. Throws ``LogError``.
    public func backUp(
        into folder: String, progress: @escaping @Sendable (StoreProgress) -> Void = { _ in }
    ) async throws -> BackupManifest {
        let path = path
        let writers = [database.writer] + opened.withLock { $0.values.map(\.writer) }
        for writer in writers { writer.readersAreSlow.withLock { $0 += 1 } }
        defer { for writer in writers { writer.readersAreSlow.withLock { $0 -= 1 } } }
        return try await onThread("dovetail-backup") { try Backup.take(of: path, into: folder, progress: progress) }
    }

    /// Copies the keys of personal data, as they are at this moment, into a new file at `path`, for the disaster in which their own is lost.
    ///
    /// Who is forgotten later is not in it: the log tells, and a store that is opened with the copy forgets them before it serves. Keep it apart from the log's backups. Throws ``LogError``.
    public func backUpKeys(to path: String) async throws {
        let keyStore = keyStore
        try await onThread("dovetail-keys") { try keyStore.copy(to: path) }
    }

    /// Makes a store at `path` of a backup. Its log begins a new life: positions of before the restore are refused from now on, not mistaken for others.
    ///
    /// Read models that are in the backup go on from it. Throws ``LogError``: `readOnly` if there is a store already, `unreadable` if the folder is no backup.
    public static func restore(
        _ folder: String, to path: String, progress: @escaping @Sendable (StoreProgress) -> Void = { _ in }
    ) async throws -> BackupManifest {
        try await onThread("dovetail-restore") { try Backup.restore(folder, to: path, progress: progress) }
    }

    /// Takes in nothing more, finishes what was accepted, and closes the files.
    public func close() async {
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        for views in opened.withLock({ Array($0.values) }) { await views.close() }
        await database.close()
        keyStore.close()
        lock.release()
    }
}

/// Runs work that blocks on a thread of its own.
private func onThread<Value: Sendable>(
    _ name: String, _ work: @escaping @Sendable () throws -> Value
) async throws -> Value {
    let ticket = Ticket<Value>()
    let thread = Thread { ticket.fulfil(Result(catching: work)) }
    thread.name = name
    thread.stackSize = 2 << 20
    thread.start()
    return try await ticket.value
}
