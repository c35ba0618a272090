import DovetailCore

/// What one run found; printed as one JSON object a line.
package struct Measurement: Sendable {
    /// How many events there were, or commands, loads or sagas, in how long.
    private let count: Int
    private let seconds: Double
    /// Processor time of the whole process, those who ask included.
    private let processorSeconds: Double
    /// From the call to its return, or from publishing to the handler, in microseconds.
    private let latencies: [Float]
    /// Whether a rate says something: not where the rate is given.
    package var hasRate = true

    /// The time and processor time that `body` takes for the events that it returns, with their latencies in microseconds.
    package static func of(_ body: () async throws -> (Int, [Float])) async throws -> Measurement {
        let processor = Process.processorSeconds
        let start = MonotonicTime.now
        let (count, latencies) = try await body()
        let seconds = (MonotonicTime.now - start).inSeconds
        guard count > 0 else { throw UsageError("nothing happened in \(seconds) s") }
        return Measurement(
            count: count, seconds: seconds, processorSeconds: Process.processorSeconds - processor,
            latencies: latencies)
    }

    /// So many a second.
    package var rate: Double { Double(count) / seconds }

    /// The processor time of one, in microseconds.
    package var processorMicroseconds: Double { processorSeconds * 1e6 / Double(count) }

    func report() {
        if hasRate { Report.line("rate", rate, "/s") }
        Report.line("cpu_us", processorMicroseconds, "us")
        if !latencies.isEmpty {
            let sorted = latencies.sorted()
            func percentile(_ share: Double) -> Double { Double(sorted[Int(Double(sorted.count - 1) * share)]) / 1000 }
            Report.line("p50_ms", percentile(0.5), "ms")
            Report.line("p99_ms", percentile(0.99), "ms")
        }
        Report.line("rss_mb", Process.residentMegabytes, "MB")
    }
}

/// The lines that a run prints.
package enum Report {
    /// One figure; with a `size`, of a log of so many events.
    package static func line(_ metric: String, size: Int? = nil, _ value: Double, _ unit: String) {
        let size = size.map { "\"size\":\($0)," } ?? ""
        print("{\"metric\":\"\(metric)\",\(size)\"value\":\(value),\"unit\":\"\(unit)\"}")
    }
}
