import Collections
import DovetailCore
import Foundation
import Logging
import Synchronization

/// Runs one subscription: feeds its ``DeliveryState`` with events, its lanes with attempts, and writes what has to last.
///
/// Three parts share a shell behind one lock: lanes handle (`+Lanes`), the feeder brings events (`+Feeding`), the keeper does what falls due and
/// writes (`+Keeping`).
final class SubscriptionRunner: Sendable {
    typealias Lane = UInt64

    struct Shell {
        var machine: DeliveryState?
        var epoch = 0
        /// Whether the dispatcher brings the events.
        var isJoined = false
        var idle: Deque<(lane: Lane, continuation: CheckedContinuation<LaneRun?, Never>)> = []
        var lanes: [Lane: Task<Void, Never>] = [:]
        var nextLane: Lane = 0
        /// What each lane is at.
        var runs: [Lane: LaneRun] = [:]
        /// How many attempts a lane gets at a time.
        var runLength = 1
        /// When what has changed is to be written.
        var flushDue: MonotonicTime?
        var writtenScanned: Int64 = 0
        var writtenAt = MonotonicTime(nanoseconds: 0)
        /// Who waits until what has changed is written.
        var flushWaiters: [Ticket<Void>] = []
        /// What keeps it from writing where it is.
        var problem: String?
        /// What keeps it from reading its events.
        var readingProblem: String?
        var counters = DeliveryCounters()
        /// How often it ended without a word before, and over what.
        var past = DeliveryStore.Past()
        /// Until when each attempt is made alone and noted first; nil: it is not.
        var carefulUntil: MonotonicTime?
        /// When what was before does not count any more.
        var isClearedAt: MonotonicTime?
        var drained: CheckedContinuation<Void, Never>?
    }

    /// Tasks to resume once all locks are released.
    struct Wake {
        var lanes: [(CheckedContinuation<LaneRun?, Never>, LaneRun?)] = []
        var keeper: Signal?
        var feeder: Signal?

        func perform() {
            for (continuation, run) in lanes { continuation.resume(returning: run) }
            keeper?.raise()
            feeder?.raise()
        }
    }

    /// Settlements are written together, this long after the first.
    static let flushInterval = Duration.milliseconds(50)
    /// A mark that only moved past events that do not matter is written this often.
    static let idleInterval = Duration.seconds(5)
    /// What a lane has not begun after this long is given to others.
    static let longestRun = Duration.milliseconds(20)
    private static let shutdownGrace = Duration.seconds(10)
    /// After so many unclean ends one after the other attempts are made alone for a while, to find out over which event.
    private static let patience = 2
    /// Over so many ends an event is given up on.
    static let mostDeaths = 3
    private static let carefulTime = Duration.seconds(10)
    /// Who has run for so long does well.
    private static let healthyTime = Duration.seconds(60)

    let subscription: Subscription
    let index: Int
    let store: DeliveryStore
    let log: any EventLog
    let clock: any MonotonicClock
    let dispatcher: Dispatcher
    let interest: Interest
    let shell = Mutex(Shell())
    let keeperSignal = Signal()
    let feederSignal = Signal()

    init(
        _ subscription: Subscription, index: Int, log: any EventLog, clock: any MonotonicClock, dispatcher: Dispatcher
    ) {
        self.subscription = subscription
        self.index = index
        self.log = log
        self.clock = clock
        self.dispatcher = dispatcher
        store = DeliveryStore(name: subscription.name, log: log, clock: clock)
        interest = Interest(topics: subscription.topics, filter: subscription.filter)
    }

    // MARK: Life

    /// Runs until cancelled; then handlers under way may end, and where they are is written.
    func run() async throws {
        do {
            try await start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.feed() }
                group.addTask { try await self.keep() }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch is CancellationError {
        } catch {
            await stop()
            throw error
        }
        await stop()
    }

