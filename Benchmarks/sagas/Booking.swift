import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailSagas

/// The saga of all cases: three steps with results and undos, which call nobody.
struct Booking: Wire {
    struct Requested: Wire { var id: String, customer: String }

    static let requested = Event("booking.requested", Requested.self, key: \.id)

    var request: Requested
    var flight: String?
    var hotel: String?
    var receipt: Int?

    static let saga = Saga("booking", startedBy: requested) { Booking(request: $0) }
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

    static func draft(_ number: Int) throws -> EventDraft {
        try EventDraft(
            requested(.init(id: "\(number)", customer: "customer-\(number % 1000)")), source: "bench", context: nil)
    }
}

/// A store with the saga running on it.
struct Node {
    let store: SQLiteStore

    init(_ folder: String) async throws {
        store = try SQLiteStore.open(folder + "/log.db", options: .init(durability: .disk))
        try await SagaJournal(log: store.log).prepare()
    }

    /// Runs the saga as long as `body` does.
    func running<Value>(_ body: () async throws -> Value) async throws -> Value {
        let runner = Booking.saga.runner(
            log: store.log, commands: CommandExecutor(log: store.log), source: "bench", wakeUps: SagaWakeUps())
        let task = Task { try await runner.run() }
        defer { task.cancel() }
        return try await body()
    }
}
