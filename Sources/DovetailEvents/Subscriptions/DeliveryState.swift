import Collections
import DovetailCore
import HeapModule

/// What a subscription has under way: which event may be handled next, and what a result means for the events behind it.
///
/// A value without clock or I/O. Everything that has to last is gathered in ``DeliveryChanges``, which the shell writes in one
/// transaction: at any moment the events up to `scanned` are each either settled, open, failing (blocking their key), held behind such a one, or dead.
struct DeliveryState {
    /// What an event is ordered by: its key, or nothing but itself.
    enum OrderKey: Hashable, Sendable {
        case key(String)
        case position(Int64)
    }

    /// An attempt to be made. The serial number fences it: a result that comes after the attempt was given up changes nothing.
    struct Attempt: Sendable {
        let serial: UInt64
        let event: StoredEvent
        let number: Int
        let deadline: MonotonicTime
    }

    /// What the shell has to fetch before a blocked key goes on.
    enum Load: Equatable {
        /// The event of this key that is to be tried again.
        case event(OrderKey, position: Int64)
        /// Events held behind it.
        case held(OrderKey)
    }

    /// A key whose event has failed.
    struct Blocked {
        enum Phase: Equatable {
            case retrying(due: MonotonicTime)
            case parked
            /// Its turn has come: an event is being fetched, waits or runs.
            case active
        }

        var position: Int64
        var attempts: Int
        var firstFailed: MonotonicTime
        var phase: Phase
        /// How many events are held behind it, written or about to be.
        var held: Int
        /// Held events that were fetched.
        var fetched: Deque<StoredEvent> = []
    }

    private enum Origin {
        case window
        case failing
        case held
    }

    private struct Item {
        let event: StoredEvent
        let key: OrderKey
        var attempts = 0
        var firstFailed: MonotonicTime?
        var origin = Origin.window
    }

    private struct Running {
        let item: Item
        let deadline: MonotonicTime
        var fencedAt: MonotonicTime?
    }

    private struct Due: Comparable {
        let time: MonotonicTime
        let key: OrderKey
        static func < (left: Due, right: Due) -> Bool { left.time < right.time }
        static func == (left: Due, right: Due) -> Bool { left.time == right.time }
    }

    /// At so many blocked keys the subscription pauses: something is wrong with all of it.
    static let maximumBlockedKeys = 10_000
    private static let maximumUnwritten = 4096

    private let order: Subscription.Order
    private let prefetch: Int
    private let policy: RedeliveryPolicy
    private let timeout: Duration
    private let settlesFirst: Bool

    private(set) var scanned: Int64
    private var open: Set<Int64> = []
    /// For each key with an event in the window: those that wait behind it.
    private var waiting: [OrderKey: Deque<Item>] = [:]
    private var ready: Deque<Item> = []
    private var running: [UInt64: Running] = [:]
    private var nextSerial: UInt64
    private(set) var blocked: [OrderKey: Blocked] = [:]
    private var due = Heap<Due>()
    private var loads: [Load] = []
    private var changes = DeliveryChanges()
    /// Accepted at most once: they are handled after the cursor that says they are settled was written.
    private var staged: [Item] = []
    private var beingWritten: [Item] = []
    private var wasRefused = false
    private(set) var isStopped = false

    init(_ subscription: Subscription, stored: StoredDeliveries, serial: UInt64 = 0, now: MonotonicTime) {
        order = subscription.order
        prefetch = subscription.prefetch
        policy = subscription.redelivery
        timeout = subscription.handlerTimeout
        if case .atMostOnce = subscription.handler { settlesFirst = true } else { settlesFirst = false }
        scanned = stored.scanned
        nextSerial = serial
        for failure in stored.failures {
            let key = order == .byKey ? OrderKey.key(failure.key) : .position(failure.position)
            guard blocked[key] == nil else {
                // Written while the subscription was unordered: now it waits behind the first failure of its key.
                changes.failures[failure.position] = .some(nil)
                hold(failure.position, key, failure.key)
                continue
            }
            blocked[key] = Blocked(
                position: failure.position, attempts: failure.attempts, firstFailed: failure.firstFailed,
                phase: failure.due.map { .retrying(due: $0) } ?? .parked, held: 0)
            if let time = failure.due { due.insert(Due(time: time, key: key)) }
        }
        for (key, count) in stored.held {
            // Held events whose key is not blocked any more were on their way when the process ended.
            let key = OrderKey.key(key)
            if blocked[key] == nil {
                blocked[key] = Blocked(position: 0, attempts: 0, firstFailed: now, phase: .active, held: 0)
                loads.append(.held(key))
            }
            blocked[key]?.held += count
        }
    }