    private func start() async throws {
        let start = try await log.number(of: subscription.start)
        _ = try await persistently { try await store.load(start: start) }
        let past = try await persistently { try await store.begin() }
        let isCareful = past.crashes >= SubscriptionRunner.patience
        if isCareful {
            Logger(label: "dovetail.events").warning(
                "a subscription ended without a word several times; its events are tried one at a time for a while",
                metadata: ["subscription": "\(subscription.name)", "times": "\(past.crashes)"])
        }
        shell.withLock { shell in
            shell.past = past
            shell.carefulUntil = isCareful ? clock.now + SubscriptionRunner.carefulTime : nil
            shell.isClearedAt = past.crashes > 0 ? clock.now + SubscriptionRunner.healthyTime : nil
        }
        // Loaded anew at each attempt: it may be set behind an event that cannot be read.
        try await persistently { try await adopt(try await store.load(start: start)) }
        shell.withLock { shell in
            for _ in 0..<(isCareful ? 1 : subscription.concurrency) { addLane(&shell) }
        }
    }

    /// Goes on from what is stored.
    func adopt(_ stored: StoredDeliveries) async throws {
        guard stored.scanned <= log.head else {
            throw LogError(
                .foreignPosition, subscription.name,
                "the subscription is at \(stored.scanned), and the log only at \(log.head): it is not the log it was; seek it"
            )
        }
        var open: [Envelope] = []
        for position in stored.open {
            if let event = try await store.event(at: position) { open.append(Envelope(event)) }
        }
        let wake = shell.withLock { [open] shell in
            // Somebody else has adopted this life, or a later one.
            if shell.machine != nil, stored.epoch <= shell.epoch { return Wake() }
            // What lanes of the life before have not begun, they do not begin.
            for run in shell.runs.values { _ = run.account { _, _ in } }
            for waiter in shell.flushWaiters {
                waiter.fulfil(
                    .failure(
                        LogError(.statement, subscription.name, "it was set to another place meanwhile; look again")))
            }
            shell.flushWaiters = []
            var machine = DeliveryState(
                subscription, stored: stored, serial: shell.machine?.lastSerial ?? 0, now: clock.now)
            machine.resume(open)
            shell.machine = machine
            shell.epoch = stored.epoch
            shell.isJoined = false
            shell.writtenScanned = stored.scanned
            shell.writtenAt = clock.now
            var wake = afterChange(&shell)
            wake.keeper = keeperSignal
            wake.feeder = feederSignal
            return wake
        }
        wake.perform()
    }

    private func stop() async {
        dispatcher.leave(index)
        let (wake, lanes) = shell.withLock { shell in
            shell.machine?.stop()
            shell.isJoined = false
            var wake = Wake()
            wake.lanes = shell.idle.map { ($0.continuation, nil) }
            shell.idle = []
            takeBackRuns(&shell, olderThan: .zero)
            return (wake, Array(shell.lanes.values))
        }
        wake.perform()
        subscription.whenStopping?()
        // In a task of its own: this one is cancelled, and the last settlements have to be written all the same.
        await Task {
            await withTaskGroup(of: Bool.self) { group in
                group.addTask {
                    await withCheckedContinuation { continuation in
                        let isDrained = self.shell.withLock { shell in
                            if shell.lanes.isEmpty { return true }
                            shell.drained = continuation
                            return false
                        }
                        if isDrained { continuation.resume() }
                    }
                    return true
                }
                group.addTask {
                    try? await Task.sleep(for: SubscriptionRunner.shutdownGrace)
                    return false
                }
                if await group.next() == false {
                    for lane in lanes { lane.cancel() }
                    // A handler that ignores its cancellation too is left behind: its event stays open and comes again.
                    try? await Task.sleep(for: .seconds(1))
                    self.shell.withLock { shell in
                        shell.drained?.resume()
                        shell.drained = nil
                    }
                }
                group.cancelAll()
            }
            do {
                try await flush()
                try await store.clear(isRunning: false)
            } catch {
                Logger(label: "dovetail.events").warning(
                    "the last settlements of a subscription could not be written; their events will come again",
                    metadata: ["subscription": "\(subscription.name)", "error": "\(error)"])
            }
        }.value
    }

