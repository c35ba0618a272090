import DovetailCore

/// How long things took, by the bounds that OpenTelemetry advises for durations of messaging operations.
public struct DurationHistogram: Sendable, Hashable {
    /// The upper bounds of the buckets, in seconds; the last bucket has all that took longer.
    public static let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

    private static let nanoseconds = bounds.map { Int64($0 * 1e9) }

    /// How many there are in each bucket; not summed up.
    public private(set) var buckets = [UInt64](repeating: 0, count: bounds.count + 1)
    /// All durations together, in seconds.
    public var seconds: Double { Double(total) / 1e9 }
    private var total: Int64 = 0

    /// Nothing yet.
    public init() {}

    /// How many there are.
    public var count: UInt64 { buckets.reduce(0, +) }

    /// Counts one. Most are in the first bucket, which costs one comparison.
    package mutating func add(_ duration: Duration, times count: UInt64 = 1) {
        let time = duration.wholeNanoseconds
        total &+= time &* Int64(count)
        var bucket = 0
        while bucket < DurationHistogram.nanoseconds.count, time > DurationHistogram.nanoseconds[bucket] { bucket += 1 }
        buckets[bucket] &+= count
    }
}

/// What a subscription has done since the node's start.
public struct DeliveryCounters: Sendable {
    /// Attempts that went well.
    public var succeeded: UInt64 = 0
    /// Attempts that failed, by the error's type.
    public var failed: [String: UInt64] = [:]
    /// Events given up on.
    public var dead: UInt64 = 0
    /// How long attempts took.
    public var durations = DurationHistogram()

    /// Further kinds of errors than these count as `other`.
    private static let maximumKinds = 50

    mutating func fail(_ error: any Error) {
        let kind = String(describing: type(of: error))
        let isKnown = failed[kind] != nil || failed.count < DeliveryCounters.maximumKinds
        failed[isKnown ? kind : "other", default: 0] += 1
    }
}
