import DovetailTesting
import Testing

@Suite struct BusTests {
    @Test(.timeLimit(.minutes(2)), arguments: BusConformance.checks)
    func keepsItsPromiseOverMemory(_ check: ConformanceCheck) async throws {
        try await withMemoryStore { try await check.run(on: $0) }
    }

    @Test(.timeLimit(.minutes(2)), arguments: BusConformance.checks)
    func keepsItsPromiseOverSQLite(_ check: ConformanceCheck) async throws {
        try await withSQLiteStore { try await check.run(on: $0) }
    }
}