    /// A serial number beyond all of this state's, for the one that follows it.
    var lastSerial: UInt64 { nextSerial }

    // MARK: Events in

    /// How many more events there is room for.
    var room: Int {
        guard blocked.count < DeliveryState.maximumBlockedKeys, changes.count < DeliveryState.maximumUnwritten else {
            return 0
        }
        return max(0, prefetch - open.count)
    }

    var isPaused: Bool { blocked.count >= DeliveryState.maximumBlockedKeys }

    /// Takes in what matches up to `end`, in order; false if there was no room for all of it, and ``scanned`` says how far it came.
    mutating func accept(_ events: [StoredEvent], scanned end: Int64) -> Bool {
        for event in events where event.position.number > scanned {
            let key = orderKey(event)
            if blocked[key] != nil, changes.count < DeliveryState.maximumUnwritten {
                hold(event.position.number, key, event.key)
            } else {
                guard room > 0, blocked[key] == nil else {
                    scanned = event.position.number - 1
                    wasRefused = true
                    return false
                }
                open.insert(event.position.number)
                take(Item(event: event, key: key))
            }
            scanned = event.position.number
        }
        scanned = max(scanned, end)
        return true
    }

    /// Takes in again what was under way when the process ended; it is open already.
    mutating func resume(_ events: [StoredEvent]) {
        for event in events {
            open.insert(event.position.number)
            take(Item(event: event, key: orderKey(event)))
        }
    }

    private mutating func take(_ item: Item) {
        if settlesFirst {
            staged.append(item)
            changes.touchesCursor = true
        } else {
            enqueue(item)
        }
    }

    private mutating func enqueue(_ item: Item) {
        if waiting[item.key] != nil {
            waiting[item.key]?.append(item)
        } else {
            waiting[item.key] = []
            ready.append(item)
        }
    }

    private mutating func hold(_ position: Int64, _ key: OrderKey, _ eventKey: String) {
        blocked[key]?.held += 1
        changes.held[position] = .some(eventKey)
    }

    private func orderKey(_ event: StoredEvent) -> OrderKey {
        order == .byKey ? .key(event.key) : .position(event.position.number)
    }

    /// The feeder waits for room.
    mutating func awaitRoom() { wasRefused = true }

    /// Whether the feeder was turned away and may come again.
    mutating func takeRoomSignal() -> Bool {
        guard wasRefused, room >= max(1, prefetch / 2) else { return false }
        wasRefused = false
        return true
    }

    // MARK: Attempts

    var hasReady: Bool { !ready.isEmpty && !isStopped }

    /// The next attempt to make; nil if there is none at present.
    mutating func next(now: MonotonicTime) -> Attempt? {
        guard !isStopped, let item = ready.popFirst() else { return nil }
        nextSerial += 1
        let deadline = now + timeout
        running[nextSerial] = Running(item: item, deadline: deadline)
        return Attempt(serial: nextSerial, event: item.event, number: item.attempts + 1, deadline: deadline)
    }

    /// An attempt has ended well.
    mutating func succeeded(_ serial: UInt64) {
        guard let item = running.removeValue(forKey: serial)?.item else { return }
        settle(item)
    }

    /// An attempt has failed. `jitter` is drawn from 0 to 1.
    mutating func failed(_ serial: UInt64, _ error: any Error, jitter: Double, now: MonotonicTime) {
        guard let item = running.removeValue(forKey: serial)?.item else { return }
        fail(item, error, jitter: jitter, now: now)
    }

    /// An attempt was broken off because the bus stops: the event stays open.
    mutating func abandoned(_ serial: UInt64) {
        running[serial] = nil
    }

