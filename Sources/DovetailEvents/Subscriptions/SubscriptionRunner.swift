import Collections
import DovetailCore
import Foundation
import Logging
import ServiceContextModule
import Synchronization

/// Runs one subscription: feeds its ``DeliveryState`` with events, its lanes with attempts, and writes what has to last.
///
/// A lane is a task that handles one event after the other without a task or a hop in between. A lane whose handler does not return in time is
/// cancelled and replaced.
final class SubscriptionRunner: Sendable {
    private typealias Lane = UInt64

    private struct Shell {
        var machine: DeliveryState?
        var epoch = 0
        /// Whether the dispatcher brings the events.
        var isJoined = false
        var idle: Deque<(lane: Lane, continuation: CheckedContinuation<DeliveryState.Attempt?, Never>)> = []
        var lanes: [Lane: Task<Void, Never>] = [:]
        var nextLane: Lane = 0
        var laneOf: [UInt64: Lane] = [:]
        /// When what has changed is to be written.
        var flushDue: MonotonicTime?
        var writtenScanned: Int64 = 0
        var writtenAt = MonotonicTime(nanoseconds: 0)
        /// Who waits until what has changed is written.
        var flushWaiters: [Ticket<Void>] = []
        var problem: String?
        var drained: CheckedContinuation<Void, Never>?
    }

    /// Tasks to resume once all locks are released.
    struct Wake {
        fileprivate var lanes: [(CheckedContinuation<DeliveryState.Attempt?, Never>, DeliveryState.Attempt?)] = []
        fileprivate var keeper: Signal?
        fileprivate var feeder: Signal?

        func perform() {
            for (continuation, attempt) in lanes { continuation.resume(returning: attempt) }
            keeper?.raise()
            feeder?.raise()
        }
    }

    /// Settlements are written together, this long after the first.
    private static let flushInterval = Duration.milliseconds(50)
    /// A mark that only moved past events that do not matter is written this often.
    private static let idleInterval = Duration.seconds(5)
    private static let shutdownGrace = Duration.seconds(10)

    let subscription: Subscription
    private let index: Int
    private let store: DeliveryStore
    private let log: any EventLog
    private let clock: any MonotonicClock
    private let dispatcher: Dispatcher
    private let interest: Interest
    private let shell = Mutex(Shell())
    private let keeperSignal = Signal()
    private let feederSignal = Signal()

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
        try await start()
        do {
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
        try await adopt(try await store.load(start: try await log.number(of: subscription.start)))
        shell.withLock { shell in
            for _ in 0..<subscription.concurrency { addLane(&shell) }
        }
    }

