import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Synchronization
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
        #expect(late?.subject == "balances" && late?.message == "it is at 0 and has not reached 1 in time")
    }

    /// A read model that cannot get past an account that was closed.
    private static let closings = Projection("closings", version: 1, tables: "CREATE TABLE closings (id TEXT)")
        .on(Account.closed) { closed, _ in throw Account.Refused(balance: 7) }
        .on(Account.moved) { moved, tables in try tables.execute("INSERT INTO closings VALUES (\(moved.id))") }

    /// One that reads another's table by a view of its own.
    private static let overview = Projection(
        "overview", version: 1, tables: "CREATE TABLE notes (id TEXT)",
        "CREATE VIEW overview AS SELECT count(*) AS closed FROM closings")

    @Test("A query waits for the read models that it reads: one beside them that is held up does not matter to it")
    func neighbours() async throws {
        let executor = CommandExecutor(log: store.log)
        try await executor.move(10)
        let position = try await executor.close().position
        let model = ReadModel(
            [balances(), Self.closings, Self.overview], from: store.log, in: try store.views(module: "bank"))
        try await model.prepare()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await model.run() } catch is CancellationError {}
            }
            defer { group.cancelAll() }
            while model.status.first(where: { $0.name == "closings" })?.status.blocked?.attempts ?? 0 < 4 {
                try await Task.sleep(for: .milliseconds(2))
            }
            let start = MonotonicTime.now
            #expect(try await balance(model, after: position) == 10)
            // What the query throws is its own, where it rests on what has been reached.
            await #expect(throws: Problem("none", status: 404)) {
                try await model.query(after: position, until: .now + .seconds(60)) { snapshot in
                    guard try snapshot.row(Int.self, "SELECT cents FROM balances WHERE id = 'b'") != nil else {
                        throw Problem("none", status: 404)
                    }
                }
            }
            for query in [
                "SELECT count(*) FROM closings", "SELECT closed FROM overview",
                "SELECT count(*) FROM balances b JOIN Closings c ON b.id = c.id",
            ] as [SQL] {
                let error = await #expect(throws: LogError.self) {
                    try await model.query(after: position, until: .now + .seconds(60)) { try $0.row(Int.self, query) }
                }
                #expect(error?.code == .notReached && error?.subject == "closings")
                let message = error?.message ?? ""
                #expect(message.contains("cannot get past the account.closed at 2"), "\(message)")
                #expect(message.contains("Refused(balance: 7)"), "\(message)")
            }
            #expect(MonotonicTime.now - start < .seconds(30), "at once, and not at the deadline")
            // What reads none of them is there for the waiting, and told as well.
            let barrier = await #expect(throws: LogError.self) {
                try await model.query(after: position, until: .now + .seconds(60)) { _ in }
            }
            #expect(barrier?.subject == "closings")
            // Before what holds it up it is as good as any other.
            #expect(
                try await model.query(after: store.log.position(1)) {
                    try $0.row(Int.self, "SELECT closed FROM overview")
                } == 1)
        }
    }

    @Test("A query that comes to read a read model which is behind waits for it, and is made again")
    func readsOnDemand() async throws {
        let executor = CommandExecutor(log: store.log)
        let gate = Mutex(false)
        let slow = Projection("slow", version: 1, tables: "CREATE TABLE slow (id TEXT)")
            .on(Account.moved) { moved, tables in
                guard gate.withLock({ $0 }) else { throw Account.Refused(balance: 1) }
                try tables.execute("INSERT INTO slow VALUES (\(moved.id))")
            }
        let position = try await executor.move(10).position
        let model = ReadModel([balances(), slow], from: store.log, in: try store.views(module: "bank"))
        try await model.prepare()
        // Nobody is at work yet, and so nobody is held up.
        let asked = Task {
            try await model.query(after: position, until: .now + .seconds(60)) { snapshot in
                guard try snapshot.row(Int.self, "SELECT cents FROM balances") == 10 else { return -1 }
                return try snapshot.row(Int.self, "SELECT count(*) FROM slow") ?? 0
            }
        }
        try await Task.sleep(for: .milliseconds(250))
        gate.withLock { $0 = true }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await model.run() } catch is CancellationError {}
            }
            defer { group.cancelAll() }
            let count = try await asked.value
            #expect(count == 1)
        }
    }
}
