import DovetailCore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Carries events from a log into a database, each with the reader's cursor in one transaction: effects happen once.
///
/// Events come in the order of their positions, in batches. After a crash effects and cursor are found together, wherever they were. An event whose
/// handler throws, or that cannot be read, stops the reader there: it is retried with growing pauses and nothing after it is applied, since skipping
/// would leave a read model that looks whole and is not; ``status`` says so. So does a database that does not take the effects, as while the disk is full.
public final class EffectivelyOnceReader: Service {
    /// Where the reader is, and what holds it up.
    public struct Status: Sendable {
        /// Every event up to this number has had its effect.
        public var scanned: Int64
        /// The event that it cannot get past, and why.
        public var blocked: (position: LogPosition, type: String, error: String, attempts: Int)?
    }

    /// What an event does. What can be worked out of the event alone is, before there is a transaction, while another one is being made.
    package typealias Effect = @Sendable (Transaction) throws -> Void

    /// The reader's durable name.
    public let name: String
    private let log: any EventLog
    private let database: any Database
    private let interest: Interest
    /// Whether an event that has expired has no effect any more: not so in a read model, which shows what has happened.
    private let passesOverExpired: Bool
    private let start: Subscription.Start
    private let handler: @Sendable (StoredEvent) -> Effect
    private let applied = Watermark(0)
    private let blocked = Mutex<(position: LogPosition, type: String, error: String, attempts: Int)?>(nil)
    private let batch: Int
    /// Told of each batch that had effects, once it is durable.
    private let onEffects: @Sendable () -> Void

    /// A reader called `name` of the events of these types, into `database`. A new one begins after number `start`.
    public convenience init(
        _ name: String, from log: any EventLog, into database: any Database, types: Set<String>, start: Int64 = 0,
        batch: Int = 256, handler: @escaping @Sendable (StoredEvent, Transaction) throws -> Void
    ) {
        self.init(
            name, from: log, into: database, types: types, start: start, batch: batch,
            effect: { event in
                { try handler(event, $0) }
            })
    }

    /// A reader whose `effect` says of an event what it does. See ``init(_:from:into:types:start:batch:handler:)``.
    package init(
        _ name: String, from log: any EventLog, into database: any Database, types: Set<String>, start: Int64 = 0,
        batch: Int, onEffects: @escaping @Sendable () -> Void = {}, effect: @escaping @Sendable (StoredEvent) -> Effect
    ) {
        self.onEffects = onEffects
        self.name = name
        self.log = log
        self.database = database
        interest = Interest(topics: types.sorted().map { TopicPattern($0) }, filter: nil)
        passesOverExpired = false
        self.start = start == 0 ? .beginning : .position(log.position(start))
        self.batch = batch
        self.handler = effect
    }

    /// The reader of an effectively-once subscription.
    init(
        _ subscription: Subscription, from log: any EventLog, into database: any Database,
        handler: @escaping @Sendable (StoredEvent, Transaction) throws -> Void
    ) {
        name = subscription.name
        self.log = log
        self.database = database
        interest = Interest(topics: subscription.topics, filter: subscription.filter)
        passesOverExpired = true
        start = subscription.start
        batch = min(subscription.prefetch, 256)
        onEffects = {}
        self.handler = { event in { try handler(event, $0) } }
    }

    /// Where the reader is.
    public var status: Status {
        Status(scanned: applied.value, blocked: blocked.withLock { $0 })
    }

    /// Returns once every event up to `number` has had its effect. Throws `notReached` at the deadline, `CancellationError` when cancelled.
    public func wait(for number: Int64, until deadline: MonotonicTime) async throws {
        if applied.value >= number { return }
        let reached = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                _ = try await self.applied.wait(for: number)
                return true
            }
            group.addTask {
                try await SystemClock().sleep(until: deadline)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
        guard reached else {
            throw LogError(.notReached, name, "it is at \(applied.value) and has not reached \(number) in time")
        }
    }

    /// Returns how far the reader is once that is beyond `number`.
    package func waitForProgress(beyond number: Int64) async throws -> Int64 {
        try await applied.wait(for: number + 1)
    }

    /// Makes the cursor's table and reads the place; idempotent. ``run()`` does it by itself.
    public func prepare() async throws {
        applied.advance(to: try await place().scanned)
    }

    private func place() async throws -> Cursor {
        let identity = log.identity
        let name = name
        let number = try await log.number(of: start)
        let first = Cursor(log: identity.log, epoch: identity.epoch, scanned: number)
        let found = try await database.transaction("cursor \(name)", as: .engine) { transaction in
            try transaction.execute(Cursor.table)
            if let found = try Cursor.load(name, in: transaction) { return found }
            // Kept at once: `now` is the moment of the first start, not of the first event.
            try first.save(name, in: transaction)
            return first
        }
        guard found.log == identity.log, found.epoch == identity.epoch, found.scanned <= log.head else {
            throw LogError(
                .foreignPosition, name,
                "its cursor is of another log, or ahead of this one (\(found.scanned) of \(log.head)): it has to be rebuilt"
            )
        }
        return found
    }

