import DovetailCore
import Foundation
import Testing

@testable import DovetailEvents

/// A subscription's state machine, driven at random through failures, writes that fail, restarts and operators, against what it promises.
@Suite struct DeliveryStateModelTests {
    @Test("Nothing is lost, each key keeps its order, the cursor never passes what is not settled", arguments: 0..<300)
    func model(seed: UInt64) {
        var model = DeliveryModel(seed: seed)
        for _ in 0..<400 { model.step() }
        model.finish()
        #expect(model.findings.isEmpty, "seed \(seed): \(model.findings.prefix(3))")
        #expect(model.attempts >= model.count, "seed \(seed): it has been at work")
    }
}

private struct DeliveryModel {
    struct Glitch: Error {}

    let count = 40
    private(set) var findings: [String] = []
    private(set) var attempts = 0
    private let events: [StoredEvent]
    private let subscription: Subscription
    private var random: SeededGenerator
    private var now = MonotonicTime.now
    private var machine: DeliveryState
    private var running: [DeliveryState.Attempt] = []
    /// Attempts that were cancelled, and when they are given up on.
    private var fences: [UInt64: MonotonicTime] = [:]
    /// Attempts that were given up on, and whose handlers do not know.
    private var zombies: [DeliveryState.Attempt] = []

    // What is written.
    private var scanned: Int64 = 0
    private var open: [Int64] = []
    private var failures: [Int64: StoredDeliveries.Failure] = [:]
    private var held: [Int64: String] = [:]
    private var dead: Set<Int64> = []

