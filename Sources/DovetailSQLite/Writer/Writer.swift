import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Logging
import SQLiteBinding
import Synchronization

/// One thread with one connection that makes every change to a database.
final class Writer: Sendable {
    /// How a writer's database is kept.
    struct Settings: Sendable {
        let path: String
        let durability: Durability
        let isLog: Bool
        let options: SQLiteStore.Options
        let ballast: Ballast?
    }

    let mailbox: Mailbox
    /// The log's head; 0 in a database that is no log.
    let head = Watermark(0)
    let condition = ConditionCell()
    /// How many read at length, as a backup: the writer does not wait for them.
    let readersAreSlow = Mutex(0)
    let times = CommitTimes()
    private let settings: Settings
    private let finished = Ticket<Void>()

    private init(_ settings: Settings) {
        self.settings = settings
        mailbox = Mailbox(
            settings.path, limit: (settings.options.maximumWaitingRequests, settings.options.maximumWaitingBytes))
    }

    /// Opens the database on a new thread and starts to serve; returns once it is open, with the log's id.
    static func start(_ settings: Settings) throws -> (writer: Writer, identity: (log: UniqueID, epoch: Int)?) {
        let writer = Writer(settings)
        let opened = Mutex<Result<(log: UniqueID, epoch: Int)?, any Error>?>(nil)
        let ready = DispatchSemaphore(value: 0)
        let thread = Thread {
            do {
                let core = try WriterCore(
                    settings, head: writer.head, condition: writer.condition, times: writer.times
                ) {
                    writer.readersAreSlow.withLock { $0 > 0 }
                }
                opened.withLock { $0 = .success(core.identity) }
                ready.signal()
                writer.serve(core)
            } catch {
                opened.withLock { $0 = .failure(error) }
                ready.signal()
            }
            writer.finished.fulfil(.success(()))
        }
        thread.name = "dovetail-writer"
        thread.stackSize = 2 << 20
        thread.start()
        ready.wait()
        guard let identity = try opened.withLock({ $0 })?.get() else { return (writer, nil) }
        return (writer, identity)
    }

    private func serve(_ core: WriterCore) {
        var backlog = RequestQueue()
        while true {
            if backlog.isEmpty {
                guard let requests = mailbox.wait(atMost: core.idleTime) else { break }
                if requests.isEmpty {
                    core.idle()
                    continue
                }
                backlog.fill(requests)
            }
            if let failure = core.run(&backlog, from: mailbox) {
                condition.set(.stopped(failure))
                mailbox.close(failure)
                head.fail(failure)
                for request in backlog.removeAll() + mailbox.takeAll() { request.fail(failure) }
                return
            }
        }
        core.close()
    }

    /// Takes in nothing more, runs what was accepted, checkpoints and closes.
    func close() async {
        let error = LogError(.stopped, settings.path, "it was shut down")
        mailbox.close(error)
        _ = try? await finished.value
        condition.set(.stopped(error))
        head.fail(error)
    }

    /// Hands a closure over and waits for its outcome; waits for room first.
    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        let work = Work(label, role: role, context: CallContext.current, body: PersonalData.carried(body))
        try await put(.closure(work))
        return try await withTaskCancellationHandler {
            try await work.ticket.value
        } onCancel: {
            work.cancel()
        }
    }

    /// Puts a request in once there is room.
    private func put(_ request: Request) async throws {
        try Task.checkCancellation()
        while !(try mailbox.offer(request)) { try await Task.sleep(for: .milliseconds(2)) }
    }
}

/// What a writer's thread owns.
final class WriterCore {
    let identity: (log: UniqueID, epoch: Int)?
    private let settings: Writer.Settings
    private let connection: SQLiteConnection
    private let group: GroupCommit
    private let condition: ConditionCell
    private let readersAreSlow: () -> Bool
    private let times: CommitTimes
    /// When publishing stopped because the disk was full, and the next look whether it still is.
    private var nextLook: MonotonicTime?

