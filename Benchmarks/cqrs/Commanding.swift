import BenchmarkSupport
import DovetailCQRS
import DovetailCore
import DovetailEvents

/// Commands of one event each, by 64 callers at once; each is answered when its event is durable.
enum Commanding {
    private static let callers = 64

    /// Each command is the first on an aggregate of its own.
    static func distinct(_ log: any EventLog, _ options: Options) async throws -> Measurement {
        try await measure(log, options) { caller, number in "\(caller)-\(number)" }
    }

    /// All commands are on one aggregate.
    static func hot(_ log: any EventLog, _ options: Options) async throws -> Measurement {
        try await measure(log, options) { _, _ in "hot" }
    }

    /// Each command is on one of many aggregates that have been there for long, drawn at random: nearly none of them is in memory.
    static func old(_ log: any EventLog, _ options: Options) async throws -> Measurement {
        let count = options.aggregates
        for first in stride(from: 0, to: count, by: 500) {
            let appends = try (first..<min(first + 500, count)).map { number in
                Append(
                    stream: Tally.aggregate.stream("\(number)"), expected: .exactly(0),
                    events: [try EventDraft(Tally.added(Tally.sample), source: "bench", context: nil)])
            }
            _ = try await log.append(appends)
        }
        return try await measure(log, options) { _, _ in "\(Int.random(in: 0..<count))" }
    }

    private static func measure(
        _ log: any EventLog, _ options: Options, _ id: @escaping @Sendable (Int, Int) -> String
    ) async throws -> Measurement {
        try Tally.check()
        let executor = CommandExecutor(log: log)
        _ = try await run(executor, until: .now + .seconds(options.seconds / 4)) { id($0, -1 - $1) }
        let before = log.head
        return try await .of {
            let latencies = try await run(executor, until: .now + .seconds(options.seconds), id)
            guard log.head - before == Int64(latencies.count) else {
                throw UsageError("\(latencies.count) commands have led to \(log.head - before) events")
            }
            return (latencies.count, latencies)
        }
    }

    private static func run(
        _ executor: CommandExecutor, until end: MonotonicTime, _ id: @escaping @Sendable (Int, Int) -> String
    ) async throws -> [Float] {
        try await withThrowingTaskGroup(of: [Float].self) { group in
            for caller in 0..<callers {
                group.addTask {
                    var latencies: [Float] = []
                    var start = MonotonicTime.now
                    while start < end {
                        try await executor.execute(
                            Tally.aggregate, id(caller, latencies.count), source: "bench", context: nil
                        ) { _ in [Tally.added(Tally.sample)] }
                        let now = MonotonicTime.now
                        latencies.append(Float((now - start).wholeNanoseconds) / 1000)
                        start = now
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}