    /// Goes on from what is stored.
    private func adopt(_ stored: StoredDeliveries) async throws {
        guard stored.scanned <= log.head else {
            throw LogError(
                .foreignPosition, subscription.name,
                "the subscription is at \(stored.scanned), and the log only at \(log.head): it is not the log it was; seek it"
            )
        }
        var open: [StoredEvent] = []
        for position in stored.open {
            if let event = try await store.event(at: position) { open.append(event) }
        }
        let wake = shell.withLock { shell in
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
            return (wake, Array(shell.lanes.values))
        }
        wake.perform()
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
            do { try await flush() } catch {
                Logger(label: "dovetail.events").warning(
                    "the last settlements of a subscription could not be written; their events will come again",
                    metadata: ["subscription": "\(subscription.name)", "error": "\(error)"])
            }
        }.value
    }

    // MARK: Lanes

    private func addLane(_ shell: inout Shell) {
        shell.nextLane += 1
        let lane = shell.nextLane
        shell.lanes[lane] = Task {
            var attempt = await next(for: lane, after: nil)
            while let current = attempt {
                let outcome = await handle(current)
                attempt = await next(for: lane, after: (current.serial, outcome))
            }
            let drained = self.shell.withLock { shell -> CheckedContinuation<Void, Never>? in
                shell.lanes[lane] = nil
                guard shell.lanes.isEmpty else { return nil }
                defer { shell.drained = nil }
                return shell.drained
            }
            drained?.resume()
        }
    }

    private func handle(_ attempt: DeliveryState.Attempt) async -> Result<Void, any Error> {
        let event = attempt.event
        if event.hasExpired { return .success(()) }
        var context = event.attributes.callContext(causedBy: event.id)
        context.deadline = attempt.deadline
        do {
            try await ServiceContext.$current.withValue(context.trace) {
                try await CallContext.$current.withValue(context) {
                    switch subscription.handler {
                    case .atLeastOnce(let handler):
                        let delivery = Delivery(
                            subscription: subscription.name, attempt: attempt.number, deadline: attempt.deadline)
                        try await handler(event, delivery)
                    case .atMostOnce(let handler):
                        await handler(event)
                    case .effectivelyOnce:
                        preconditionFailure("an effectively-once subscription is run by its reader")
                    }
                }
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// Settles the attempt that a lane has ended and gives it the next; nil when the lane is to end.
    private func next(
        for lane: Lane, after ended: (serial: UInt64, outcome: Result<Void, any Error>)?
    ) async -> DeliveryState.Attempt? {
        let isCancelled = Task.isCancelled
        let (attempt, ends, wake): (DeliveryState.Attempt?, Bool, Wake) = shell.withLock { shell in
            var failed = false
            if let ended {
                shell.laneOf[ended.serial] = nil
                switch ended.outcome {
                case .success: shell.machine?.succeeded(ended.serial)
                case .failure where isCancelled && shell.machine?.isStopped == true:
                    shell.machine?.abandoned(ended.serial)
                case .failure(let error):
                    failed = true
                    shell.machine?.failed(
                        ended.serial, isCancelled ? HandlerTimeout(timeout: subscription.handlerTimeout) : error,
                        jitter: .random(in: 0...1), now: clock.now)
                }
            }
            let ends = isCancelled || shell.machine?.isStopped != false
            let attempt = ends ? nil : shell.machine?.next(now: clock.now)
            if let attempt { shell.laneOf[attempt.serial] = lane }
            var wake = afterChange(&shell)
            if failed { wake.keeper = keeperSignal }
            return (attempt, ends, wake)
        }
        wake.perform()
        if attempt != nil || ends { return attempt }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (attempt, resumes): (DeliveryState.Attempt?, Bool) = shell.withLock { shell in
                    if Task.isCancelled || shell.machine?.isStopped != false { return (nil, true) }
                    if let attempt = shell.machine?.next(now: clock.now) {
                        shell.laneOf[attempt.serial] = lane
                        return (attempt, true)
                    }
                    shell.idle.append((lane, continuation))
                    return (nil, false)
                }
                if resumes { continuation.resume(returning: attempt) }
            }
        } onCancel: {
            let continuation = shell.withLock { shell -> CheckedContinuation<DeliveryState.Attempt?, Never>? in
                guard let index = shell.idle.firstIndex(where: { $0.lane == lane }) else { return nil }
                return shell.idle.remove(at: index).continuation
            }
            continuation?.resume(returning: nil)
        }
    }

    /// Gives idle lanes what is ready, and finds out who else has to know.
    private func afterChange(_ shell: inout Shell) -> Wake {
        var wake = Wake()
        while shell.machine?.hasReady == true, let idle = shell.idle.popFirst() {
            let attempt = shell.machine?.next(now: clock.now)
            if let attempt { shell.laneOf[attempt.serial] = idle.lane }
            wake.lanes.append((idle.continuation, attempt))
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

    // MARK: Events in

    /// Takes in events that the dispatcher found for it; false if there was no room for all.
    func accept(_ events: [StoredEvent], scanned: Int64) -> (wake: Wake, hasRoom: Bool) {
        shell.withLock { shell in
            // After a seek it is elsewhere, whatever the dispatcher still believes.
            guard shell.isJoined else { return (Wake(), false) }
            shell.isJoined = shell.machine?.accept(events, scanned: scanned) ?? false
            return (afterChange(&shell), shell.isJoined)
        }
    }

    /// Reads the log until the subscription has caught up with it, and again whenever it has fallen behind.
    private func feed() async throws {
        while !Task.isCancelled {
            let (scanned, room, epoch) = shell.withLock { shell in
                let room = shell.isJoined ? 0 : shell.machine?.room ?? 0
                if room == 0, !shell.isJoined { shell.machine?.awaitRoom() }
                return (shell.machine?.scanned ?? 0, room, shell.epoch)
            }
            if room == 0 {
                await feederSignal.wait()
                continue
            }
            var page: EventPage
            let limit = min(512, room)
            switch dispatcher.pull(index, after: scanned, limit: limit, join: { join(epoch) }) {
            case .joined:
                continue
            case .recent(let events, let scanned):
                page = EventPage(events: events.filter(interest.wants), scanned: scanned)
            case .behind:
                page = try await log.events(after: scanned, types: interest.types, limit: limit)
                page.events = page.events.filter(interest.wants)
            }
            let wake = shell.withLock { [page] shell -> Wake in
                // A seek in between has begun elsewhere.
                guard shell.epoch == epoch else { return Wake() }
                _ = shell.machine?.accept(page.events, scanned: page.scanned)
                return afterChange(&shell)
            }
            wake.perform()
        }
    }

    /// Lets the dispatcher bring the events, unless a seek has come in between.
    private func join(_ epoch: Int) -> Bool {
        shell.withLock { shell in
            guard shell.epoch == epoch, shell.machine?.isStopped == false else { return false }
            shell.isJoined = true
            return true
        }
    }

    // MARK: Time and durability

    /// Does what falls due: retries, deadlines, writing.
    private func keep() async throws {
        while !Task.isCancelled {
            let now = clock.now
            let reached = dispatcher.reached(index)
            let (loads, flushes, wake) = shell.withLock { shell in
                if let reached, shell.isJoined { _ = shell.machine?.accept([], scanned: reached) }
                let overdue = shell.machine?.takeOverdue(now: now) { .random(in: 0...1) } ?? []
                for serial in overdue {
                    guard let lane = shell.laneOf[serial] else { continue }
                    shell.lanes[lane]?.cancel()
                    addLane(&shell)
                }
                let loads = shell.machine?.takeLoads(now: now) ?? []
                let isIdleDue =
                    now - shell.writtenAt >= SubscriptionRunner.idleInterval
                    && (shell.machine?.scanned ?? 0) > shell.writtenScanned
                let flushes = isIdleDue || !loads.isEmpty || shell.flushDue.map { $0 <= now } ?? false
                return (loads, flushes, afterChange(&shell))
            }
            wake.perform()
            var remaining = loads
            do {
                if flushes { try await flush() }
                while let load = remaining.first {
                    try await perform(load)
                    remaining.removeFirst()
                }
                shell.withLock { $0.problem = nil }
            } catch let error as LogError where error.failureKind == .transient && error.code != .stopped {
                // The rows wait in memory, bounded; deliveries go on until they are full.
                shell.withLock { [remaining] shell in
                    shell.problem = error.description
                    for load in remaining { shell.machine?.putBack(load) }
                }
                try await clock.sleep(for: .seconds(1))
            }
            let wakeTime = shell.withLock { shell in
                [shell.flushDue, shell.machine?.nextDue, now + SubscriptionRunner.idleInterval].compactMap { $0 }.min()
            }
            await keeperSignal.wait(until: wakeTime ?? now, clock)
        }
    }

    /// Writes what has changed, in one transaction.
    private func flush() async throws {
        let taken = shell.withLock { shell -> (changes: DeliveryChanges, epoch: Int, waiters: [Ticket<Void>])? in
            shell.flushDue = nil
            guard let changes = shell.machine?.takeChanges() else { return nil }
            defer { shell.flushWaiters = [] }
            return (changes, shell.epoch, shell.flushWaiters)
        }
        guard let (changes, epoch, waiters) = taken else { return }
        do {
            try await store.write(changes, epoch: epoch)
            let wake = shell.withLock { shell -> Wake in
                guard shell.epoch == epoch else { return Wake() }
                shell.machine?.written()
                shell.writtenScanned = changes.scanned
                shell.writtenAt = clock.now
                return afterChange(&shell)
            }
            wake.perform()
            for waiter in waiters { waiter.fulfil(.success(())) }
        } catch let error {
            for waiter in waiters { waiter.fulfil(.failure(error)) }
            let isFenced = shell.withLock { shell in
                if shell.epoch != epoch { return true }
                shell.machine?.notWritten(changes)
                return false
            }
            if isFenced, error is DeliveryStore.Fenced { return }
            throw error
        }
    }

    private func perform(_ load: DeliveryState.Load) async throws {
        let wake: Wake
        switch load {
        case .event(let key, let position):
            let event = try await store.event(at: position)
            wake = shell.withLock { shell in
                shell.machine?.fetched(event, for: key)
                return afterChange(&shell)
            }
        case .held(let key):
            guard case .key(let text) = key else { return }
            var events: [StoredEvent] = []
            var missing: [Int64] = []
            for position in try await store.held(key: text, limit: 64) {
                if let event = try await store.event(at: position) {
                    events.append(event)
                } else {
                    missing.append(position)
                }
            }
            wake = shell.withLock { [events, missing] shell in
                shell.machine?.fetched(held: events, missing: missing, for: key)
                return afterChange(&shell)
            }
        }
        wake.perform()
    }

    // MARK: For operators

    /// Has the dead letter tried again. False if it is being tried, or its key is busy.
    func redrive(_ position: Int64) async throws -> Bool {
        guard let event = try await store.event(at: position) else { return false }
        let (done, wake) = shell.withLock { shell in
            (shell.machine?.redrive(event, now: clock.now) ?? false, afterChange(&shell))
        }
        wake.perform()
        return done
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
        let stored = try await store.seek(to: number)
        if shell.withLock({ $0.machine != nil }) { try await adopt(stored) }
    }

    /// How far it is, and what holds it up.
    var place: (scanned: Int64, open: Int, firstOpen: Int64?, blocked: Int, problem: String?) {
        let reached = dispatcher.reached(index)
        return shell.withLock { shell in
            guard let machine = shell.machine else { return (0, 0, nil, 0, "it is not running") }
            let paused =
                machine.isPaused
                ? "it has paused: \(machine.blocked.count) keys are blocked by failed events; redrive or discard them"
                : nil
            return (
                max(machine.scanned, reached ?? 0), machine.openCount, machine.firstOpen, machine.blocked.count,
                paused ?? shell.problem
            )
        }
    }
}
