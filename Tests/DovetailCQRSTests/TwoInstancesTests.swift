import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation
import Testing

@testable import DovetailCQRS

/// Commands on two instances: both or neither, whoever else is at work with them.
@Suite struct TwoInstancesTests {
    private static let accounts = ["a", "b", "c", "d"]

    @Test("What is taken from one is given to the other, in one commit; what the one refuses neither has")
    func both() async throws {
        try await withLogs { log in
            let executor = CommandExecutor(log: log)
            try await executor.move(10, "a")
            let outcome = try await executor.transfer(4, from: "a", to: "b")
            #expect(outcome.position.number == log.head)
            #expect(outcome.version == 1, "the stream with the last event is b's")
            #expect(try await executor.account("a").balance == 6)
            #expect(try await executor.account("b").balance == 4)
            await #expect(throws: Account.Refused(balance: 6)) { try await executor.transfer(7, from: "a", to: "b") }
            #expect(log.head == 3)
            // From memory and from the log alike.
            #expect(try await CommandExecutor(log: log).account("b").balance == 4)
            await #expect(throws: SameInstanceError.self) { try await executor.transfer(1, from: "a", to: "a") }
        }
    }

    @Test("The same key again is the same command; on other instances it is refused")
    func once() async throws {
        try await withLogs { log in
            let executor = CommandExecutor(log: log)
            try await executor.move(10, "a")
            let first = try await executor.transfer(4, from: "a", to: "b", key: "k")
            let again = try await CommandExecutor(log: log).transfer(4, from: "a", to: "b", key: "k")
            #expect(again.wasDuplicate)
            #expect((again.position, again.version) == (first.position, first.version))
            #expect(log.head == 3)
            await #expect(throws: Problem.keyReused) {
                try await executor.transfer(4, from: "c", to: "d", key: "k")
            }
            // One that has led to nothing is remembered too.
            let nothing = try await executor.transfer(0, from: "a", to: "b", key: "n")
            try await executor.move(1, "a")
            let still = try await executor.transfer(2, from: "a", to: "b", key: "n")
            #expect(still.wasDuplicate)
            #expect(still.position == nothing.position)
            #expect(try await executor.account("a").balance == 7)
        }
    }

    @Test("Many transfers and commands on one at a time: nothing is lost and nothing is made", .timeLimit(.minutes(1)))
    func contended() async throws {
        try await withLogs { log in
            let executors = [CommandExecutor(log: log), CommandExecutor(log: log)]
            for account in Self.accounts { try await executors[0].move(100, account) }
            let deposited = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<120 {
                    let executor = executors[number % 2]
                    let from = Self.accounts[number % 4]
                    let to = Self.accounts[(number + 1 + number / 4 % 3) % 4]
                    group.addTask {
                        if number % 5 == 0 {
                            try await executor.move(3, to)
                            return 3
                        }
                        _ = try await executor.transfer(1 + number % 7, from: from, to: to)
                        return 0
                    }
                }
                return try await group.reduce(0, +)
            }
            for executor in executors + [CommandExecutor(log: log)] {
                var sum = 0
                for account in Self.accounts { sum += try await executor.account(account).balance }
                #expect(sum == 400 + deposited)
            }
        }
    }

    @Test("Read models that change with events see both, and refuse both")
    func inline() async throws {
        try await withLogs { log in
            let executor = CommandExecutor(log: log)
            let totals = Projection(
                "totals", version: 1, tables: "CREATE TABLE totals (account TEXT PRIMARY KEY, cents BIGINT NOT NULL)"
            )
            .on(Account.moved) { moved, tables in
                let account = moved.event.stream?.name ?? ""
                try tables.execute(
                    """
                    INSERT INTO totals (account, cents) VALUES (\(account), \(moved.amount))
                    ON CONFLICT (account) DO UPDATE SET cents = totals.cents + excluded.cents
                    """)
                if try tables.row(Int.self, "SELECT MAX(cents) FROM totals") ?? 0 > 50 {
                    throw Account.Refused(balance: 50)
                }
            }
            try await executor.project(totals, with: Account.aggregate, as: "bank")
            try await executor.move(45, "a")
            try await executor.move(45, "b")
            try await executor.transfer(5, from: "a", to: "b")
            await #expect(throws: Account.Refused(balance: 50)) { try await executor.transfer(5, from: "a", to: "b") }
            let rows = try await log.snapshot { try $0.rows(Int.self, "SELECT cents FROM totals ORDER BY account") }
            #expect(rows == [40, 50])
            #expect(try await executor.account("a").balance == 40)
        }
    }
}

extension CommandExecutor {
    @discardableResult
    fileprivate func transfer(_ amount: Int, from: String, to: String, key: CommandKey? = nil) async throws
        -> CommandOutcome
    {
        try await execute(
            Account.aggregate, from, Account.aggregate, to, key: key, source: "bank", context: nil
        ) { payer, payee in
            amount == 0 ? ([], []) : (try payer.move(-amount), try payee.move(amount))
        }
    }
}
