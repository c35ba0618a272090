import BenchmarkSupport
import DovetailCore
import DovetailEvents
import DovetailSQLite

/// Whether a log that has grown is as quick as one that is young: publishing, consuming, memory and opening, at a million events and at as many as are asked for.
///
/// Both are filled, and what the system still holds back of that is written, before anything is measured; then the two take turns.
enum Scale {
    private static let million = 1_000_000
    private static let sample = 400_000
    private static let rounds = 5

    static func run(_ options: Options, _ drafts: Drafts) async throws {
        let sizes = [million, max(options.events, 2 * million)]
        var stores: [SQLiteStore] = []
        for size in sizes {
            let store = try open(size, options)
            for millions in 1...size / million {
                try await store.log.fill(million) { Append(events: [drafts.next($0)]) }
                // While the large one grows: at its first million, and in the end.
                if size > million, [1, size / million].contains(millions) {
                    Report.line("rss", size: millions * million, Process.residentMegabytes, "MB")
                }
            }
            stores.append(store)
        }
        Process.writeAllFiles()
        for _ in 0..<rounds {
            for (size, store) in zip(sizes, stores) {
                let published = try await Publishing(log: store.log, window: 8) { _, number in
                    Append(events: [drafts.next(number)])
                }.measured(for: options.seconds)
                Report.line("publish", size: size, published.rate, "/s")
                Report.line("publish_cpu", size: size, published.processorMicroseconds, "us")
                let consumed = try await consume(store.log)
                Report.line("consume", size: size, consumed.rate, "/s")
                Report.line("consume_cpu", size: size, consumed.processorMicroseconds, "us")
            }
        }
        for (size, store) in zip(sizes, stores) {
            Report.line("events", size: size, Double(store.log.head), "")
            await store.close()
            for _ in 0..<rounds {
                let start = MonotonicTime.now
                let opened = try open(size, options)
                Report.line("open", size: size, (MonotonicTime.now - start).inSeconds * 1000, "ms")
                await opened.close()
            }
        }
    }

    private static func open(_ size: Int, _ options: Options) throws -> SQLiteStore {
        try SQLiteStore.open("\(options.folder)/\(size).db", options: .init(durability: options.durability))
    }

    /// The newest events, by a subscription that is behind by so many.
    private static func consume(_ log: any EventLog) async throws -> Measurement {
        let handled = Counter()
        let start = log.position(log.head - Int64(sample))
        let bus = EventBus(
            log: log,
            subscriptions: [
                Subscription(
                    "scale-\(log.head)", to: [TopicPattern(OrderPlaced.event.name)], start: .position(start),
                    handler: .atLeastOnce { _, _ in handled.add(1) })
            ])
        try await bus.prepare()
        return try await .of {
            try await bus.whileRunning { await handled.wait(for: sample) }
            return (sample, [])
        }
    }
}
