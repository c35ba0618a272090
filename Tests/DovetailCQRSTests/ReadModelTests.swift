import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Testing

@testable import DovetailCQRS

@Suite struct ReadModelTests {
    private let store: MemoryStore

    init() throws { store = try MemoryStore() }

    private func balances(version: Int = 1, factor: Int = 1) -> Projection {
        Projection(
            "balances", version: version, tables: "CREATE TABLE balances (id TEXT PRIMARY KEY, cents BIGINT NOT NULL)"
        )
        .on(Account.moved) { moved, tables in
            try tables.execute(
                """
                INSERT INTO balances (id, cents) VALUES (\(moved.id), \(moved.amount * factor))
                ON CONFLICT (id) DO UPDATE SET cents = cents + excluded.cents
                """)
        }
    }

    /// Runs a read model for as long as `body` takes.
    private func withReadModel<Value: Sendable>(
        _ projection: Projection, _ body: @Sendable (ReadModel) async throws -> Value
    ) async throws -> Value {
        let model = ReadModel([projection], from: store.log, in: try store.views(module: "bank"))
        try await model.prepare()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await model.run() } catch is CancellationError {}
            }
            defer { group.cancelAll() }
            return try await body(model)
        }
    }

    private func balance(_ model: ReadModel, after position: LogPosition) async throws -> Int? {
        try await model.query(after: position, until: .now + .seconds(60)) {
            try $0.row(Int.self, "SELECT cents FROM balances WHERE id = 'a'")
        }
    }

    @Test("A query that waits for a position sees what was written up to it, each event once, through restarts")
    func waits() async throws {
        let executor = CommandExecutor(log: store.log)
        for round in 1...3 {
            try await withReadModel(balances()) { model in
                let outcome = try await executor.move(10)
                #expect(try await balance(model, after: outcome.position) == round * 10)
            }
        }
    }

    @Test(
        "A new version is built from the whole log beside the old one, which answers until the new one takes its place")
    func rebuild() async throws {
        let executor = CommandExecutor(log: store.log)
        let position = try await executor.move(10).position
        #expect(try await withReadModel(balances()) { try await balance($0, after: position) } == 10)
        let stopped = ReadModel([balances(version: 2, factor: 3)], from: store.log, in: try store.views(module: "bank"))
        try await stopped.prepare()
        #expect(try await balance(stopped, after: position) == 10)
        let later = try await executor.move(5).position
        for _ in 0..<2 {
            #expect(
                try await withReadModel(balances(version: 2, factor: 3)) { try await balance($0, after: later) } == 45)
        }
    }

    @Test("A position of another log, or one that is not reached in time, is refused and not waited for")
    func positions() async throws {
        let position = try await CommandExecutor(log: store.log).move(10).position
        let foreign = LogPosition(log: .v7(), epoch: position.epoch, number: position.number)
        let stopped = ReadModel([balances()], from: store.log, in: try store.views(module: "bank"))
        try await stopped.prepare()
        let unknown = await #expect(throws: LogError.self) { try await stopped.query(after: foreign) { _ in } }
        #expect(unknown?.code == .foreignPosition)
        let late = await #expect(throws: LogError.self) {
            try await stopped.query(after: position, until: .now + .milliseconds(20)) { _ in }
        }
        #expect(late?.code == .notReached)
    }
}
