import Foundation

/// Prints what was measured, one figure a line.
func report(_ sagas: Int, _ seconds: Double, _ processorSeconds: Double, _ latencies: [Double]) {
    func line(_ metric: String, _ value: Double, _ unit: String) {
        print("{\"metric\":\"\(metric)\",\"value\":\(value),\"unit\":\"\(unit)\"}")
    }
    guard sagas > 0, seconds > 0 else { return }
    line("rate", Double(sagas) / seconds, "/s")
    if processorSeconds > 0 { line("cpu_us", processorSeconds * 1e6 / Double(sagas), "us") }
    if !latencies.isEmpty {
        let sorted = latencies.sorted()
        line("p50_ms", sorted[(sorted.count - 1) / 2], "ms")
        line("p99_ms", sorted[(sorted.count - 1) * 99 / 100], "ms")
    }
}

/// What the system says of this process.
enum Process {
    static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
