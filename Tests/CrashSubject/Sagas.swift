import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailSagas
import Foundation

/// Sagas that are carried until the process is killed, and say each call that they make: `c KEY WHAT` for one that is done, `z ID STATUS` for an instance in the end.
///
/// The callee is this process's output: it knows a call by its key. Every third saga is refused at its last step, and undone.
enum Sagas {
    struct Trip: Wire { var id: String, number: Int }

    static let booked = Event("trip.booked", Trip.self, key: \.id)

    static func main(_ folder: String, isLast: Bool) async throws {
        let store = try SQLiteStore.open(folder + "/log.db", options: .init(checkpointPages: 40, ballastBytes: 4096))
        let journal = SagaJournal(log: store.log)
        try await journal.prepare()
        let policy = SagaPolicy(attempts: 3, backoff: .milliseconds(2))
        let saga = Saga("trip", startedBy: booked) { $0 }
            .parallel(
                { step($0, "flight") },
                { step($0, "hotel") }
            )
            .pause("a moment", for: .milliseconds(3))
            .step("charge") { trip, saga in
                if trip.number % 3 == 0 { throw Problem("refused", status: 409) }
                say(saga.idempotencyKey, "charge")
            }
            .compensated { _, _, saga in say(saga.idempotencyKey, "told") }
            .policy(policy)
        let runner = saga.runner(
            log: store.log, commands: CommandExecutor(log: store.log), source: "t", wakeUps: SagaWakeUps())
        let running = Task { try await runner.run() }
        if !isLast {
            for _ in 0..<4 {
                let number = Int(store.log.head)
                let draft = try EventDraft(booked(Trip(id: "\(number)", number: number)), source: "t", context: nil)
                _ = try await store.log.publish([draft])
            }
        }
        // Until all have ended.
        while true {
            let counts = try await journal.counts()
            let started = counts.values.reduce(0, +)
            let asked = try await store.log.events(after: 0, types: ["trip.booked"], limit: 100_000).events.count
            if started == asked, (counts[.running] ?? 0) + (counts[.compensating] ?? 0) == 0 { break }
            try await Task.sleep(for: .milliseconds(3))
        }
        running.cancel()
        _ = await running.result
        if isLast {
            for record in try await journal.instances(limit: 100_000) { print("z", record.id, record.status.rawValue) }
        }
        await store.close()
    }

    private static func step(_ branch: SagaBranch<Trip>, _ name: String) -> SagaBranch<Trip> {
        branch.step(name) { _, saga in
            say(saga.idempotencyKey, name)
        } undo: { _, saga in
            say(saga.idempotencyKey, "undo")
        }
    }

    private static func say(_ key: String, _ what: String) {
        let line = Array("c \(key.replacing(" ", with: "_")) \(what)\n".utf8)
        _ = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