    private mutating func settle(_ item: Item) {
        let position = item.event.position.number
        let key = item.key
        switch item.origin {
        case .window:
            open.remove(position)
            changes.touchesCursor = true
            if let next = waiting[key]?.popFirst() { ready.append(next) } else { waiting[key] = nil }
        case .failing:
            changes.failures[position] = .some(nil)
            changes.deadLetters[position] = .some(nil)
            goOn(key)
        case .held:
            changes.held[position] = .some(nil)
            blocked[key]?.held -= 1
            goOn(key)
        }
    }

    /// The event that blocked a key, or one held behind it, is done: the next one, or the key is free.
    private mutating func goOn(_ key: OrderKey) {
        guard var state = blocked[key] else { return }
        if let next = state.fetched.popFirst() {
            state.phase = .active
            blocked[key] = state
            ready.append(Item(event: next, key: key, origin: .held))
        } else if state.held > 0 {
            blocked[key]?.phase = .active
            loads.append(.held(key))
        } else {
            blocked[key] = nil
        }
    }

    private mutating func fail(_ item: Item, _ error: any Error, jitter: Double, now: MonotonicTime) {
        var item = item
        item.attempts += 1
        item.firstFailed = item.firstFailed ?? now
        if settlesFirst { return settle(item) }
        let isUndecodable = error is UndecodableEvent
        let verdict = isUndecodable ? .giveUp : policy.verdict(after: item.attempts, error, jitter: jitter)
        switch verdict {
        case .immediately:
            ready.prepend(item)
        case .later(let delay):
            block(item, .retrying(due: now + delay), error, now: now)
        case .giveUp:
            let reason: DeadLetter.Reason = isUndecodable ? .undecodable : error is HandlerTimeout ? .timedOut : .failed
            changes.deadLetters[item.event.position.number] = DeliveryChanges.Death(
                event: item.event, reason: reason, error: DeliveryState.text(error), attempts: item.attempts,
                firstFailed: item.firstFailed ?? now, died: now)
            block(item, .parked, error, now: now)
        }
    }

    /// Takes a failing event, and those of its key behind it, out of the window: durable rows stand for them from now on.
    private mutating func block(_ item: Item, _ phase: Blocked.Phase, _ error: any Error, now: MonotonicTime) {
        let position = item.event.position.number
        let key = item.key
        var state =
            blocked[key]
            ?? Blocked(position: position, attempts: 0, firstFailed: now, phase: phase, held: 0)
        state.position = position
        state.attempts = item.attempts
        state.firstFailed = item.firstFailed ?? now
        state.phase = phase
        state.fetched = []
        if item.origin == .held {
            state.held -= 1
            changes.held[position] = .some(nil)
        }
        blocked[key] = state
        if item.origin == .window {
            open.remove(position)
            changes.touchesCursor = true
            for successor in waiting.removeValue(forKey: key) ?? [] {
                open.remove(successor.event.position.number)
                hold(successor.event.position.number, key, successor.event.key)
            }
        }
        if phase == .parked, order == .unordered {
            // Nothing waits behind it: the dead letter is all that remains.
            blocked[key] = nil
            changes.failures[position] = .some(nil)
            return
        }
        var failure = StoredDeliveries.Failure(
            position: position, key: item.event.key, attempts: item.attempts, firstFailed: state.firstFailed,
            due: nil, error: DeliveryState.text(error))
        if case .retrying(let time) = phase {
            failure.due = time
            due.insert(Due(time: time, key: key))
        }
        changes.failures[position] = failure
    }

    /// An error's text, cut short: it is kept for every failure.
    private static func text(_ error: any Error) -> String {
        String(String(describing: error).prefix(2000))
    }

    // MARK: Blocked keys

    /// What is to be fetched now: events whose pause is over, and events held behind those that are done.
    mutating func takeLoads(now: MonotonicTime) -> [Load] {
        while let first = due.min, first.time <= now {
            due.removeMin()
            guard let state = blocked[first.key], state.phase == .retrying(due: first.time) else { continue }
            blocked[first.key]?.phase = .active
            loads.append(.event(first.key, position: state.position))
        }
        defer { loads = [] }
        return loads
    }

    var hasLoads: Bool { !loads.isEmpty }

