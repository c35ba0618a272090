import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Synchronization
import Testing

@testable import DovetailCQRS

/// Commands that say which version they were thought up on.
@Suite struct ExpectedVersionTests {
    private let log: any EventLog
    private let executor: CommandExecutor

    init() throws {
        log = try MemoryStore().log
        executor = CommandExecutor(log: log)
    }

    private func conflict(_ expected: Int64, _ actual: Int64) -> CommandConflict {
        CommandConflict(stream: "account-a", expected: expected, actual: actual)
    }

    @Test("A command on another version than it expects is refused with both, once, and decides nothing")
    func refuses() async throws {
        #expect(try await executor.move(10, expected: .exactly(0)).version == 1)
        #expect(try await executor.move(10, expected: .exactly(1)).version == 2)
        let decided = Mutex(0)
        for executor in [executor, CommandExecutor(log: log)] {
            let error = await #expect(throws: CommandConflict.self) {
                try await executor.execute(
                    Account.aggregate, "a", expected: .exactly(1), source: "bank", context: nil
                ) { account in
                    decided.withLock { $0 += 1 }
                    return try account.move(1)
                }
            }
            #expect(error == conflict(1, 2))
            #expect(error?.failureKind == .permanent)
            #expect(
                error?.description
                    == "'account-a' is at version 2, not at 1 as expected: it was changed since; look at it again and decide anew"
            )
        }
        #expect(decided.withLock { $0 } == 0)
        await #expect(throws: conflict(7, 2)) { try await executor.move(1, expected: .exactly(7)) }
        #expect(log.head == 2)
    }

    @Test("What another writer has done counts, though this process has not seen it: in both directions")
    func otherWriter() async throws {
        let other = CommandExecutor(log: log)
        try await executor.move(1)
        try await other.move(1)
        // This one still believes that the account is at version 1.
        await #expect(throws: conflict(1, 2)) { try await executor.move(1, expected: .exactly(1)) }
        try await other.move(1)
        #expect(try await executor.move(1, expected: .exactly(3)).version == 4)
    }

    @Test("An instance that was taken for new is looked at before a conflict is told")
    func assumedNew() async throws {
        let other = CommandExecutor(log: log)
        try await other.move(1)
        try await other.move(1)
        for id in 0..<20 { try await executor.move(1, "\(id)") }
        #expect(try await executor.move(1, expected: .exactly(2)).version == 3)
        for id in 20..<40 { try await executor.move(1, "\(id)") }
        let error = await #expect(throws: CommandConflict.self) {
            try await executor.move(1, "none", expected: .exactly(2))
        }
        #expect(error?.actual == 0)
    }

    @Test("Of many that expect the same version one wins, and the others are told the version that they have met")
    func race() async throws {
        let won = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<30 {
                group.addTask {
                    do { return try await executor.move(1, expected: .exactly(0)).version == 1 } catch {
                        #expect(error as? CommandConflict == conflict(0, 1))
                        return false
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(won == 1)
        #expect(log.head == 1)
    }

    @Test("A command that comes again under its key has its answer, though its version has passed")
    func underAKey() async throws {
        let first = try await executor.move(1, key: "k", expected: .exactly(0))
        try await executor.move(1)
        let again = try await executor.move(1, key: "k", expected: .exactly(0))
        #expect(again.wasDuplicate && again.version == 1 && again.position == first.position)
        await #expect(throws: conflict(0, 2)) { try await executor.move(1, key: "other", expected: .exactly(0)) }
    }
}
