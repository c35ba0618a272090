import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailTesting
import Foundation
import Synchronization
import Testing

/// What a user's closure can do to a group that shares one commit: each of these was seen to damage one.
@Suite struct SQLiteHazardTests {
    private struct Refusal: Error {}

    private func draft(_ key: String = "k") -> EventDraft {
        EventDraft(type: "thing.happened", key: key, source: "test", data: [1, 2, 3])
    }

    /// Runs several requests in one group: they wait behind a transaction that is held up until all are in the mailbox.
    private func inOneGroup(
        _ log: any EventLog, _ requests: [@Sendable () async throws -> Void]
    ) async throws -> [Result<Void, any Error>] {
        let isHeld = Gate()
        let release = DispatchSemaphore(value: 0)
        let holding = Task {
            try await log.transaction("hold") { _ in
                isHeld.open()
                release.wait()
            }
        }
        try await isHeld.wait()
        let tasks = requests.map { request in Task { try await request() } }
        // The tasks only have to reach the mailbox; one that comes later is in the next group, which harms no test.
        try await Task.sleep(for: .milliseconds(50))
        release.signal()
        try await holding.value
        var results: [Result<Void, any Error>] = []
        for task in tasks { results.append(await task.result) }
        return results
    }

    @Test func aBrokenTransactionTakesNobodyWithIt() async throws {
        try await withSQLiteStore { store in
            let log = store.log
            try await log.transaction { transaction in
                try transaction.execute("CREATE TABLE strict (id TEXT PRIMARY KEY ON CONFLICT ROLLBACK)")
                try transaction.execute("CREATE TABLE plain (id TEXT PRIMARY KEY)")
                try transaction.execute("INSERT INTO strict VALUES ('a')")
            }
            let runs = Mutex(0)
            let results = try await inOneGroup(
                log,
                [
                    { _ = try await log.publish([self.draft()]) },
                    {
                        try await log.transaction("good") { transaction in
                            runs.withLock { $0 += 1 }
                            try transaction.execute("INSERT INTO plain VALUES ('good')")
                            try transaction.append(Append(stream: "s", expected: .exactly(0), events: [self.draft()]))
                        }
                    },
                    { try await log.transaction("bad") { _ = try $0.execute("INSERT INTO strict VALUES ('a')") } },
                    {
                        try await log.transaction("stubborn") { transaction in
                            try transaction.execute("INSERT INTO plain VALUES ('lost')")
                            // After this the transaction is gone; what follows must not be written outside of one.
                            _ = try? transaction.execute("INSERT OR ROLLBACK INTO strict VALUES ('a')")
                            try transaction.execute("INSERT INTO plain VALUES ('stray')")
                        }
                    },
                    { _ = try await log.publish([self.draft()]) },
                ])
            for index in [0, 1, 4] { #expect(throws: Never.self) { try results[index].get() } }
            for index in [2, 3] { #expect(throws: LogError.self) { try results[index].get() } }
            #expect(log.head == 3)
            let rows = try await log.snapshot { try $0.rows(String.self, "SELECT id FROM plain") }
            #expect(rows == ["good"])
            #expect(try await log.stream("s", after: 0, limit: 10).count == 1)
            #expect(try await EventLogConformanceReading.numbers(log) == [1, 2, 3])
        }
    }

    @Test func aTriggerThatRollsBackTakesNobodyWithIt() async throws {
        try await withSQLiteStore { store in
            let log = store.log
            try await log.transaction { transaction in
                try transaction.execute("CREATE TABLE own (id TEXT)")
                try transaction.execute(
                    "CREATE TRIGGER sly BEFORE INSERT ON own WHEN NEW.id = 'x' BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
            }
            let results = try await inOneGroup(
                log,
                [
                    { _ = try await log.publish([self.draft()]) },
                    { try await log.transaction("bad") { _ = try $0.execute("INSERT INTO own VALUES ('x')") } },
                    { try await log.transaction("good") { _ = try $0.execute("INSERT INTO own VALUES ('y')") } },
                ])
            #expect(throws: LogError.self) { try results[1].get() }
            for index in [0, 2] { #expect(throws: Never.self) { try results[index].get() } }
            #expect(log.head == 1)
        }
    }

    @Test func aDeferredForeignKeyFailsItsOwnTransactionOnly() async throws {
        try await withSQLiteStore { store in
            let log = store.log
            try await log.transaction { transaction in
                try transaction.execute("CREATE TABLE parents (id BIGINT PRIMARY KEY)")
                try transaction.execute(
                    "CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)")
            }
            let results = try await inOneGroup(
                log,
                [
                    { _ = try await log.publish([self.draft()]) },
                    { try await log.transaction("orphan") { _ = try $0.execute("INSERT INTO children VALUES (1)") } },
                    {
                        try await log.transaction("whole") { transaction in
                            try transaction.execute("INSERT INTO children VALUES (2)")
                            try transaction.execute("INSERT INTO parents VALUES (2)")
                        }
                    },
                ])
            #expect(throws: LogError.self) { try results[1].get() }
            for index in [0, 2] { #expect(throws: Never.self) { try results[index].get() } }
            let children = try await log.snapshot { try $0.rows(Int.self, "SELECT parent FROM children") }
            #expect(children == [2])
        }
    }

    @Test func aThrowingClosureLeavesTheOthersOfItsGroup() async throws {
        try await withSQLiteStore { store in
            let log = store.log
            let results = try await inOneGroup(
                log,
                [
                    { _ = try await log.append([Append(stream: "s", events: [self.draft()])]) },
                    {
                        try await log.transaction { transaction in
                            try transaction.append(Append(stream: "s", events: [self.draft()]))
                            try transaction.append(Append(stream: "t", events: [self.draft()]))
                            throw Refusal()
                        }
                    },
                    { _ = try await log.append([Append(stream: "s", events: [self.draft()])]) },
                ])
            for index in [0, 2] { #expect(throws: Never.self) { try results[index].get() } }
            #expect(throws: Refusal.self) { try results[1].get() }
            #expect(try await log.stream("s", after: 0, limit: 10).compactMap(\.stream?.version) == [1, 2])
            #expect(try await log.stream("t", after: 0, limit: 10).isEmpty)
            #expect(try await EventLogConformanceReading.numbers(log) == [1, 2])
        }
    }

    @Test func theWriterCompilesItsStatementsAnewAfterAModuleChangedTheTables() async throws {
        try await withSQLiteStore { store in
            for round in 0..<5 {
                _ = try await store.log.publish([draft()])
                try await store.log.transaction { transaction in
                    try transaction.execute("CREATE TABLE t\(SQL(stringLiteral: String(round))) (id BIGINT)")
                    try transaction.append(Append(stream: "s", events: [self.draft()]))
                }
            }
            #expect(store.log.head == 10)
        }
    }

    @Test func cancellationIsHonouredUntilTheBodyIsTakenUp() async throws {
        try await withSQLiteStore { store in
            let log = store.log
            let isHeld = Gate()
            let release = DispatchSemaphore(value: 0)
            let holding = Task {
                try await log.transaction("hold") { _ in
                    isHeld.open()
                    release.wait()
                }
            }
            try await isHeld.wait()
            let ran = Mutex(false)
            let waiting = Task { try await log.transaction("late") { _ in ran.withLock { $0 = true } } }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            holding.cancel()
            release.signal()
            try await holding.value
            _ = try await log.publish([draft()])
            #expect(!ran.withLock { $0 })
        }
    }

    @Test func aFullMailboxSaysSo() async throws {
        let folder = TemporaryFolder()
        let options = SQLiteStore.Options(durability: .operatingSystem, maximumWaitingRequests: 10, ballastBytes: 0)
        let store = try SQLiteStore.open(folder.path + "/log.db", options: options)
        let isHeld = Gate()
        let release = DispatchSemaphore(value: 0)
        let holding = Task {
            try await store.log.transaction("hold") { _ in
                isHeld.open()
                release.wait()
            }
        }
        try await isHeld.wait()
        var tickets: [Ticket<Appended>] = []
        var refusal: LogError?
        for _ in 0..<20 where refusal == nil {
            do { tickets.append(try store.log.enqueue([Append(events: [draft()])])) } catch {
                refusal = error as? LogError
            }
        }
        #expect(refusal?.code == .overloaded)
        #expect(tickets.count == 10)
        let patient = Task { try await store.log.publish([draft()]) }
        release.signal()
        try await holding.value
        for ticket in tickets { _ = try await ticket.value }
        _ = try await patient.value
        #expect(store.log.head == 11)
        await store.close()
    }
}

/// Reads what a log holds, for tests.
enum EventLogConformanceReading {
    static func numbers(_ log: any EventLog) async throws -> [Int64] {
        var numbers: [Int64] = []
        var scanned: Int64 = 0
        while scanned < log.head {
            let page = try await log.events(after: scanned, types: nil, limit: 500)
            numbers += page.events.map(\.position.number)
            scanned = page.scanned
        }
        return numbers
    }
}
