import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailSagas
import Foundation

/// Sagas that are carried until the process is killed, and say each call that they make: `c KEY WHAT` for one that is done, `z ID STATUS` for an instance in the end, `y` for a child, and `l ID` for one that holds
/// or wants a seat then.
///
/// The callee is this process's output: it knows a call by its key. Every third saga is refused at its last step, and undone. On the way each takes one of two seats, waits for its payment, and has a child insure it.
enum Sagas {
    struct Trip: Wire {
        var id: String, number: Int
        var payment: Payment?
        var insurance: String?
    }

    struct Payment: Wire { var id: String }

    static let booked = Event("trip.booked", Trip.self, key: \.id)
    static let paid = Event("trip.paid", Payment.self, key: \.id)

    static func main(_ folder: String, isLast: Bool) async throws {
        let store = try SQLiteStore.open(folder + "/log.db", options: .init(checkpointPages: 40, ballastBytes: 4096))
        let journal = SagaJournal(log: store.log)
        try await journal.prepare()
        let policy = SagaPolicy(attempts: 3, backoff: .milliseconds(2))
        let insurance = Saga("insurance", of: Trip.self)
            .step("insure", into: \.insurance) { trip, saga in
                say(saga.idempotencyKey, "insure")
                return trip.id
            }
            .policy(policy)
        let saga = Saga("trip", startedBy: booked) { $0 }
            .lock("seat", resource: "seat", key: { "\($0.number % 2)" })
            .parallel(
                { step($0, "flight") },
                { step($0, "hotel") }
            )
            .wait("payment", for: paid, key: \.id, into: \.payment)
            .child(
                "insurance", of: insurance, start: { $0 }, into: \.insurance, result: \.insurance,
                undo: { _, saga in say(saga.idempotencyKey, "undo") }
            )
            .pause("a moment", for: .milliseconds(3))
            .step("charge") { trip, saga in
                if trip.number % 3 == 0 { throw Problem("refused", status: 409) }
                say(saga.idempotencyKey, "charge")
            }
            .compensated { _, _, saga in say(saga.idempotencyKey, "told") }
            .policy(policy)
        let (commands, wakeUps) = (CommandExecutor(log: store.log), SagaWakeUps())
        let runners = [
            saga.runner(log: store.log, commands: commands, source: "t", wakeUps: wakeUps),
            insurance.runner(log: store.log, commands: commands, source: "t", wakeUps: wakeUps),
        ]
        let running = runners.map { runner in Task { try await runner.run() } }
        func events(_ type: String) async throws -> [StoredEvent] {
            try await store.log.events(after: 0, types: [type], limit: 100_000).events
        }
        if !isLast {
            for _ in 0..<4 {
                let number = Int(store.log.head)
                let draft = try EventDraft(booked(Trip(id: "\(number)", number: number)), source: "t", context: nil)
                _ = try await store.log.publish([draft])
            }
        }
        // Also those that were booked in a life that did not come to their payment.
        let payments = Set(try await events("trip.paid").map(\.key))
        for trip in try await events("trip.booked") where !payments.contains(trip.key) {
            _ = try await store.log.publish([EventDraft(paid(Payment(id: trip.key)), source: "t", context: nil)])
        }
        // Until all have ended.
        while true {
            let counts = try await journal.counts()
            let started = try await journal.instances(saga: "trip", limit: 100_000).count
            let asked = try await events("trip.booked").count
            if started == asked, (counts[.running] ?? 0) + (counts[.compensating] ?? 0) == 0 { break }
            try await Task.sleep(for: .milliseconds(3))
        }
        for one in running {
            one.cancel()
            _ = await one.result
        }
        if isLast {
            for record in try await journal.instances(limit: 100_000) {
                let place = record.saga == "trip" ? "z" : "y"
                print(place, record.id, record.status.rawValue)
                if try await !journal.locks(of: record.id).isEmpty { print("l", record.id) }
            }
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
