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
        let slot: Int
        let serial: UInt64
        let envelope: Envelope
        let number: Int
        let deadline: MonotonicTime

        var event: StoredEvent { envelope.event }
    }

    enum Origin {
        /// Open: it came through the window.
        case window
        /// It blocks its key.
        case failing
        /// It is held behind one that failed.
        case held
    }

    struct Item {
        let envelope: Envelope
        var attempts = 0
        var firstFailed: MonotonicTime?
        var origin = Origin.window
        /// The blocked key that it is tried for: what it was blocked by, whatever the subscription's order is now.
        var blockedKey: OrderKey?

        var position: Int64 { envelope.position }
    }

    /// A place for an event under way; places are used again.
    private struct Slot {
        var item: Item?
        /// The event of the same key that waits behind it.
        var next = Slot.none
        /// The attempt that runs; 0: none does.
        var serial: UInt64 = 0
        var lane: UInt64 = 0
        var deadline = MonotonicTime(nanoseconds: 0)
        var fencedAt: MonotonicTime?

        static let none = -1
    }

    /// At so many blocked keys the subscription pauses: something is wrong with all of it.
    static let maximumBlockedKeys = 10_000
    static let maximumUnwritten = 4096

    let order: Subscription.Order
    let prefetch: Int
    let policy: RedeliveryPolicy
    let timeout: Duration
    let settlesFirst: Bool

    private(set) var scanned: Int64
    /// Events that came through the window and are not settled.
    private(set) var openCount = 0
    private var slots: [Slot] = []
    private var free: [Int] = []
    /// For each key with an event in the window: the last one.
    private var tails: [EnvelopeKey: Int] = [:]
    private var ready: Deque<Int> = []
    private var runningCount = 0
    private var nextSerial: UInt64
    var blocked: [OrderKey: Blocked] = [:]
    var due = Heap<Due>()
    var loads: [Load] = []
    var changes = DeliveryChanges()
    /// Accepted at most once: they are handled after the cursor that says they are settled was written.
    private var staged: [Int] = []
    private var beingWritten: [Int] = []
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
        restoreBlocked(stored, now: now)
    }

    /// A serial number beyond all of this state's, for the one that follows it.
    var lastSerial: UInt64 { nextSerial }

    // MARK: Events in

    /// How many more events there is room for.
    var room: Int {
        guard blocked.count < DeliveryState.maximumBlockedKeys, changes.count < DeliveryState.maximumUnwritten else {
            return 0
        }
        return max(0, prefetch - openCount)
    }

    var isPaused: Bool { blocked.count >= DeliveryState.maximumBlockedKeys }

    /// Takes in what matches up to `end`, in order; false if there was no room for all of it, and ``scanned`` says how far it came.
    mutating func accept(_ envelopes: some Sequence<Envelope>, scanned end: Int64) -> Bool {
        for envelope in envelopes where envelope.position > scanned {
            if isBlocked(envelope), changes.count < DeliveryState.maximumUnwritten {
                hold(envelope.position, orderKey(envelope), envelope.event.key)
            } else {
                guard room > 0, !isBlocked(envelope) else {
                    scanned = envelope.position - 1
                    wasRefused = true
                    return false
                }
                take(envelope)
            }
            scanned = envelope.position
        }
        scanned = max(scanned, end)
        return true
    }

    /// Takes in again what was under way when the process ended; it is open already.
    mutating func resume(_ envelopes: some Sequence<Envelope>) {
        for envelope in envelopes { take(envelope) }
    }

    private func isBlocked(_ envelope: Envelope) -> Bool {
        !blocked.isEmpty && blocked[orderKey(envelope)] != nil
    }

    private mutating func take(_ envelope: Envelope) {
        openCount += 1
        let slot = place(Item(envelope: envelope))
        if settlesFirst {
            staged.append(slot)
            changes.touchesCursor = true
        } else {
            enqueue(slot)
        }
    }

    private mutating func place(_ item: Item) -> Int {
        guard let slot = free.popLast() else {
            slots.append(Slot(item: item))
            return slots.count - 1
        }
        slots[slot].item = item
        return slot
    }

    private mutating func release(_ slot: Int) {
        slots[slot].item = nil
        slots[slot].next = Slot.none
        free.append(slot)
    }

    private mutating func enqueue(_ slot: Int) {
        guard order == .byKey, let envelope = slots[slot].item?.envelope,
            let last = tails.updateValue(slot, forKey: EnvelopeKey(envelope: envelope))
        else { return ready.append(slot) }
        slots[last].next = slot
    }

    /// Whether the event, or another of its key that would have to come first, is in the window.
    func isUnderWay(_ envelope: Envelope) -> Bool {
        order == .byKey
            ? tails[EnvelopeKey(envelope: envelope)] != nil
            : slots.contains { $0.item?.position == envelope.position }
    }

    func orderKey(_ envelope: Envelope) -> OrderKey {
        order == .byKey ? .key(envelope.event.key) : .position(envelope.position)
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
    var readyCount: Int { isStopped ? 0 : ready.count }

    /// The next attempt to make, by `lane`; nil if there is none at present.
    mutating func next(now: MonotonicTime, lane: UInt64 = 0) -> Attempt? {
        guard !isStopped, let slot = ready.popFirst(), let item = slots[slot].item else { return nil }
        nextSerial += 1
        runningCount += 1
        let deadline = now + timeout
        slots[slot].serial = nextSerial
        slots[slot].lane = lane
        slots[slot].deadline = deadline
        return Attempt(
            slot: slot, serial: nextSerial, envelope: item.envelope, number: item.attempts + 1, deadline: deadline)
    }

    /// An attempt has ended well.
    mutating func succeeded(_ attempt: Attempt) {
        guard let item = end(attempt) else { return }
        settle(item, attempt.slot)
    }

    /// An attempt has failed. `jitter` is drawn from 0 to 1.
    mutating func failed(_ attempt: Attempt, _ error: any Error, jitter: Double, now: MonotonicTime) {
        guard let item = end(attempt) else { return }
        fail(item, attempt.slot, error, jitter: jitter, now: now)
    }

    /// An attempt was broken off because the bus stops: the event stays open.
    mutating func abandoned(_ attempt: Attempt) {
        _ = end(attempt)
    }

    /// An attempt was not begun: it comes next again.
    mutating func returned(_ attempt: Attempt) {
        if end(attempt) != nil { ready.prepend(attempt.slot) }
    }

    /// What was tried, unless the attempt was given up meanwhile.
    private mutating func end(_ attempt: Attempt) -> Item? {
        guard slots.indices.contains(attempt.slot), slots[attempt.slot].serial == attempt.serial else { return nil }
        slots[attempt.slot].serial = 0
        slots[attempt.slot].fencedAt = nil
        runningCount -= 1
        return slots[attempt.slot].item
    }

    private mutating func settle(_ item: Item, _ slot: Int) {
        let position = item.position
        switch item.origin {
        case .window:
            openCount -= 1
            changes.touchesCursor = true
            if slots[slot].next != Slot.none {
                ready.append(slots[slot].next)
            } else if order == .byKey {
                tails[EnvelopeKey(envelope: item.envelope)] = nil
            }
        case .failing:
            changes.failures[position] = .some(nil)
            changes.deadLetters[position] = .some(nil)
            goOn(item.blockedKey ?? orderKey(item.envelope))
        case .held:
            let key = item.blockedKey ?? orderKey(item.envelope)
            changes.held[position] = .some(nil)
            blocked[key]?.held -= 1
            goOn(key)
        }
        release(slot)
    }

    private mutating func fail(_ item: Item, _ slot: Int, _ error: any Error, jitter: Double, now: MonotonicTime) {
        var item = item
        item.attempts += 1
        item.firstFailed = item.firstFailed ?? now
        if settlesFirst { return settle(item, slot) }
        let isUndecodable = error is UndecodableEvent
        let isHopeless = isUndecodable || error is ProcessEnded
        let verdict = isHopeless ? .giveUp : policy.verdict(after: item.attempts, error, jitter: jitter)
        switch verdict {
        case .immediately:
            slots[slot].item = item
            ready.prepend(slot)
        case .later(let delay):
            leave(slot, item, .retrying(due: now + delay), error, now: now)
        case .giveUp:
            let reason: DeadLetter.Reason =
                isUndecodable ? .undecodable : isHopeless ? .crashed : error is HandlerTimeout ? .timedOut : .failed
            changes.deadLetters[item.position] = DeliveryChanges.Death(
                event: item.envelope.event, reason: reason, error: DeliveryState.text(error), attempts: item.attempts,
                firstFailed: item.firstFailed ?? now, died: now)
            leave(slot, item, .parked, error, now: now)
        }
    }

    /// Takes a failing event, and those of its key behind it, out of the window: durable rows stand for them from now on.
    private mutating func leave(
        _ slot: Int, _ item: Item, _ phase: Blocked.Phase, _ error: any Error, now: MonotonicTime
    ) {
        let key = item.blockedKey ?? orderKey(item.envelope)
        block(key, item, phase, now: now)
        if item.origin == .window {
            openCount -= 1
            changes.touchesCursor = true
            if order == .byKey { tails[EnvelopeKey(envelope: item.envelope)] = nil }
            var successor = slots[slot].next
            while successor != Slot.none, let held = slots[successor].item {
                openCount -= 1
                hold(held.position, key, held.envelope.event.key)
                let next = slots[successor].next
                release(successor)
                successor = next
            }
        }
        release(slot)
        write(key, item, phase, error)
    }

    /// An error's text, cut short: it is kept for every failure.
    static func text(_ error: any Error) -> String {
        String(String(describing: error).prefix(2000))
    }

    /// An event of a blocked key is to be tried.
    mutating func tryBlocked(_ item: Item, for key: OrderKey) {
        var item = item
        item.blockedKey = key
        ready.append(place(item))
    }

    // MARK: Time

    /// When something falls due by itself; nil if nothing does.
    var nextDue: MonotonicTime? {
        var next = due.min?.time
        guard runningCount > 0 else { return next }
        for slot in slots where slot.serial != 0 {
            let time = slot.fencedAt ?? slot.deadline
            next = min(next ?? time, time)
        }
        return next
    }

    /// Attempts past their deadline, to be cancelled, by their lanes. Those that have not ended a whole timeout later are given up on: their event counts as failed.
    mutating func takeOverdue(now: MonotonicTime, jitter: () -> Double) -> [UInt64] {
        guard runningCount > 0 else { return [] }
        var lanes: [UInt64] = []
        for slot in slots.indices where slots[slot].serial != 0 {
            if let fence = slots[slot].fencedAt {
                guard fence <= now, let item = slots[slot].item else { continue }
                slots[slot].serial = 0
                slots[slot].fencedAt = nil
                runningCount -= 1
                fail(item, slot, HandlerTimeout(timeout: timeout), jitter: jitter(), now: now)
            } else if slots[slot].deadline <= now {
                slots[slot].fencedAt = now + timeout
                lanes.append(slots[slot].lane)
            }
        }
        return lanes
    }

    /// Starts nothing more.
    mutating func stop() { isStopped = true }

    /// The positions under way, in order.
    var open: [Int64] {
        slots.compactMap { slot in slot.item.flatMap { $0.origin == .window ? $0.position : nil } }.sorted()
    }

    /// The positions of events that no handler was given. Settled before they are handled, they are not when there is nobody left to handle them.
    private var notBegun: [Int64] {
        slots.compactMap { slot in slot.serial == 0 ? slot.item.flatMap { $0.attempts == 0 ? $0.position : nil } : nil }
            .sorted()
    }

    /// The first event that is not settled, as far as the window goes.
    var firstOpen: Int64? { openCount == 0 ? nil : open.first }

    // MARK: What has to last

    /// Whether there is something to write other than an idle mark.
    var hasChanges: Bool { !changes.isEmpty }

    /// Takes what has to be written, together with where the subscription is.
    mutating func takeChanges() -> DeliveryChanges {
        var taken = changes
        taken.scanned = scanned
        taken.open = settlesFirst ? isStopped ? notBegun : [] : open
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
