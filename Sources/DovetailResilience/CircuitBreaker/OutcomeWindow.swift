import DovetailCore

/// The outcomes of recent calls, and their sums, at a constant cost per call.
struct OutcomeWindow: Sendable {
    struct Totals: Sendable, Equatable {
        var calls = 0
        var failures = 0
        var slow = 0

        static func += (left: inout Totals, right: Totals) {
            left.calls += right.calls
            left.failures += right.failures
            left.slow += right.slow
        }

        static func -= (left: inout Totals, right: Totals) {
            left.calls -= right.calls
            left.failures -= right.failures
            left.slow -= right.slow
        }
    }

    private enum Storage {
        case time
        case calls(capacity: Int)
    }

    private let storage: Storage
    private var ring = TimeRing(covering: .zero, empty: Totals())
    private var calls: [Totals] = []
    private var oldest = 0
    private(set) var totals = Totals()

    init(_ window: CircuitBreakerPolicy.Window) {
        switch window {
        case .calls(let count): storage = .calls(capacity: min(max(count, 1), 1_000_000))
        case .time(let duration):
            storage = .time
            ring = TimeRing(covering: duration, empty: Totals())
        }
    }

    /// The most calls it can hold; nil for a window of time.
    var capacity: Int? {
        switch storage {
        case .time: nil
        case .calls(let capacity): capacity
        }
    }

    mutating func record(failed: Bool, slow: Bool, at now: MonotonicTime) {
        let call = Totals(calls: 1, failures: failed ? 1 : 0, slow: slow ? 1 : 0)
        switch storage {
        case .time:
            advance(to: now)
            ring.current += call
        case .calls(let capacity) where calls.count < capacity:
            calls.append(call)
        case .calls(let capacity):
            totals -= calls[oldest]
            calls[oldest] = call
            oldest = (oldest + 1) % capacity
        }
        totals += call
    }

    /// Forgets what is too old at `now`.
    mutating func advance(to now: MonotonicTime) {
        guard case .time = storage else { return }
        ring.advance(to: now) { totals -= $0 }
    }
}
