/// Where a shell reads the time and waits for it; the only seam between a state machine's time and the system's.
public protocol MonotonicClock: Sendable {
    /// The present moment. Never decreases.
    var now: MonotonicTime { get }

    /// Suspends until `deadline`; returns at once if it has passed. Throws `CancellationError` when cancelled.
    func sleep(until deadline: MonotonicTime) async throws
}

extension MonotonicClock {
    /// Suspends for `duration`; throws `CancellationError` when cancelled.
    public func sleep(for duration: Duration) async throws {
        try await sleep(until: now + duration)
    }
}

/// The system's monotonic clock.
public struct SystemClock: MonotonicClock {
    /// The system's clock.
    public init() {}

    public var now: MonotonicTime { .now }

    public func sleep(until deadline: MonotonicTime) async throws {
        try Task.checkCancellation()
        var left = deadline - now
        while left > .zero {
            // A day at a time: what lies centuries ahead overflows in some runtimes' timers.
            try await Task.sleep(for: min(left, .seconds(86_400)))
            left = deadline - now
        }
    }
}

extension MonotonicClock where Self == SystemClock {
    /// The system's monotonic clock.
    public static var system: SystemClock { SystemClock() }
}