    init(
        _ settings: Writer.Settings, head: Watermark, condition: ConditionCell, times: CommitTimes,
        readersAreSlow: @escaping () -> Bool
    ) throws {
        self.settings = settings
        self.condition = condition
        self.times = times
        self.readersAreSlow = readersAreSlow
        do {
            connection = try SQLiteConnection(path: settings.path)
            try WriterCore.configure(connection, settings)
            if settings.isLog { try LogSchema.prepare(connection) }
            let log =
                settings.isLog
                ? try LogWriter(connection, durability: settings.durability, clock: settings.options.clock) : nil
            identity = log?.identity
            head.advance(to: log?.position ?? 0)
            group = try GroupCommit(
                connection, log: log, head: head, condition: condition, times: times,
                beforeCommit: settings.options.beforeCommit)
            if let pages = settings.options.maximumPages { try connection.run("PRAGMA max_page_count = \(pages)") }
        } catch let failure as SQLiteFailure {
            throw failure.error(settings.path)
        }
    }

    private static func configure(_ connection: SQLiteConnection, _ settings: Writer.Settings) throws {
        try connection.run("PRAGMA busy_timeout = 2000")
        guard try connection.value("PRAGMA journal_mode = WAL") == .text("wal") else {
            throw LogError(
                .readOnly, settings.path,
                "its folder does not let it keep a write-ahead log; use a local, writable disk")
        }
        try connection.run("PRAGMA synchronous = \(settings.durability == .disk ? "FULL" : "NORMAL")")
        #if canImport(Darwin)
            // On macOS fsync leaves data in the drive's cache.
            if settings.durability == .disk { try connection.run("PRAGMA fullfsync = 1") }
            try connection.run("PRAGMA checkpoint_fullfsync = 1")
        #endif
        try connection.run("PRAGMA foreign_keys = ON")
        try connection.run("PRAGMA temp_store = MEMORY")
        try connection.run("PRAGMA cache_size = -32768")
        try connection.run("PRAGMA wal_autocheckpoint = 0")
        connection.takeOverCheckpoints()
    }

    /// How long the writer sleeps before it looks after the database by itself.
    var idleTime: DispatchTimeInterval { nextLook == nil ? .seconds(1) : .milliseconds(200) }

    /// Runs a group; returns the failure after which the writer has to stop.
    func run(_ backlog: inout RequestQueue, from mailbox: Mailbox) -> LogError? {
        lookForSpace()
        switch group.run(&backlog, from: mailbox, publishing: nextLook == nil) {
        case .sound:
            return connection.pagesInWAL >= settings.options.checkpointPages ? checkpoint() : nil
        case .full:
            becomeFull()
            return nil
        case .failed(let error):
            Logger(label: "dovetail.sqlite").critical("the store has stopped", metadata: ["error": "\(error)"])
            return error
        }
    }

    /// Does what waits for quiet.
    func idle() {
        lookForSpace()
        if connection.pagesInWAL > 0 { _ = checkpoint() }
    }

    func close() {
        try? connection.checkpoint(truncating: true)
    }

    private func checkpoint() -> LogError? {
        let started = MonotonicTime.now
        defer { times.checkpointed(in: .now - started) }
        do {
            // Readers hold a passive checkpoint back; a WAL that grew all the same is emptied by waiting for them a moment.
            let waits = connection.pagesInWAL > 16 * settings.options.checkpointPages && !readersAreSlow()
            try connection.checkpoint(truncating: waits)
            return nil
        } catch  where error.isFull {
            becomeFull()
            return nil
        } catch  where error.isDiskFailure {
            return LogError(
                .stopped, settings.path,
                "the disk failed (\(error.words), code \(error.code)); check the disk, then restart")
        } catch {
            return nil
        }
    }

    // MARK: A full disk

    /// Stops publishing and gives the ballast up, so that settlements and checkpoints still find room.
    private func becomeFull() {
        if nextLook == nil {
            condition.set(.full)
            settings.ballast?.release()
            Logger(label: "dovetail.sqlite").error(
                "the disk is full: publishing has stopped until there is space again",
                metadata: ["store": "\(settings.path)"])
        }
        nextLook = .now + .milliseconds(200)
    }

    private func lookForSpace() {
        guard let look = nextLook, MonotonicTime.now >= look else { return }
        if settings.ballast?.restore() ?? true {
            nextLook = nil
            condition.set(.open)
            Logger(label: "dovetail.sqlite").notice(
                "there is space again: publishing resumes", metadata: ["store": "\(settings.path)"])
        } else {
            nextLook = .now + .milliseconds(200)
        }
    }
}
