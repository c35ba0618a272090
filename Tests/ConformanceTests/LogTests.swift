import DovetailTesting
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
