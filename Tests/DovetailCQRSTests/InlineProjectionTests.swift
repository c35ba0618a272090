import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation
import Testing

@testable import DovetailCQRS

/// Read models that change in the transaction of an aggregate's events.
@Suite struct InlineProjectionTests {
    /// One balance of a kind for all accounts: no two may have the same.
    private static func balances(version: Int = 1, isUnique: Bool = true) -> Projection {
        Projection(
            "balances", version: version,
            tables: "CREATE TABLE balances (account TEXT PRIMARY KEY, cents BIGINT NOT NULL, at BIGINT NOT NULL)"
        )
        .on(Account.moved) { moved, tables in
            let account = moved.event.stream?.name ?? ""
            try tables.execute(
                """
                INSERT INTO balances (account, cents, at) VALUES (\(account), \(moved.amount), \(moved.position.number))
                ON CONFLICT (account) DO UPDATE SET cents = balances.cents + excluded.cents, at = excluded.at
                """)
            guard isUnique else { return }
            let same = try tables.row(
                Int.self,
                """
                SELECT COUNT(*) FROM balances a JOIN balances b ON a.cents = b.cents AND a.account <> b.account
                """)
            if same != 0 { throw Account.Refused(balance: -1) }
        }
    }

    private struct Row: Decodable, Equatable, Sendable { var account: String, cents: Int, at: Int64 }

    private static func rows(_ log: any EventLog) async throws -> [Row] {
        try await log.snapshot { try $0.rows(Row.self, "SELECT account, cents, at FROM balances ORDER BY account") }
    }

    @Test("What a command has done is there when it is answered, with where its events stand; what was refused is not")
    func isThere() async throws {
        try await withLogs { log in
            let commands = CommandExecutor(log: log)
            try await commands.project(Self.balances(), with: Account.aggregate, as: "bank")
            for number in 1...5 {
                let outcome = try await commands.move(number * 10, "\(number)")
                let rows = try await Self.rows(log)
                #expect(rows.count == number)
                #expect(
                    rows.last
                        == Row(account: "account-\(number)", cents: number * 10, at: outcome.position.number))
            }
            await #expect(throws: Account.Refused(balance: 10)) { try await commands.move(-11, "1") }
            #expect(try await Self.rows(log).first?.cents == 10)
            // Doing nothing changes nothing.
            _ = try await commands.execute(Account.aggregate, "1", source: "bank", context: nil) { _ in [] }
            #expect(try await Self.rows(log).map(\.cents) == [10, 20, 30, 40, 50])
        }
    }

    @Test(
        "What a read model's function throws refuses the command: nothing of it is there, and the next one decides on what was"
    )
    func refuses() async throws {
        try await withLogs { log in
            let commands = CommandExecutor(log: log)
            try await commands.project(Self.balances(), with: Account.aggregate, as: "bank")
            try await commands.move(10, "1")
            try await commands.move(20, "2")
            let head = log.head
            await #expect(throws: Account.Refused(balance: -1)) { try await commands.move(-10, "2") }
            #expect(log.head == head)
            #expect(try await Self.rows(log).map(\.cents) == [10, 20])
            #expect(try await commands.account("2") == Account(balance: 20))
            #expect(try await commands.move(5, "2").version == 2)
            #expect(try await Self.rows(log).map(\.cents) == [10, 25])
        }
    }

    @Test("Of many commands at once that cannot all be, one is; and many that can be are all there")
    func atOnce() async throws {
        try await withLogs { log in
            let commands = CommandExecutor(log: log)
            try await commands.project(Self.balances(), with: Account.aggregate, as: "bank")
            let wins = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<20 { group.addTask { (try? await commands.move(7, "\(number)")) != nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wins == 1)
            #expect(try await Self.rows(log).map(\.cents) == [7] && log.head == 1)
            let one = try #require(try await Self.rows(log).first?.account.split(separator: "-").last.map(String.init))
            try await withThrowingTaskGroup { group in
                for _ in 0..<100 { group.addTask { try await commands.move(1, one) } }
                try await group.waitForAll()
            }
            #expect(try await Self.rows(log).map(\.cents) == [107])
        }
    }

    @Test("A command under a key has its effect on the read model once")
    func once() async throws {
        try await withLogs { log in
            for _ in 0..<3 {
                let commands = CommandExecutor(log: log)
                try await commands.project(Self.balances(), with: Account.aggregate, as: "bank")
                try await commands.move(10, "1", key: CommandKey("k"))
            }
            #expect(try await Self.rows(log).map(\.cents) == [10])
        }
    }

    @Test(
        "It catches up with what was done without it, is made afresh when its version is new, and goes on where it was")
    func catchesUp() async throws {
        try await withLogs { log in
            let before = CommandExecutor(log: log)
            for number in 0..<2500 { try await before.move(1 + number % 3, "\(number % 7)") }
            // An event of its kind that is in no stream of the aggregate is none of its.
            _ = try await log.publish([
                try EventDraft(Account.moved(.init(id: "x", amount: 9)), source: "t", context: nil)
            ])
            let first = CommandExecutor(log: log)
            try await first.project(Self.balances(isUnique: false), with: Account.aggregate, as: "bank")
            let sum = try await Self.rows(log).reduce(0) { $0 + $1.cents }
            #expect(sum == (0..<2500).map { 1 + $0 % 3 }.reduce(0, +))
            #expect(first.inlineBuilds(of: "bank").map(\.scanned) == [log.head] && first.inlineBuilds(of: "x").isEmpty)
            try await first.move(100, "0")
            let kept = try await Self.rows(log)
            // The same version: what is there is kept, and what was missed is added.
            _ = try await log.transaction("mark", as: .module) {
                try $0.execute("UPDATE balances SET cents = cents + 1")
            }
            try await CommandExecutor(log: log).move(1000, "1")
            let again = CommandExecutor(log: log)
            try await again.project(Self.balances(isUnique: false), with: Account.aggregate, as: "bank")
            var expected = kept.map { $0.cents + 1 }
            expected[1] += 1000
            #expect(try await Self.rows(log).map(\.cents) == expected)
            // A new one is made from the log.
            let next = CommandExecutor(log: log)
            try await next.project(Self.balances(version: 2, isUnique: false), with: Account.aggregate, as: "bank")
            #expect(try await Self.rows(log).map(\.cents) == expected.map { $0 - 1 })
        }
    }

    @Test("Where what is in the log cannot be shown, the read model says at which event and why, and can put it aside")
    func undecodable() async throws {
        try await withLogs { log in
            let draft = EventDraft(
                id: .v7(), type: Account.moved.name, version: 1, key: "a", source: "t", attributes: EventAttributes(),
                data: Array(#"{"id":7}"#.utf8))
            _ = try await log.append([Append(stream: "account-1", events: [draft])])
            let commands = CommandExecutor(log: log)
            let error = await #expect(throws: LogError.self) {
                try await commands.project(Self.balances(), with: Account.aggregate, as: "bank")
            }
            #expect(error?.description.contains("at 1") == true && error?.description.contains("balances") == true)
            try await commands.project(
                Self.balances().parkingUndecodable(), with: Account.aggregate, as: "bank")
            try await commands.move(3, "2")
            #expect(try await Self.rows(log).map(\.cents) == [3])
            #expect(commands.inlineBuilds(of: "bank").map(\.parked) == [1])
        }
    }
}
