import DovetailCore

/// The last stretch of time in ten buckets; the oldest tenth leaves at once.
struct TimeRing<Bucket: Sendable>: Sendable {
    private static var count: Int64 { 10 }

    private let width: Int64
    private let empty: Bucket
    private var buckets: [Bucket]
    /// The number of the bucket that the present falls into, counted from the time line's origin.
    private var newest: Int64 = -1

    init(covering duration: Duration, empty: Bucket) {
        // A width of a microsecond keeps bucket numbers far from the end of 64 bits.
        width = max(duration.wholeNanoseconds / TimeRing.count, 1_000)
        self.empty = empty
        buckets = Array(repeating: empty, count: Int(TimeRing.count))
    }

    /// Empties the buckets that are too old at `now` and hands over what was in them. Time that goes back is ignored.
    mutating func advance(to now: MonotonicTime, retire: (Bucket) -> Void = { _ in }) {
        let bucket = max(now.nanoseconds, 0) / width
        guard bucket > newest else { return }
        for stale in (bucket - min(bucket - newest, TimeRing.count) + 1)...bucket {
            let index = Int(stale % TimeRing.count)
            retire(buckets[index])
            buckets[index] = empty
        }
        newest = bucket
    }

    /// The bucket of the present, after ``advance(to:retire:)``.
    var current: Bucket {
        get { buckets[Int(max(newest, 0) % TimeRing.count)] }
        set { buckets[Int(max(newest, 0) % TimeRing.count)] = newValue }
    }

    /// Lets `body` change each bucket, the oldest first.
    mutating func forEachOldestFirst(_ body: (inout Bucket) -> Void) {
        for offset in 1...TimeRing.count { body(&buckets[Int((max(newest, 0) + offset) % TimeRing.count)]) }
    }
}
