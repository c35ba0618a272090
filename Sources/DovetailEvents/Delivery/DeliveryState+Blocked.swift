import Collections
import DovetailCore

/// Keys that an event of theirs has blocked: what comes after it waits in durable rows, and other keys flow.
extension DeliveryState {
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
        var fetched: Deque<Envelope> = []
    }

    struct Due: Comparable {
        let time: MonotonicTime
        let key: OrderKey
        static func < (left: Due, right: Due) -> Bool { left.time < right.time }
        static func == (left: Due, right: Due) -> Bool { left.time == right.time }
    }

    /// Goes on with what is stored.
    mutating func restoreBlocked(_ stored: StoredDeliveries, now: MonotonicTime) {
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

    mutating func hold(_ position: Int64, _ key: OrderKey, _ eventKey: String) {
        blocked[key]?.held += 1
        changes.held[position] = .some(eventKey)
    }

    /// The key waits for this event from now on.
    mutating func block(_ key: OrderKey, _ item: Item, _ phase: Blocked.Phase, now: MonotonicTime) {
        var state =
            blocked[key]
            ?? Blocked(position: item.position, attempts: 0, firstFailed: now, phase: phase, held: 0)
        state.position = item.position
        state.attempts = item.attempts
        state.firstFailed = item.firstFailed ?? now
        state.phase = phase
        state.fetched = []
        if item.origin == .held {
            state.held -= 1
            changes.held[item.position] = .some(nil)
        }
        blocked[key] = state
    }

    /// Has the row of an event that blocks its key written.
    mutating func write(_ key: OrderKey, _ item: Item, _ phase: Blocked.Phase, _ error: any Error) {
        guard let state = blocked[key] else { return }
        if phase == .parked, order == .unordered, state.held == 0 {
            // Nothing waits behind it: the dead letter is all that remains.
            blocked[key] = nil
            changes.failures[item.position] = .some(nil)
            return
        }
        var failure = StoredDeliveries.Failure(
            position: item.position, key: item.envelope.event.key, attempts: item.attempts,
            firstFailed: state.firstFailed, due: nil, error: DeliveryState.text(error))
        if case .retrying(let time) = phase {
            failure.due = time
            due.insert(Due(time: time, key: key))
        }
        changes.failures[item.position] = failure
    }

    /// The event that blocked a key, or one held behind it, is done: the next one, or the key is free.
    mutating func goOn(_ key: OrderKey) {
        guard var state = blocked[key] else { return }
        if let next = state.fetched.popFirst() {
            state.phase = .active
            blocked[key] = state
            tryBlocked(Item(envelope: next, origin: .held), for: key)
        } else if state.held > 0 {
            blocked[key]?.phase = .active
            loads.append(.held(key))
        } else {
            blocked[key] = nil
        }
    }

    // MARK: Fetching

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
    mutating func fetched(_ envelope: Envelope?, for key: OrderKey) {
        guard let state = blocked[key], state.phase == .active else { return }
        guard let envelope else {
            changes.failures[state.position] = .some(nil)
            return goOn(key)
        }
        tryBlocked(
            Item(envelope: envelope, attempts: state.attempts, firstFailed: state.firstFailed, origin: .failing),
            for: key)
    }

    /// Events held behind a key were fetched, in order; `missing` of them are there no more.
    mutating func fetched(held envelopes: [Envelope], missing: [Int64], for key: OrderKey) {
        guard blocked[key]?.phase == .active else { return }
        for position in missing {
            changes.held[position] = .some(nil)
            blocked[key]?.held -= 1
        }
        blocked[key]?.fetched = Deque(envelopes)
        goOn(key)
    }

    // MARK: For operators

    /// An operator has the dead letter at `position` tried again: true if its key waits for that.
    mutating func redrive(_ envelope: Envelope, now: MonotonicTime) -> Bool {
        let key = orderKey(envelope)
        if blocked[key] == nil {
            // Nothing waits for it: an unordered subscription, or one that was set back since.
            guard !isUnderWay(envelope) else { return false }
            blocked[key] = Blocked(
                position: envelope.position, attempts: 0, firstFailed: now, phase: .parked, held: 0)
        }
        guard blocked[key]?.position == envelope.position, blocked[key]?.phase == .parked else { return false }
        blocked[key]?.phase = .active
        tryBlocked(Item(envelope: envelope, origin: .failing), for: key)
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
}
