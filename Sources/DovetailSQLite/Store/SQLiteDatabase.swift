import DovetailCore
import DovetailEvents

/// A database file with its writer and its readers.
final class SQLiteDatabase: Database {
    let writer: Writer
    let readers: ReaderPool
    let identity: (log: UniqueID, epoch: Int)?

    init(_ settings: Writer.Settings, readers threads: Int) throws {
        let (writer, identity) = try Writer.start(settings)
        self.writer = writer
        self.identity = identity
        readers = try ReaderPool(path: settings.path, threads: threads, identity: identity)
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await writer.transaction(label, as: role, body)
    }

    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        try await readers.read { try $0.snapshot(body) }
    }

    func close() async {
        await writer.close()
        await readers.close()
    }
}

/// The log of a store.
final class SQLiteLog: EventLog {
    let identity: (log: UniqueID, epoch: Int)
    let durability: Durability
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase, identity: (log: UniqueID, epoch: Int), durability: Durability) {
        self.database = database
        self.identity = identity
        self.durability = durability
    }

    var condition: LogCondition { database.writer.condition.condition }

    var head: Int64 { database.writer.head.value }

    func enqueue(_ appends: [Append]) throws -> Ticket<Appended> {
        let request = AppendRequest(appends)
        try database.writer.mailbox.put(.append(request))
        return request.ticket
    }

    func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage {
        let head = head
        return try await database.readers.read {
            try $0.log.events(after: number, upTo: head, types: types, limit: limit)
        }
    }

    func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await database.readers.read { try $0.log.stream(name, after: version, limit: limit) }
    }

    func event(id: UniqueID) async throws -> StoredEvent? {
        try await database.readers.read { try $0.log.event(id: id) }
    }

    func waitForHead(beyond number: Int64) async throws -> Int64 {
        try await database.writer.head.wait(for: number + 1)
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await database.transaction(label, as: role, body)
    }

    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        try await database.snapshot(body)
    }
}
