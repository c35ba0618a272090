import DovetailCore
import DovetailEvents
import Synchronization

/// A log that holds appends back until it is told what becomes of them.
final class FailingLog: EventLog {
    private struct Held: Sendable {
        let appends: [Append]
        let ticket: Ticket<Appended>
    }

    let base: any EventLog
    private let held = Mutex<[Held]?>(nil)

    init(_ base: any EventLog) { self.base = base }

    /// From now on appends wait.
    func hold() { held.withLock { $0 = [] } }

    var heldCount: Int { held.withLock { $0?.count ?? 0 } }

    /// Lets the first that waits fail and carries the others out, in their order; later ones do not wait.
    func failFirst(_ error: LogError) async throws {
        let waiting = held.withLock { held -> [Held] in
            defer { held = nil }
            return held ?? []
        }
        waiting.first?.ticket.fulfil(.failure(error))
        for one in waiting.dropFirst() {
            let ticket = try base.enqueue(one.appends)
            do { one.ticket.fulfil(.success(try await ticket.value)) } catch { one.ticket.fulfil(.failure(error)) }
        }
    }

    func enqueue(_ append: Append, as module: String, with effect: @escaping Append.Effect) throws -> Ticket<Appended> {
        try base.enqueue(append, as: module, with: effect)
    }
    func enqueue(_ appends: [Append]) throws -> Ticket<Appended> {
        let waiting = held.withLock { held -> Ticket<Appended>? in
            guard held != nil else { return nil }
            let ticket = Ticket<Appended>()
            held?.append(Held(appends: appends, ticket: ticket))
            return ticket
        }
        return try waiting ?? base.enqueue(appends)
    }

    var identity: (log: UniqueID, epoch: Int) { base.identity }
    var durability: Durability { base.durability }
    var condition: LogCondition { base.condition }
    var head: Int64 { base.head }
    func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage {
        try await base.events(after: number, types: types, limit: limit)
    }
    func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await base.stream(name, after: version, limit: limit)
    }
    func stream(_ name: String, before version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await base.stream(name, before: version, limit: limit)
    }
    func event(id: UniqueID) async throws -> StoredEvent? { try await base.event(id: id) }
    func truncatedEvent(id: UniqueID) async throws -> TruncatedEvent? { try await base.truncatedEvent(id: id) }
    func reclaim(_ topics: [TopicPattern], after number: Int64, upTo end: Int64, limit: Int, unless hold: SQL?)
        async throws -> Reclaimed
    {
        try await base.reclaim(topics, after: number, upTo: end, limit: limit, unless: hold)
    }
    func streamStatus(_ name: String) async throws -> StreamStatus? { try await base.streamStatus(name) }
    func truncate(_ truncation: StreamTruncation, unless hold: SQL?) async throws {
        try await base.truncate(truncation, unless: hold)
    }
    func tombstones(after name: String, limit: Int) async throws -> [StreamStatus] {
        try await base.tombstones(after: name, limit: limit)
    }
    func emptied(_ stream: String) async throws { try await base.emptied(stream) }
    func verify(progress: @escaping @Sendable (Int64) -> Void) async throws -> LogVerification {
        try await base.verify(progress: progress)
    }
    func waitForHead(beyond number: Int64) async throws -> Int64 { try await base.waitForHead(beyond: number) }
    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value { try await base.transaction(label, as: role, body) }
    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        try await base.snapshot(body)
    }
}
