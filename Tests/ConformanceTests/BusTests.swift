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

@Suite struct HistoryTests {
    @Test(.timeLimit(.minutes(2)), arguments: HistoryConformance.checks)
    func holdOverMemory(_ check: ConformanceCheck) async throws {
        try await withMemoryStore { try await check.run(on: $0) }
    }

    @Test(.timeLimit(.minutes(2)), arguments: HistoryConformance.checks)
    func holdOverSQLite(_ check: ConformanceCheck) async throws {
        try await withSQLiteStore { try await check.run(on: $0) }
    }

    /// The checker finds what it is there to find.
    @Test func checkerFindsPlantedFaults() {
        func history(_ delivered: [(String, Int)], acknowledged: Int = 3) -> DeliveryHistory {
            let history = DeliveryHistory()
            for number in 1...3 { history.attempting(.init("a", number)) }
            for number in 1...max(1, acknowledged) { history.acknowledged(.init("a", number)) }
            for (key, number) in delivered { history.delivered(.init(key, number)) }
            return history
        }
        let whole = [("a", 1), ("a", 2), ("a", 3)]
        #expect(history(whole).findings(.effectivelyOnce).isEmpty)
        #expect(history([("a", 1), ("a", 2)]).findings(.atLeastOnce) == [.lost(.init("a", 3))])
        #expect(history([("a", 1), ("a", 2)], acknowledged: 2).findings(.atLeastOnce).isEmpty)
        #expect(history([("a", 1), ("a", 2)]).findings(.atMostOnce).isEmpty)
        #expect(history(whole + [("b", 1)]).findings(.atLeastOnce) == [.unexpected(.init("b", 1))])
        #expect(history(whole + [("a", 1)]).findings(.atLeastOnce).isEmpty, "a repetition is no disorder")
        #expect(history(whole + [("a", 1)]).findings(.effectivelyOnce) == [.duplicated(.init("a", 1))])
        #expect(
            Set(history([("a", 1), ("a", 3), ("a", 2)]).findings(.atLeastOnce)) == [
                .skipped(.init("a", 2), before: .init("a", 3)), .outOfOrder(.init("a", 2), after: .init("a", 3)),
            ])
    }
}