    /// Carries events until the task is cancelled. Throws ``LogError`` `stopped` when the log or the database has stopped, and `foreignPosition` if its cursor is of another log.
    public func run() async throws {
        do { try await carry() } catch is CancellationError {}
    }

    private func carry() async throws {
        var cursor = try await persistentPlace()
        /// What the database holds of it: a page without events only moves the mark.
        var written = cursor.scanned
        applied.advance(to: cursor.scanned)
        var attempts = 0
        /// The event that a batch has failed at: what is before it goes by itself, and it alone.
        var suspect: Int64?
        var page: Batch?
        while true {
            do {
                let batch: Batch
                if let page { batch = page } else { batch = try await fetch(after: cursor.scanned, cuttingAt: suspect) }
                // The next page is read while this one is applied.
                let hasMore = suspect == nil && log.head > batch.scanned
                async let ahead = hasMore ? fetch(after: batch.scanned) : nil
                cursor = try await apply(batch, at: cursor, written: written)
                if !batch.effects.isEmpty { written = cursor.scanned }
                if suspect.map({ $0 <= cursor.scanned }) ?? true {
                    (suspect, attempts) = (nil, 0)
                    blocked.withLock { $0 = nil }
                }
                applied.advance(to: cursor.scanned)
                if !batch.effects.isEmpty { onEffects() }
                page = nil
                page = try await ahead
            } catch is Overtaken {
                try Task.checkCancellation()
                Logger(label: "dovetail.events").warning(
                    "somebody else moves a reader's cursor; it goes on from there", metadata: ["reader": "\(name)"])
                cursor = try await persistentPlace()
                (written, page, suspect, attempts) = (cursor.scanned, nil, nil, 0)
                applied.advance(to: cursor.scanned)
            } catch let failure as HandlerFailure {
                try Task.checkCancellation()
                page = nil
                suspect = failure.event.position.number
                attempts += 1
                // The first failure of a batch is only followed by smaller pages, to come as far as possible.
                if failure.isAlone {
                    try await pause(
                        at: failure.event.position, failure.event.type, because: failure.error, attempts: attempts)
                }
            } catch let error as LogError where error.mayPass {
                // The next event cannot be read, or what it does cannot be written.
                attempts += 1
                try await pause(at: log.position(cursor.scanned + 1), "event", because: error, attempts: attempts)
            }
        }
    }

    /// Its place, once the database says it.
    private func persistentPlace() async throws -> Cursor {
        var attempts = 0
        while true {
            do { return try await place() } catch let error as LogError where error.mayPass {
                attempts += 1
                try await pause(at: log.position(applied.value + 1), "event", because: error, attempts: attempts)
            }
        }
    }

    /// The next events, once there are some; with `suspect`, those before that one, or it alone.
    private func fetch(after number: Int64, cuttingAt suspect: Int64? = nil) async throws -> Batch {
        if log.head <= number { _ = try await log.waitForHead(beyond: number) }
        var page = try await log.events(after: number, types: interest.types, limit: batch)
        page.events.removeAll { !interest.wants($0) || passesOverExpired && $0.hasExpired }
        if let suspect, page.scanned >= suspect, let first = page.events.first {
            let end = first.position.number < suspect ? suspect - 1 : suspect
            page.events.removeAll { $0.position.number > end }
            page.scanned = end
        }
        return Batch(effects: page.events.map { ($0, handler($0)) }, scanned: page.scanned)
    }

    /// Some events with what they do, and how far the log was looked through for them.
    private struct Batch: Sendable {
        var effects: [(event: StoredEvent, effect: Effect)]
        var scanned: Int64
    }

    /// The cursor is not where this reader has left it: what it was about to do has been done, or must not be.
    private struct Overtaken: Error {}

    private struct HandlerFailure: Error {
        let event: StoredEvent
        let error: any Error
        /// Whether there was no other in its batch.
        let isAlone: Bool
    }

    private func apply(_ batch: Batch, at cursor: Cursor, written: Int64) async throws -> Cursor {
        var next = cursor
        next.scanned = batch.scanned
        // A page without events only moves the mark; it is written with the next effect.
        if batch.effects.isEmpty { return next }
        let name = name
        let reached = next
        try await database.transaction("read \(name)", as: .engine) { transaction in
            guard try Cursor.load(name, in: transaction)?.scanned == written else { throw Overtaken() }
            for (event, effect) in batch.effects {
                do { try effect(transaction) } catch {
                    throw HandlerFailure(event: event, error: error, isAlone: batch.effects.count == 1)
                }
            }
            try reached.save(name, in: transaction)
        }
        return next
    }

    /// Notes what holds the reader up, and waits a while: the longer, the more often it has tried.
    private func pause(at position: LogPosition, _ type: String, because error: any Error, attempts: Int) async throws {
        blocked.withLock { $0 = (position, type, String(describing: error), attempts) }
        Logger(label: "dovetail.events").error(
            "a reader cannot get past an event",
            metadata: [
                "reader": "\(name)", "position": "\(position.number)", "type": "\(type)",
                "attempts": "\(attempts)", "error": "\(error)",
            ])
        try await Task.sleep(for: .milliseconds(min(30_000, 50 << min(attempts, 10))))
    }
}
