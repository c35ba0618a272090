import BenchmarkSupport
import DovetailCore
import DovetailEvents
import Synchronization

/// Events at a given rate, each with the time of its publishing, to a handler that looks at the clock.
enum Latency {
    static func measure(_ log: any EventLog, perSecond: Int, for seconds: Double) async throws -> Measurement {
        let latencies = Mutex<[Float]>([])
        let handled = Counter()
        let handler = EventHandler.atLeastOnce { event, _ in
            let now = MonotonicTime.now
            let sent = event.data.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) }
            let latency = Float(now.nanoseconds - sent) / 1000
            latencies.withLock { $0.append(latency) }
            handled.add(1)
        }
        let topic = TopicPattern(OrderPlaced.event.name)
        let bus = EventBus(log: log, subscriptions: [Subscription("bench", to: [topic], handler: handler)])
        try await bus.prepare()
        let warm = perSecond / 2
        let count = Int(Double(perSecond) * seconds)
        return try await bus.whileRunning {
            try await publish(warm, perSecond, to: log)
            await handled.wait(for: warm)
            latencies.withLock { $0 = [] }
            var measurement = try await Measurement.of {
                try await publish(count, perSecond, to: log)
                await handled.wait(for: warm + count)
                return (count, latencies.withLock { $0 })
            }
            measurement.hasRate = false
            return measurement
        }
    }

    /// Publishes without waiting for the outcome, so that a slow commit delays no later event.
    private static func publish(_ count: Int, _ perSecond: Int, to log: any EventLog) async throws {
        let clock = SystemClock()
        let start = MonotonicTime.now
        for number in 0..<count {
            try await clock.sleep(until: start + .seconds(1) * number / perSecond)
            var data = [UInt8](repeating: 0, count: 256)
            data.withUnsafeMutableBytes { $0.storeBytes(of: MonotonicTime.now.nanoseconds, as: Int64.self) }
            let draft = EventDraft(
                type: OrderPlaced.event.name, key: "order-\(number % 1000)", source: "bench", data: data)
            _ = try log.enqueue([Append(events: [draft])])
        }
    }
}