    /// Gives idle lanes what is ready, and finds out who else has to know.
    func afterChange(_ shell: inout Shell) -> Wake {
        var wake = Wake()
        while shell.machine?.hasReady == true, let idle = shell.idle.popFirst() {
            wake.lanes.append((idle.continuation, giveOut(&shell, to: idle.lane)))
        }
        if shell.flushDue == nil, shell.machine?.hasChanges == true {
            if case .atMostOnce = subscription.handler {
                shell.flushDue = clock.now
            } else {
                shell.flushDue = clock.now + SubscriptionRunner.flushInterval
            }
            wake.keeper = keeperSignal
        }
        if shell.machine?.hasLoads == true { wake.keeper = keeperSignal }
        if shell.machine?.takeRoomSignal() == true { wake.feeder = feederSignal }
        return wake
    }

    /// What was done since the start.
    var counters: DeliveryCounters { shell.withLock { $0.counters } }

    // MARK: For operators

    /// Whether handlers can be called.
    var isRunning: Bool { shell.withLock { $0.machine != nil && $0.machine?.isStopped == false } }

    /// Has the dead letter tried again, from its own copy. False if it is being tried, or its key is busy.
    func redrive(_ letter: DeadLetter) async throws -> Bool {
        guard let event = try await event(of: letter) else { return false }
        let (done, wake) = shell.withLock { shell in
            (shell.machine?.redrive(Envelope(event), now: clock.now) ?? false, afterChange(&shell))
        }
        wake.perform()
        return done
    }

    /// The event as the dead letter has it, edited perhaps, with what the log knows besides, if it has it still.
    func event(of letter: DeadLetter) async throws -> StoredEvent? {
        guard var event = letter.event(in: log) else { return nil }
        if let stored = try await store.event(at: letter.position) {
            event.stream = stored.stream
            event.time = stored.time
        }
        return event
    }

    /// Drops the dead letter and lets what is held behind it go on.
    func discard(_ position: Int64, key: String) async throws -> Bool {
        let (done, wake) = shell.withLock { shell in
            (shell.machine?.discard(position, key: key) ?? false, afterChange(&shell))
        }
        wake.perform()
        if done { try await written() }
        return done
    }

    /// Returns once what has changed until now is written.
    private func written() async throws {
        let ticket = Ticket<Void>()
        shell.withLock { shell in
            shell.flushDue = clock.now
            shell.flushWaiters.append(ticket)
        }
        keeperSignal.raise()
        try await ticket.value
    }

    /// Goes on after `number`, in a new epoch.
    func seek(to number: Int64) async throws {
        // What is settled counts up to here; after this a late settlement is fenced.
        if isRunning {
            // Another seek has come first: then that is where it stands.
            do { try await flush() } catch is DeliveryStore.Fenced {}
        }
        let stored = try await store.seek(to: number, without: try await lost())
        if shell.withLock({ $0.machine != nil }) { try await adopt(stored) }
    }

    /// The open events that cannot be read, over which a subscription cannot start: who sets it to another place lets go of them.
    private func lost() async throws -> Set<Int64> {
        guard shell.withLock({ $0.machine == nil }) else { return [] }
        var lost: Set<Int64> = []
        for position in try await store.load(start: 0).open {
            do { _ = try await store.event(at: position) } catch let error as LogError where error.code == .unreadable {
                lost.insert(position)
            }
        }
        return lost
    }

    /// How far it is, and what holds it up.
    var place: (scanned: Int64, open: Int, firstOpen: Int64?, blocked: Int, problem: String?) {
        let reached = dispatcher.reached(index)
        return shell.withLock { shell in
            guard let machine = shell.machine else {
                return (0, 0, nil, 0, shell.readingProblem ?? "it is not running")
            }
            let paused =
                machine.isPaused
                ? "it has paused: \(machine.blocked.count) keys are blocked by failed events; redrive or discard them"
                : nil
            return (
                max(machine.scanned, reached ?? 0), machine.openCount, machine.firstOpen, machine.blocked.count,
                paused ?? shell.readingProblem ?? shell.problem
            )
        }
    }
}
