#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A point on the process's monotonic time line, in nanoseconds since an arbitrary origin.
///
/// State machines take it as a plain value, so that a test can move time by hand. It never goes back and never jumps
/// with the wall clock; it means nothing in another process.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Nanoseconds since the origin.
    public var nanoseconds: Int64

    /// A point that many nanoseconds after the origin.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// Now, by the system's monotonic clock, which counts while the machine sleeps as well.
    public static var now: MonotonicTime {
        // `ContinuousClock` reads the same clock, at several times the cost: a gateway asks several times a request.
        #if canImport(Darwin)
            return MonotonicTime(nanoseconds: Int64(clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW)))
        #else
            var time = timespec()
            clock_gettime(CLOCK_BOOTTIME, &time)
            return MonotonicTime(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
        #endif
    }

    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The point `duration` later; saturates instead of overflowing.
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        time.advanced(byNanoseconds: duration.wholeNanoseconds)
    }

    /// The point so many nanoseconds later; saturates instead of overflowing.
    public func advanced(byNanoseconds count: Int64) -> MonotonicTime {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(count)
        return MonotonicTime(nanoseconds: overflow ? (count < 0 ? .min : .max) : sum)
    }

    /// How much later `end` is than `start`; saturates instead of overflowing.
    public static func - (end: MonotonicTime, start: MonotonicTime) -> Duration {
        let (difference, overflow) = end.nanoseconds.subtractingReportingOverflow(start.nanoseconds)
        return .nanoseconds(overflow ? (end < start ? .min : .max) : difference)
    }
}

extension Duration {
    /// The duration in whole nanoseconds; saturates at what 64 bits hold (292 years).
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || carried ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in seconds, as a number for metrics and messages.
    public var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}