    // What has happened.
    private var succeeded: Set<Int64> = []
    private var discarded: Set<Int64> = []
    private var lastOfKey: [String: Int64] = [:]

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let log = UniqueID.derived(from: "log")
        events = (1...40).map { number in
            StoredEvent(
                position: LogPosition(log: log, epoch: 0, number: number), stream: nil, time: Date(),
                draft: EventDraft(type: "a", key: "k\(Int.random(in: 0..<4, using: &random))", source: "t", data: []))
        }
        subscription = Subscription(
            "s", to: ["#"], prefetch: Int.random(in: 1...6, using: &random),
            redelivery: RedeliveryPolicy(immediate: 1, delayed: 1), handlerTimeout: .seconds(2),
            handler: .atLeastOnce { _, _ in })
        machine = DeliveryState(subscription, stored: .init(epoch: 0, scanned: 0, open: []), now: now)
        self.random = random
    }

    mutating func step() {
        switch Int.random(in: 0..<22, using: &random) {
        case 0..<4: accept(Int.random(in: 1...4, using: &random))
        case 4..<9: begin()
        case 9..<15: end(Int.random(in: 0..<10, using: &random))
        case 15: now = now + .seconds(Int64.random(in: 0...2, using: &random))
        case 16: write(failing: Int.random(in: 0..<4, using: &random) == 0)
        case 17: load()
        case 18: operate()
        case 19, 20: wait()
        default: if Int.random(in: 0..<4, using: &random) == 0 { restart() }
        }
    }

    /// Lets everything come to its end: no more failures, and what is parked is redriven.
    mutating func finish() {
        for _ in 0..<2000 where !isSettled {
            accept(4)
            begin()
            end(9)
            now = now + .seconds(5)
            write(failing: false)
            load()
            for position in dead.sorted() { _ = machine.redrive(envelope(position), now: now) }
        }
        if succeeded.union(discarded).count != count { findings.append("not all events were handled") }
        if !isSettled { findings.append("not all is settled") }
    }

    /// Whether nothing is left to do by what is written.
    private var isSettled: Bool { scanned == count && open.isEmpty && failures.isEmpty && held.isEmpty }

    private func event(_ number: Int64) -> StoredEvent { events[Int(number) - 1] }
    private func envelope(_ number: Int64) -> Envelope { Envelope(event(number)) }

    private mutating func accept(_ most: Int) {
        let next = events.dropFirst(Int(machine.scanned)).prefix(most)
        guard let last = next.last else { return }
        _ = machine.accept(next.map(Envelope.init), scanned: last.position.number)
        if machine.openCount > subscription.prefetch { findings.append("more are open than may be") }
    }

    private mutating func begin() {
        guard let attempt = machine.next(now: now) else { return }
        if running.contains(where: { $0.event.key == attempt.event.key }) { findings.append("two of a key at a time") }
        running.append(attempt)
        attempts += 1
    }

    private mutating func end(_ draw: Int) {
        guard let index = running.indices.randomElement(using: &random) else { return }
        let attempt = running.remove(at: index)
        let number = attempt.event.position.number
        switch draw {
        case 0: machine.failed(attempt, Problem("no", status: 409), jitter: 0.5, now: now)
        case 1, 2, 3: machine.failed(attempt, Glitch(), jitter: 0.5, now: now)
        case 4: machine.returned(attempt)
        default:
            machine.succeeded(attempt)
            if succeeded.insert(number).inserted {
                if number < lastOfKey[attempt.event.key] ?? 0 { findings.append("\(number) came after its successor") }
                lastOfKey[attempt.event.key] = number
            }
        }
    }

    /// Handlers that take too long are cancelled, and at last given up on; what they say then does not count.
    private mutating func wait() {
        // Late results come some steps later, when their event may be under way again.
        if let index = zombies.indices.randomElement(using: &random) {
            let zombie = zombies.remove(at: index)
            if Bool.random(using: &random) {
                machine.succeeded(zombie)
            } else {
                machine.failed(zombie, Glitch(), jitter: 0.5, now: now)
            }
        }
        if Bool.random(using: &random) { now = now + .seconds(3) }
        _ = machine.takeOverdue(now: now) { 0.5 }
        for attempt in running {
            if let fence = fences[attempt.serial] {
                guard fence <= now else { continue }
                running.removeAll { $0.serial == attempt.serial }
                zombies.append(attempt)
            } else if attempt.deadline <= now {
                fences[attempt.serial] = now + .seconds(2)
            }
        }
    }

    private mutating func write(failing: Bool) {
        let changes = machine.takeChanges()
        guard !failing else { return machine.notWritten(changes) }
        (scanned, open) = (changes.scanned, changes.open)
        for (position, failure) in changes.failures { failures[position] = failure }
        for (position, key) in changes.held { held[position] = key }
        for (position, death) in changes.deadLetters {
            if death == nil { dead.remove(position) } else { dead.insert(position) }
        }
        machine.written()
        for position in stride(from: 1, through: scanned, by: 1) {
            let isKnown = open.contains(position) || failures[position] != nil || held[position] != nil
            if !isKnown, !succeeded.contains(position), !discarded.contains(position) {
                findings.append("the cursor passed \(position), which is nowhere")
            }
        }
    }

    private mutating func load() {
        write(failing: false)
        for load in machine.takeLoads(now: now) {
            switch load {
            case .event(let key, let position): machine.fetched(envelope(position), for: key)
            case .held(let key):
                guard case .key(let name) = key else { continue }
                let rows = held.filter { $0.value == name }.keys.sorted().prefix(2)
                machine.fetched(held: rows.map(envelope), missing: [], for: key)
            }
        }
    }

    /// An operator redrives or discards a dead letter.
    private mutating func operate() {
        write(failing: false)
        guard let position = dead.sorted().randomElement(using: &random) else { return }
        if Bool.random(using: &random) {
            _ = machine.redrive(envelope(position), now: now)
        } else if machine.discard(position, key: event(position).key) {
            discarded.insert(position)
            write(failing: false)
        }
    }

    /// The process ends without a word, and another goes on from what is written.
    private mutating func restart() {
        running = []
        zombies = []
        let stored = StoredDeliveries(
            epoch: 0, scanned: scanned, open: open, failures: failures.values.sorted { $0.position < $1.position },
            held: Dictionary(grouping: held.values, by: { $0 }).mapValues(\.count))
        machine = DeliveryState(subscription, stored: stored, serial: machine.lastSerial, now: now)
        machine.resume(open.sorted().map(envelope))
    }
}
