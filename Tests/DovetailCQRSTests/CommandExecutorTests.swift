import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Foundation
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
        #expect(try await executor.account() == Account(balance: 10))
    }

    @Test(
        "A key is one command on one instance: on another it is refused, also where the first has led to nothing, or was truncated"
    )
    func keyOfAnotherInstance() async throws {
        try await executor.move(10, key: CommandKey("moved", input: "a"))
        try await executor.close("b", key: "closed")
        try await executor.close("b", key: "nothing")
        for key in ["moved", "closed", "nothing"] as [CommandKey] {
            for executor in [executor, CommandExecutor(log: log)] {
                await #expect(throws: Problem.keyReused) { try await executor.move(1, "c", key: key) }
            }
        }
        #expect(log.head == 2)
        try await log.truncate(Account.aggregate.stream("a"), through: 1)
        await #expect(throws: Problem.keyReused) { try await executor.move(1, "c", key: "moved") }
        #expect(try await executor.move(10, key: "moved").wasDuplicate)
    }

    @Test(
        "The same key gets the same answer, whatever number of events the command led to, and when some of them were truncated",
        arguments: [0, 1, 2, 3, 7, 8, 33])
    func sameAnswer(_ count: Int) async throws {
        func run(_ executor: CommandExecutor) async throws -> CommandOutcome {
            try await executor.execute(Account.aggregate, "a", key: "k", source: "bank", context: nil) { _ in
                Array(repeating: Account.moved(.init(id: "a", amount: 1)), count: count)
            }
        }
        try await executor.move(1)
        let first = try await run(executor)
        #expect(first.version == Int64(1 + count))
        try await executor.move(1)
        for truncated in Set([0, 2, 1 + count]).sorted() {
            if truncated > 0 { try await log.truncate(Account.aggregate.stream("a"), through: Int64(truncated)) }
            for executor in [executor, CommandExecutor(log: log)] {
                let again = try await run(executor)
                #expect(again.wasDuplicate)
                #expect(again.position == first.position, "\(count) events, \(truncated) truncated")
                #expect(again.version == first.version)
            }
        }
        #expect(log.head == Int64(2 + count))
    }

    @Test("A command that led to nothing does not act when it comes again under its key, whatever has happened since")
    func rememberedWithoutEvents() async throws {
        let first = try await executor.execute(
            Account.aggregate, "a", key: CommandKey("k", input: "x"), source: "bank", context: nil
        ) { $0.balance == 0 ? [] : $0.close() }
        #expect(!first.wasDuplicate && first.version == 0)
        try await executor.move(5)
        for executor in [executor, CommandExecutor(log: log)] {
            let again = try await executor.close(key: CommandKey("k", input: "x"))
            #expect(again.wasDuplicate && again.version == 0 && again.position == first.position)
            await #expect(throws: Problem.keyReused) { try await executor.close(key: CommandKey("k", input: "y")) }
        }
        #expect(try await executor.account() == Account(balance: 5))
        #expect(try await executor.forgetKeys(before: .now + 60) == 1)
        #expect(try await executor.close(key: "k").wasDuplicate == false, "it is as if it had not been")
    }

    @Test("A key by which events of an earlier build are known stays known")
    func earlierIDs() async throws {
        let stream = Account.aggregate.stream("a")
        let drafts = try (0..<3).map {
            try EventDraft(
                Account.moved(.init(id: "a", amount: 1)), id: .derived(from: "command", "k", stream, "\($0)"),
                source: "bank", context: nil)
        }
        let appended = try await log.append([Append(stream: stream, events: drafts)])
        let again = try await executor.move(1, key: "k")
        #expect(again.wasDuplicate && again.position == appended.position && again.version == 3)
    }

    @Test("Two executors with one key at the same moment: both have the answer of the one that was first")
    func racingExecutors() async throws {
        for round in 0..<50 {
            let outcomes = try await withThrowingTaskGroup(of: CommandOutcome.self) { group in
                for executor in [executor, CommandExecutor(log: log)] {
                    group.addTask {
                        try await executor.execute(
                            Account.aggregate, "\(round)", key: "k\(round)", source: "bank", context: nil
                        ) { account in
                            Array(repeating: Account.moved(.init(id: "a", amount: 1)), count: 1 + account.balance % 2)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(outcomes.map(\.position.number)).count == 1)
            #expect(Set(outcomes.map(\.version)) == [1])
        }
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
