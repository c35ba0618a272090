import DovetailCore
import Foundation

/// What one run found; printed as one JSON object a line.
struct Measurement: Sendable {
    /// How many commands, loads or events there were, in how long.
    var events = 0
    var seconds = 0.0
    /// Processor time of the whole process.
    var processorSeconds = 0.0
    /// From the call to its return, in microseconds.
    var latencies: [Float] = []

    func report() {
        func line(_ metric: String, _ value: Double, _ unit: String) {
            print("{\"metric\":\"\(metric)\",\"value\":\(value),\"unit\":\"\(unit)\"}")
        }
        line("rate", Double(events) / seconds, "/s")
        line("cpu_us", processorSeconds * 1e6 / Double(events), "us")
        if !latencies.isEmpty {
            let sorted = latencies.sorted()
            func percentile(_ share: Double) -> Double { Double(sorted[Int(Double(sorted.count - 1) * share)]) / 1000 }
            line("p50_ms", percentile(0.5), "ms")
            line("p99_ms", percentile(0.99), "ms")
        }
        line("rss_mb", Process.residentMegabytes, "MB")
    }

    /// The time and processor time that `body` takes for the events it returns, with their latencies.
    static func of(_ body: () async throws -> (events: Int, latencies: [Float])) async throws -> Measurement {
        let processor = Process.processorSeconds
        let start = MonotonicTime.now
        let (events, latencies) = try await body()
        let seconds = (MonotonicTime.now - start).inSeconds
        guard events > 0 else { throw UsageError(reason: "nothing happened in \(seconds) s") }
        return Measurement(
            events: events, seconds: seconds, processorSeconds: Process.processorSeconds - processor,
            latencies: latencies)
    }
}

/// What the system says of this process.
enum Process {
    static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Now, not the most there ever was: what a run leaves behind.
    static var residentMegabytes: Double {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            let pages = text.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
        else { return 0 }
        return pages * Double(getpagesize()) / 1_048_576
    }
}
