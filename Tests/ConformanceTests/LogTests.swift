import DovetailEvents
import DovetailSQLite
import DovetailTesting
import SQLiteBinding
import Testing

@Suite struct LogTests {
    @Test(arguments: EventLogConformance.checks)
    func memoryKeepsItsPromise(_ check: ConformanceCheck) async throws {
        try await withMemoryStore { try await check.run(on: $0) }
    }

    @Test(arguments: EventLogConformance.checks)
    func sqliteKeepsItsPromise(_ check: ConformanceCheck) async throws {
        try await withSQLiteStore { try await check.run(on: $0) }
    }
}

@Suite struct ScheduleTests {
    @Test(.timeLimit(.minutes(2)), arguments: ScheduleConformance.checks)
    func keepsItsPromiseOverMemory(_ check: ConformanceCheck) async throws {
        try await withMemoryStore { try await check.run(on: $0) }
    }

    @Test(.timeLimit(.minutes(2)), arguments: ScheduleConformance.checks)
    func keepsItsPromiseOverSQLite(_ check: ConformanceCheck) async throws {
        try await withSQLiteStore { try await check.run(on: $0) }
    }
}

@Suite struct RetentionTests {
    @Test(.timeLimit(.minutes(2)), arguments: RetentionConformance.checks)
    func keepsItsPromiseOverMemory(_ check: ConformanceCheck) async throws {
        try await withMemoryStore { try await check.run(on: $0) }
    }

    @Test(.timeLimit(.minutes(2)), arguments: RetentionConformance.checks)
    func keepsItsPromiseOverSQLite(_ check: ConformanceCheck) async throws {
        try await withSQLiteStore { try await check.run(on: $0) }
    }
}

@Suite struct StreamTests {
    @Test(.timeLimit(.minutes(2)), arguments: StreamConformance.checks)
    func keepsItsPromiseOverMemory(_ check: ConformanceCheck) async throws {
        try await withMemoryStore { try await check.run(on: $0) }
    }

    @Test(.timeLimit(.minutes(2)), arguments: StreamConformance.checks)
    func keepsItsPromiseOverSQLite(_ check: ConformanceCheck) async throws {
        try await withSQLiteStore { try await check.run(on: $0) }
    }

    @Test func deletionsAndTruncationsOutliveARestart() async throws {
        let folder = TemporaryFolder()
        let options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
        let store = try SQLiteStore.open(folder.path + "/log.db", options: options)
        let draft = { EventDraft(type: "t", key: "k", source: "t", data: [1]) }
        _ = try await store.log.append([Append(stream: "s", events: [draft(), draft(), draft()])])
        try await store.log.truncate("s", through: 2)
        try await store.log.delete("s")
        let before = try await store.log.streamStatus("s")
        await store.close()
        let again = try SQLiteStore.open(folder.path + "/log.db", options: options)
        #expect(try await again.log.streamStatus("s") == before)
        let error = await #expect(throws: LogError.self) {
            try await again.log.append([Append(stream: "s", events: [draft()])])
        }
        #expect(error?.code == .streamDeleted)
        #expect(try await again.log.verify { _ in }.isWhole)
        await again.close()
    }

    @Test func theEndOfAStreamOutlivesARestart() async throws {
        let folder = TemporaryFolder()
        let options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
        let store = try SQLiteStore.open(folder.path + "/log.db", options: options)
        let draft = { EventDraft(type: "t", key: "k", source: "t", data: [1]) }
        _ = try await store.log.append([Append(stream: "s", events: [draft(), draft(), draft()])])
        let before = try await store.log.tombstone("s", holds: [RetentionHold(name: "the view", done: 1)])
        #expect(before.truncated == 1)
        await store.close()
        let again = try SQLiteStore.open(folder.path + "/log.db", options: options)
        #expect(try await again.log.streamStatus("s") == before)
        for change in [StreamChange.restore, nil] {
            let error = await #expect(throws: LogError.self) {
                try await again.log.append([Append(stream: "s", events: change == nil ? [draft()] : [], change: change)]
                )
            }
            #expect(error?.code == .streamTombstoned)
        }
        #expect(try await Retention(log: again.log, rules: []).runOnce() == 2)
        #expect(try await again.log.verify { _ in }.isWhole)
        await again.close()
        // Events that are missing without a record, and an end without its events, are found.
        let connection = try SQLiteConnection(path: folder.path + "/log.db", checkpointsOnClose: true)
        try connection.run("UPDATE dovetail_streams SET floor = 2, leaving = 0")
        let broken = try SQLiteStore.open(folder.path + "/log.db", options: options)
        let findings = try await broken.log.verify { _ in }.findings.map(\.message)
        #expect(findings.contains { $0.contains("'s' was deleted for good by half") }, "\(findings)")
        await broken.close()
    }

    @Test func aStoreFromBeforeDeletionsIsBroughtUp() async throws {
        let folder = TemporaryFolder()
        let options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
        let store = try SQLiteStore.open(folder.path + "/log.db", options: options)
        let draft = { EventDraft(type: "t", key: "k", source: "t", data: [1]) }
        _ = try await store.log.append([Append(stream: "s", events: [draft()])])
        await store.close()
        let connection = try SQLiteConnection(path: folder.path + "/log.db", checkpointsOnClose: true)
        try connection.run("DROP INDEX dovetail_streams_leaving")
        for column in ["deleted_at", "tombstoned_at", "leaving"] {
            try connection.run("ALTER TABLE dovetail_streams DROP COLUMN \(column)")
        }
        try connection.run("PRAGMA user_version = 2")
        let again = try SQLiteStore.open(folder.path + "/log.db", options: options)
        #expect(try await again.log.streamStatus("s")?.version == 1)
        try await again.log.delete("s")
        #expect(try await again.log.streamStatus("s")?.deletedAt != nil)
        #expect(try await again.log.tombstone("s", holds: []).truncated == 1)
        #expect(try await again.log.verify { _ in }.isWhole)
        await again.close()
    }
}
