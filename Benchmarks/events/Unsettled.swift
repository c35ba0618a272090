import BenchmarkSupport
import DovetailCore
import DovetailEvents
import Synchronization

/// A subscription whose handler fails for every event of a thousand keys: each key's first becomes a dead letter, and all others are held behind it.
/// Then it is mended, and they come, in order.
enum Unsettled {
    static func run(_ log: any EventLog, _ options: Options) async throws {
        let drafts = try Drafts()
        try await log.fill(options.events) { Append(events: [drafts.next($0)]) }
        let isMended = Mutex(false)
        let last = Mutex<[String: Int64]>([:])
        let isInOrder = Mutex(true)
        let handled = Counter()
        let bus = EventBus(
            log: log,
            subscriptions: [
                Subscription(
                    "unsettled", to: [TopicPattern(OrderPlaced.event.name)],
                    redelivery: RedeliveryPolicy(immediate: 0, delayed: 0),
                    handler: .atLeastOnce { event, _ in
                        guard isMended.withLock({ $0 }) else { throw UsageError("the service is away") }
                        let before = last.withLock { $0.updateValue(event.position.number, forKey: event.key) }
                        if before ?? 0 >= event.position.number { isInOrder.withLock { $0 = false } }
                        handled.add(1)
                    })
            ])
        try await bus.prepare()
        Report.line("before", Process.residentMegabytes, "MB")
        let most = Mutex(0.0)
        let watch = Task {
            while !Task.isCancelled {
                most.withLock { $0 = max($0, Process.residentMegabytes) }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        defer { watch.cancel() }
        try await bus.whileRunning {
            var start = MonotonicTime.now
            while try await bus.subscriptions()[0].scanned < log.head { try await Task.sleep(for: .milliseconds(20)) }
            Report.line("held", Double(options.events) / (MonotonicTime.now - start).inSeconds, "/s")
            isMended.withLock { $0 = true }
            start = .now
            try await bus.redrive("unsettled", DeadLetterChoice())
            await handled.wait(for: options.events)
            Report.line("released", Double(options.events) / (MonotonicTime.now - start).inSeconds, "/s")
            Report.line("most", most.withLock { $0 }, "MB")
        }
        guard isInOrder.withLock({ $0 }) else { throw UsageError("events of a key came out of order") }
        try await bus.checkSettled()
    }
}
