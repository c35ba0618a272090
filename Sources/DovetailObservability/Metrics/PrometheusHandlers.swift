import Metrics
import Synchronization

/// A number that only grows, for whole and fractional steps alike.
final class PrometheusCounter: CounterHandler, FloatingPointCounterHandler {
    private let whole = Atomic<UInt64>(0)
    private let fractional = Mutex(0.0)

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        whole.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fractional.withLock { $0 += amount }
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fractional.withLock { $0 = 0 }
    }

    var value: Double { Double(whole.load(ordering: .relaxed)) + fractional.withLock { $0 } }
}

/// A number that goes up and down: a meter, or a recorder that does not aggregate.
final class PrometheusGauge: MeterHandler, RecorderHandler {
    private let number = Mutex(0.0)

    func set(_ value: Int64) { number.withLock { $0 = Double(value) } }
    func set(_ value: Double) { number.withLock { $0 = value } }
    func increment(by amount: Double) { number.withLock { $0 += amount } }
    func decrement(by amount: Double) { number.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }

    var value: Double { number.withLock { $0 } }
}

/// Counts values by size. Of a timer the values are seconds.
final class PrometheusHistogram: RecorderHandler, TimerHandler {
    struct Counts {
        /// One for each bound, and one for what is above the last.
        var buckets: [UInt64]
        var sum = 0.0
    }

    let bounds: [Double]
    private let counts: Mutex<Counts>

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = Mutex(Counts(buckets: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        counts.withLock { counts in
            counts.buckets[bucket] += 1
            counts.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func snapshot() -> Counts { counts.withLock { $0 } }
}
