import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailSagas

/// The saga of all cases: three steps with results and undos, which call nobody. In some it takes a lock first, and has it to its end.
struct Booking: Wire {
    struct Requested: Wire { var id: String, customer: String }

    static let requested = Event("booking.requested", Requested.self, key: \.id)

    var request: Requested
    var flight: String?
    var hotel: String?
    var receipt: Int?

    /// How sagas are kept apart.
    enum Locks {
        /// Not at all.
        case none
        /// By one lock each, out of so many.
        case shared(Int)
        /// By one lock each, which nobody else wants.
        case own

        func key(_ id: String) -> String {
            if case .shared(let count) = self { return String((Int(id) ?? 0) % count) }
            return id
        }
    }

    static func saga(_ locks: Locks) -> Saga<Booking> {
        var saga = Saga("booking", startedBy: requested) { Booking(request: $0) }
        switch locks {
        case .none: break
        case .shared, .own: saga = saga.lock("seat", resource: "seat", key: { locks.key($0.request.id) })
        }
        return
            saga
            .step("book flight", into: \.flight) {
                "flight of \($0.request.id)"
            } undo: { _ in
            }
            .step("book hotel", into: \.hotel) {
                "hotel of \($0.request.id)"
            } undo: { _ in
            }
            .step("charge", into: \.receipt) {
                $0.request.id.count
            } undo: { _ in
            }
    }

    static func draft(_ number: Int) throws -> EventDraft {
        try EventDraft(
            requested(.init(id: "\(number)", customer: "customer-\(number % 1000)")), source: "bench", context: nil)
    }
}

/// A store with the saga running on it.
struct Node {
    let store: SQLiteStore
    let saga: Saga<Booking>

    init(_ folder: String, _ saga: Saga<Booking> = Booking.saga(.none)) async throws {
        self.saga = saga
        store = try SQLiteStore.open(folder + "/log.db", options: .init(durability: .disk))
        try await SagaJournal(log: store.log).prepare()
    }

    /// Asks for so many sagas.
    func fill(_ sagas: Int) async throws {
        for first in stride(from: 0, to: sagas, by: 500) {
            _ = try await store.log.publish((first..<min(first + 500, sagas)).map { try Booking.draft($0) })
        }
    }

    /// Runs the saga until the log has so many events.
    func runs(until end: Int64) async throws {
        try await running {
            while store.log.head < end { _ = try await store.log.waitForHead(beyond: store.log.head) }
        }
    }

    /// Runs the saga as long as `body` does.
    func running<Value>(_ body: () async throws -> Value) async throws -> Value {
        let runner = saga.runner(
            log: store.log, commands: CommandExecutor(log: store.log), source: "bench", wakeUps: SagaWakeUps())
        let task = Task { try await runner.run() }
        defer { task.cancel() }
        return try await body()
    }
}
