import DovetailCore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Publishes events when their time has come.
///
/// What is due goes from the schedule into the log in one transaction, so each event is published once, whatever happens; after a stop, what fell due
/// meanwhile is published at the next start, in the order of its times.
public final class EventScheduler: Service {
    /// How late an event may be noticed that was scheduled behind the scheduler's back, in a transaction of its own.
    private static let longestSleep = Duration.seconds(1)
    private static let batch = 256

    private let log: any EventLog
    private let signal = Signal()
    private let clock: any MonotonicClock
    private let date: @Sendable () -> Date

    /// A scheduler of a log. `date` says what time it is, for tests.
    public init(
        log: any EventLog, clock: any MonotonicClock = .system, date: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.log = log
        self.clock = clock
        self.date = date
    }

    /// Makes the tables; idempotent.
    public func prepare() async throws {
        try await log.migrate(ScheduleTable.migrations)
    }

    /// Has events published at `due`; durable when it returns. Under an id that waits already, or was published, nothing changes.
    public func schedule(_ events: [EventDraft], at due: Date) async throws {
        try await log.transaction("schedule", as: .engine) { transaction in
            for event in events { try transaction.schedule(event, at: due) }
        }
        wake()
    }

    /// Takes back an event that waits: false if it was published already, or never scheduled. Durable when it returns.
    public func cancel(_ id: UniqueID) async throws -> Bool {
        try await log.transaction("cancel", as: .engine) { try $0.cancelScheduled(id) }
    }

    /// The next events that wait, by their time.
    public func scheduled(limit: Int = 100) async throws -> [ScheduledEvent] {
        try await log.snapshot { try ScheduleTable.due(at: .distantFuture, limit: limit, in: $0) }
    }

    /// How many events wait.
    public var count: Int {
        get async throws { try await log.snapshot { try ScheduleTable.count(in: $0) } }
    }

    /// An event that waits, by its id.
    public func scheduled(_ id: UniqueID) async throws -> ScheduledEvent? {
        try await log.snapshot { try ScheduleTable.event(id, in: $0) }
    }

    /// Looks again at once: something was scheduled.
    package func wake() { signal.raise() }

    /// Publishes what falls due until the task is cancelled. What the log refuses, as while the disk is full, is tried again.
    public func run() async throws {
        var failures = 0
        while !Task.isCancelled {
            do {
                try await publishDue()
                failures = 0
                let next = try await log.snapshot { try ScheduleTable.next(in: $0) }
                let left = next.map { Duration.seconds(max(0, $0.timeIntervalSince(date()))) }
                await signal.wait(
                    until: clock.now + min(left ?? EventScheduler.longestSleep, EventScheduler.longestSleep), clock)
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                if let error = error as? LogError, error.code == .stopped { throw error }
                if failures == 1 {
                    Logger(label: "dovetail.events").warning(
                        "what is due cannot be published yet", metadata: ["error": "\(error)"])
                }
                try? await clock.sleep(for: .milliseconds(min(5000, 50 << min(failures, 7))))
            }
        }
    }

    private func publishDue() async throws {
        var published = 0
        repeat {
            let now = date()
            published = try await log.transaction("publish what is due", as: .engine) { transaction in
                let due = try ScheduleTable.due(at: now, limit: EventScheduler.batch, in: transaction)
                for scheduled in due {
                    // Each for itself: one that the log holds already is a duplicate and no harm to the others.
                    try transaction.append(Append(events: [scheduled.event]))
                    _ = try ScheduleTable.delete(scheduled.event.id, in: transaction)
                }
                return due.count
            }
        } while published == EventScheduler.batch
    }
}
