import BenchmarkSupport
import DovetailCore
import DovetailEvents

/// Subscriptions of a bus, measured until every event is handled and settled for good.
enum Consuming {
    /// A backlog, by one subscription.
    static func backlog(
        _ log: any EventLog, _ drafts: Drafts, _ options: Options, typed: Bool
    ) async throws -> Measurement {
        try await log.fill(options.events) { Append(events: [drafts.next($0)]) }
        let handled = Counter()
        let handler: EventHandler =
            typed
            ? .on(OrderPlaced.event) { order, _ in handled.add(order.lines.count / 3) }
            : .atLeastOnce { _, _ in handled.add(1) }
        let topic = TopicPattern(OrderPlaced.event.name)
        let bus = EventBus(log: log, subscriptions: [Subscription("bench", to: [topic], handler: handler)])
        try await bus.prepare()
        return try await .of {
            try await bus.whileRunning { await handled.wait(for: options.events) }
            try await bus.checkSettled()
            return (options.events, [])
        }
    }

    /// Events as they come, 512 in flight, to `subscriptions` of which `matching` want them.
    static func live(
        _ log: any EventLog, _ drafts: Drafts, _ options: Options, subscriptions: Int, matching: Int
    ) async throws -> Measurement {
        let handled = Counter()
        let bus = EventBus(
            log: log,
            subscriptions: (0..<subscriptions).map { number in
                let topic = number < matching ? OrderPlaced.event.name : "other.topic-\(number)"
                return Subscription(
                    "bench-\(number)", to: [TopicPattern(topic)], handler: .atLeastOnce { _, _ in handled.add(1) })
            })
        try await bus.prepare()
        let publishing = Publishing(log: log, window: 8) { _, number in Append(events: [drafts.next(number)]) }
        return try await bus.whileRunning {
            let warm = 64
            _ = try await publishing.run(until: .distantFuture, quota: warm / publishing.publishers)
            await handled.wait(for: warm * matching)
            return try await .of {
                let quota = options.events / publishing.publishers
                _ = try await publishing.run(until: .distantFuture, quota: quota)
                await handled.wait(for: (warm + quota * publishing.publishers) * matching)
                return (quota * publishing.publishers, [])
            }
        }
    }
}

extension MonotonicTime {
    static let distantFuture = MonotonicTime(nanoseconds: .max)
}

extension EventBus {
    /// Runs the bus around `body`; returns when it has ended and what was settled is written.
    func whileRunning<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.run() }
            defer { group.cancelAll() }
            return try await body()
        }
    }

    /// Throws if a subscription is behind.
    func checkSettled() async throws {
        for status in try await subscriptions() where status.lag > 0 || status.deadLetters > 0 {
            throw UsageError("\(status.name) has not settled \(status.lag) events")
        }
    }
}
