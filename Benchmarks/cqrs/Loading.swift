import BenchmarkSupport
import DovetailCQRS
import DovetailCore
import DovetailEvents

/// The state of an aggregate of a thousand events, one load after the other.
enum Loading {
    private static let events = 1000

    /// Made from its events each time.
    static func cold(_ log: any EventLog, _ options: Options) async throws -> Measurement {
        try await fill(log)
        return try await measure(options) { try await CommandExecutor(log: log).state(Tally.aggregate, "a") }
    }

    /// Made from its snapshot each time, after which there is no event.
    static func fromSnapshot(_ log: any EventLog, _ options: Options) async throws -> Measurement {
        try await fill(log)
        // The first load takes the snapshot.
        _ = try await CommandExecutor(log: log).state(Tally.withSnapshots, "a")
        let executor = CommandExecutor(log: log)
        return try await measure(options) {
            try await executor.state(Tally.withSnapshots, "a", asOf: .version(Int64(events)))
        }
    }

    /// Kept in memory.
    static func cached(_ log: any EventLog, _ options: Options) async throws -> Measurement {
        try await fill(log)
        let executor = CommandExecutor(log: log)
        return try await measure(options) { try await executor.state(Tally.aggregate, "a") }
    }

    private static func fill(_ log: any EventLog) async throws {
        try Tally.check()
        let drafts = try (0..<events).map { _ in
            try EventDraft(Tally.added(Tally.sample), source: "bench", context: nil)
        }
        _ = try await log.append([Append(stream: Tally.aggregate.stream("a"), events: drafts)])
    }

    private static func measure(
        _ options: Options, _ load: () async throws -> (Tally, Int64)
    ) async throws -> Measurement {
        for _ in 0..<20 { _ = try await load() }
        return try await .of {
            var latencies: [Float] = []
            let end = MonotonicTime.now + .seconds(options.seconds)
            var start = MonotonicTime.now
            while start < end {
                let (tally, version) = try await load()
                guard tally.count == events, version == Int64(events) else {
                    throw UsageError("\(tally.count) events of \(events) were loaded")
                }
                let now = MonotonicTime.now
                latencies.append(Float((now - start).wholeNanoseconds) / 1000)
                start = now
            }
            return (latencies.count, latencies)
        }
    }
}