    /// Puts back what could not be fetched.
    mutating func putBack(_ load: Load) { loads.append(load) }

    /// The event of a blocked key was fetched: it is tried again. Nil if it is there no more.
    mutating func fetched(_ event: StoredEvent?, for key: OrderKey) {
        guard let state = blocked[key], state.phase == .active else { return }
        guard let event else {
            changes.failures[state.position] = .some(nil)
            return goOn(key)
        }
        ready.append(
            Item(event: event, key: key, attempts: state.attempts, firstFailed: state.firstFailed, origin: .failing))
    }

    /// Events held behind a key were fetched, in order; `missing` of them are there no more.
    mutating func fetched(held events: [StoredEvent], missing: [Int64], for key: OrderKey) {
        guard blocked[key] != nil else { return }
        for position in missing {
            changes.held[position] = .some(nil)
            blocked[key]?.held -= 1
        }
        blocked[key]?.fetched = Deque(events)
        goOn(key)
    }

    /// An operator has the dead letter at `position` tried again: true if its key waits for that.
    mutating func redrive(_ event: StoredEvent, now: MonotonicTime) -> Bool {
        let key = orderKey(event)
        let position = event.position.number
        if blocked[key] == nil {
            // Nothing waits for it: an unordered subscription, or one that was set back since.
            guard waiting[key] == nil else { return false }
            blocked[key] = Blocked(position: position, attempts: 0, firstFailed: now, phase: .parked, held: 0)
        }
        guard blocked[key]?.position == position, blocked[key]?.phase == .parked else { return false }
        blocked[key]?.phase = .active
        ready.append(Item(event: event, key: key, origin: .failing))
        return true
    }

    /// An operator drops the dead letter at `position`: what is held behind it goes on. False if it is being tried again.
    mutating func discard(_ position: Int64, key: String) -> Bool {
        let key = order == .byKey ? OrderKey.key(key) : .position(position)
        if let state = blocked[key], state.position == position {
            guard state.phase == .parked else { return false }
            changes.failures[position] = .some(nil)
            goOn(key)
        }
        changes.deadLetters[position] = .some(nil)
        return true
    }

    // MARK: Time

    /// When something falls due by itself; nil if nothing does.
    var nextDue: MonotonicTime? {
        let overdue = running.values.map { $0.fencedAt ?? $0.deadline }.min()
        return [due.min?.time, overdue].compactMap { $0 }.min()
    }

    /// Attempts past their deadline, to be cancelled. Those that have not ended a whole timeout later are given up on: their event counts as failed.
    mutating func takeOverdue(now: MonotonicTime, jitter: () -> Double) -> [UInt64] {
        var cancelled: [UInt64] = []
        for (serial, attempt) in running {
            if let fence = attempt.fencedAt {
                guard fence <= now else { continue }
                running[serial] = nil
                fail(attempt.item, HandlerTimeout(timeout: timeout), jitter: jitter(), now: now)
            } else if attempt.deadline <= now {
                running[serial]?.fencedAt = now + timeout
                cancelled.append(serial)
            }
        }
        return cancelled
    }

    /// Starts nothing more.
    mutating func stop() { isStopped = true }

    var isRunning: Bool { !running.isEmpty }
    /// Positions under way.
    var openCount: Int { open.count }
    /// The first event that is not settled, as far as the window goes.
    var firstOpen: Int64? { open.min() }

    // MARK: What has to last

    /// Whether there is something to write other than an idle mark.
    var hasChanges: Bool { !changes.isEmpty }

    /// Takes what has to be written, together with where the subscription is.
    mutating func takeChanges() -> DeliveryChanges {
        var taken = changes
        taken.scanned = scanned
        taken.open = settlesFirst ? [] : open.sorted()
        changes = DeliveryChanges()
        beingWritten += staged
        staged = []
        return taken
    }

    /// What was taken is written.
    mutating func written() {
        let items = beingWritten
        beingWritten = []
        for item in items { enqueue(item) }
    }

    /// What was taken could not be written: it comes again with the next, which overrides it where both speak of a position.
    mutating func notWritten(_ taken: DeliveryChanges) {
        changes.merge(older: taken)
        staged = beingWritten + staged
        beingWritten = []
    }
}
