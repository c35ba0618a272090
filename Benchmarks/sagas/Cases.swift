import BenchmarkSupport
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSagas
import Synchronization

/// 64 customers who each ask for a booking, wait until its saga is completed, and ask for the next; with locks, where they are to contend for something.
struct Starting {
    private static let customers = 64
    let options: Options
    let locks: Booking.Locks

    init(_ options: Options, locks: Booking.Locks = .none) {
        self.options = options
        self.locks = locks
    }

    func run() async throws -> Measurement {
        let node = try await Node(options.folder, Booking.saga(locks))
        let log = node.store.log
        let ends = Ends()
        let measurement = try await node.running {
            let tail = Task {
                var scanned: Int64 = 0
                while true {
                    if log.head <= scanned { _ = try await log.waitForHead(beyond: scanned) }
                    let page = try await log.events(after: scanned, types: ["$saga.completed"], limit: 512)
                    for event in page.events { ends.end(event.key) }
                    scanned = page.scanned
                }
            }
            defer { tail.cancel() }
            _ = try await ask(until: .now + .seconds(options.seconds / 4), log, ends)
            return try await Measurement.of {
                let latencies = try await ask(until: .now + .seconds(options.seconds), log, ends)
                return (latencies.count, latencies)
            }
        }
        await node.store.close()
        return measurement
    }

    private func ask(until end: MonotonicTime, _ log: any EventLog, _ ends: Ends) async throws -> [Float] {
        try await withThrowingTaskGroup(of: [Float].self) { group in
            for customer in 0..<Starting.customers {
                group.addTask {
                    var latencies: [Float] = []
                    var number = 0
                    while MonotonicTime.now < end {
                        number += 1
                        let draft = try Booking.draft(number * Starting.customers + customer)
                        let start = MonotonicTime.now
                        // The instance's id is made of the event's.
                        let id = SagaRecord.id(of: "booking", startedBy: draft.id).description
                        async let ended: Void = ends.wait(for: id)
                        _ = try await log.publish([draft])
                        await ended
                        latencies.append(Float((MonotonicTime.now - start).inSeconds * 1e6))
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}

/// Bookings that were all asked for before: 64 sagas are under way at any time.
struct Backlog {
    let options: Options

    init(_ options: Options) { self.options = options }

    func run() async throws -> Measurement {
        let node = try await Node(options.folder)
        try await node.fill(options.sagas)
        // Each has three events: what asks for it, its start, its end.
        let end = Int64(options.sagas) * 3
        let measurement = try await Measurement.of {
            try await node.runs(until: end)
            return (options.sagas, [])
        }
        await node.store.close()
        return measurement
    }
}

/// Who waits for the end of which instance.
final class Ends: Sendable {
    private struct State {
        var waiting: [String: CheckedContinuation<Void, Never>] = [:]
        var early: Set<String> = []
    }

    private let state = Mutex(State())

    func wait(for id: String) async {
        await withCheckedContinuation { continuation in
            let isEarly = state.withLock { state in
                if state.early.remove(id) != nil { return true }
                state.waiting[id] = continuation
                return false
            }
            if isEarly { continuation.resume() }
        }
    }

    func end(_ id: String) {
        let waiter = state.withLock { state in
            let waiter = state.waiting.removeValue(forKey: id)
            if waiter == nil { state.early.insert(id) }
            return waiter
        }
        waiter?.resume()
    }
}
