/// One loop's histogram of times, which costs a count a handful of instructions: no array is checked for who shares it.
final class LatencyCounts {
    private static let bounds = GatewayMetrics.Route.bounds.map { Int64($0 * 1e9) }

    private let bounds: UnsafeMutablePointer<Int64>
    private let counts: UnsafeMutablePointer<UInt64>
    private let boundCount: Int
    private var sum: Int64 = 0

    init() {
        boundCount = LatencyCounts.bounds.count
        bounds = .allocate(capacity: boundCount)
        bounds.initialize(from: LatencyCounts.bounds, count: boundCount)
        counts = .allocate(capacity: boundCount + 1)
        counts.initialize(repeating: 0, count: boundCount + 1)
    }

    deinit {
        bounds.deallocate()
        counts.deallocate()
    }

    func count(_ nanoseconds: Int64) {
        var bucket = 0
        while bucket < boundCount, nanoseconds > bounds[bucket] { bucket += 1 }
        counts[bucket] &+= 1
        sum &+= nanoseconds
    }

    /// The counts of each bucket (not cumulative); the last one has no bound.
    var buckets: [UInt64] { Array(UnsafeBufferPointer(start: counts, count: boundCount + 1)) }
    /// The sum of all times, in seconds.
    var seconds: Double { Double(sum) / 1e9 }
}

/// One loop's counters of an upstream, which outlive changes of the configuration.
final class UpstreamCounters {
    let latency = LatencyCounts()
    var bytesSent: UInt64 = 0
    var bytesReceived: UInt64 = 0

    var values: GatewayMetrics.Upstream {
        var values = GatewayMetrics.Upstream()
        (values.latency, values.latencySum) = (latency.buckets, latency.seconds)
        (values.bytesSent, values.bytesReceived) = (bytesSent, bytesReceived)
        return values
    }
}
