import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Testing

@testable import DovetailCQRS

@Suite struct CommandExecutorTests {
    private let log: any EventLog
    private let executor: CommandExecutor

    init() throws {
        log = try MemoryStore().log
        executor = CommandExecutor(log: log)
    }

    @Test("A decision is appended under the next versions; its outcome says how far the log and the stream are")
    func decides() async throws {
        #expect(try await executor.move(10).version == 1)
        let second = try await executor.move(-4)
        #expect(second.version == 2)
        #expect(second.position.number == log.head)
        #expect(try await executor.account() == Account(balance: 6))
        #expect(try await CommandExecutor(log: log).account() == Account(balance: 6))
        #expect(try await executor.account("other") == Account())
    }

    @Test("A refusal appends nothing and is told with its reason; doing nothing is an outcome")
    func refuses() async throws {
        try await executor.move(3)
        await #expect(throws: Account.Refused(balance: 3)) { try await executor.move(-4) }
        for _ in 0..<2 {
            let outcome = try await executor.execute(Account.aggregate, "a", source: "bank", context: nil) {
                $0.close()
            }
            #expect(outcome.version == 2)
        }
        #expect(log.head == 2)
    }

    @Test("Of many commands at once each decides on what the one before has left")
    func concurrent() async throws {
        try await executor.move(50)
        let refused = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<80 {
                group.addTask { (try? await executor.move(-1)) == nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(refused == 30)
        #expect(try await CommandExecutor(log: log).account() == Account(balance: 0))
    }

    @Test("What another writer has changed is seen: neither a decision nor a refusal rests on what is no more")
    func otherWriter() async throws {
        let other = CommandExecutor(log: log)
        try await executor.move(1)
        try await other.move(9)
        try await executor.move(-10)
        await #expect(throws: Account.Refused(balance: 0)) { try await other.move(-1) }
        // The other one still believes that the account is empty.
        try await executor.move(5)
        try await other.move(-5)
        #expect(
            try await executor.execute(Account.aggregate, "a", source: "bank", context: nil) { $0.close() }.version == 6
        )
        await #expect(throws: Account.Refused(balance: 0)) { try await other.move(1) }
    }

    @Test("A key whose command's events were truncated has its effect once all the same, and is held to its input")
    func truncatedKey() async throws {
        func move(_ input: String) async throws -> CommandOutcome {
            try await executor.execute(
                Account.aggregate, "a", key: CommandKey("first", input: input), source: "bank", context: nil
            ) { try $0.move(7) }
        }
        let first = try await move("7")
        try await executor.move(1)
        try await log.truncate(Account.aggregate.stream("a"), through: 1)
        let again = try await move("7")
        #expect(again.wasDuplicate && again.position == first.position && again.version == 1)
        #expect(log.head == 2)
        await #expect(throws: Problem.keyReused) { _ = try await move("8") }
    }

    @Test("A refusal that rests on an append which fails is decided again")
    func refusalBehindFailure() async throws {
        let failing = FailingLog(log)
        let executor = CommandExecutor(log: failing)
        try await executor.move(10)
        failing.hold()
        let spent = Task { try await executor.move(-10) }
        while failing.heldCount < 1 { await Task.yield() }
        let second = Task { try await executor.move(-7) }
        while failing.heldCount < 2 { await Task.yield() }
        try await failing.failFirst(LogError(.storeFull, "test", "the disk is full"))
        await #expect(throws: LogError.self) { try await spent.value }
        #expect(try await second.value.version == 2)
        #expect(try await executor.account() == Account(balance: 3))
    }

    @Test("A decision behind an append that fails is decided again, on what there is")
    func decisionBehindFailure() async throws {
        let failing = FailingLog(log)
        let executor = CommandExecutor(log: failing)
        try await executor.move(0)
        failing.hold()
        let gained = Task { try await executor.move(10) }
        while failing.heldCount < 1 { await Task.yield() }
        let spent = Task { try await executor.move(-10) }
        while failing.heldCount < 2 { await Task.yield() }
        try await failing.failFirst(LogError(.storeFull, "test", "the disk is full"))
        await #expect(throws: LogError.self) { try await gained.value }
        await #expect(throws: Account.Refused(balance: 0)) { try await spent.value }
    }

    @Test(
        "The same key is the same command: carried out once, also by another executor; with another input it is refused"
    )
    func keys() async throws {
        let key = CommandKey("k", input: "10")
        let first = try await executor.move(10, key: key)
        for again in [executor, CommandExecutor(log: log)] {
            let outcome = try await again.move(10, key: key)
            #expect(outcome.wasDuplicate)
            #expect(outcome.position == first.position)
            #expect(try await again.move(10, key: "k").wasDuplicate)
            await #expect(throws: Problem.keyReused) { try await again.move(20, key: CommandKey("k", input: "20")) }
        }
        #expect(try await executor.move(1, "b", key: key).wasDuplicate == false, "another instance, another command")
        #expect(try await executor.account() == Account(balance: 10))
    }

    @Test("Many callers with one key: one command")
    func concurrentKeys() async throws {
        let fresh = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask { try await !executor.move(1, key: "k").wasDuplicate }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(fresh == 1)
        #expect(log.head == 1)
    }

    @Test("A key whose command was refused may be tried again")
    func refusedKey() async throws {
        await #expect(throws: Account.Refused(balance: 0)) { try await executor.move(-1, key: "k") }
        try await executor.move(1)
        #expect(try await executor.move(-1, key: "k").wasDuplicate == false)
    }

    @Test("More instances than are kept in memory: those that left come back from the log")
    func eviction() async throws {
        let small = CommandExecutor(log: log, limit: 4)
        for round in 1...3 {
            for id in 0..<20 { #expect(try await small.move(1, "\(id)").version == Int64(round)) }
        }
        #expect(try await small.account("7") == Account(balance: 3))
    }

    @Test("An event that the aggregate does not know names itself and its stream")
    func unknownEvent() async throws {
        let strange = EventDraft(type: "account.frozen", key: "a", source: "bank", data: Array("{}".utf8))
        _ = try await log.append([Append(stream: "account-a", events: [strange])])
        let error = await #expect(throws: AggregateError.self) { try await executor.move(1) }
        #expect(error?.event == EventIdentity("account.frozen", 1))
        #expect(error?.stream == "account-a")
    }
}
