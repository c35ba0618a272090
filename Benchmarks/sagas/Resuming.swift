import BenchmarkSupport
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailSagas
import Synchronization

/// Sagas that have taken their first step and sleep when their process is killed, and are all due at once for the one that comes after it.
struct Resuming {
    let options: Options

    /// How long they sleep: `scripts/bench/sagas` waits as long before it starts the second process.
    private static let pause = Duration.seconds(15)

    private func saga(_ atFirstStep: @escaping @Sendable () -> Void) -> Saga<Booking> {
        Saga("booking", startedBy: Booking.requested) { Booking(request: $0) }
            .step("book flight", into: \.flight) { booking, _ in
                atFirstStep()
                return "flight of \(booking.request.id)"
            }
            .pause("sleep", for: Self.pause)
            .step("book hotel", into: \.hotel) { "hotel of \($0.request.id)" }
    }

    /// Starts them all, says `begun` when they sleep, and goes on until it is killed.
    func begin() async throws {
        let begun = Mutex(0)
        let node = try await Node(options.folder, saga { begun.withLock { $0 += 1 } })
        try await node.fill(options.sagas)
        try await node.running {
            while begun.withLock({ $0 }) < options.sagas { try await Task.sleep(for: .milliseconds(20)) }
            // What the last of them have come to is written.
            try await Task.sleep(for: .seconds(1))
            Benchmark.say("begun")
            try await Task.sleep(for: .seconds(3600))
        }
    }

    /// Carries on what the killed process has left: measured from before the store is opened until the last has ended.
    func resume() async throws -> Measurement {
        try await Measurement.of {
            let node = try await Node(options.folder, saga {})
            // Each has three events: what asks for it, its start, its end.
            try await node.runs(until: Int64(options.sagas) * 3)
            await node.store.close()
            return (options.sagas, [])
        }
    }
}
