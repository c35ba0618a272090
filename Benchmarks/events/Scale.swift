import DovetailCore
import DovetailEvents
import DovetailSQLite

/// Whether a log that has grown is as quick as one that is young: publishing, consuming, memory and opening, at a million events and at as many as are asked for.
enum Scale {
    private static let million = 1_000_000
    private static let sample = 400_000

    static func run(_ options: Options, _ drafts: Drafts) async throws {
        let path = options.folder + "/log.db"
        var store = try SQLiteStore.open(path, options: .init(durability: options.durability))
        var filled = 0
        for size in [million, max(options.events, million)] {
            while filled < size {
                let count = min(million, size - filled)
                try await store.log.fill(count) { Append(events: [drafts.next($0)]) }
                filled += count
            }
            let name = "\(size / million)m"
            let publishing = Publishing(log: store.log, window: 8) { _, number in Append(events: [drafts.next(number)])
            }
            let published = try await publishing.measured(for: options.seconds)
            report("publish_\(name)", Double(published.events) / published.seconds, "/s")
            report("publish_\(name)_cpu", published.processorSeconds * 1e6 / Double(published.events), "us")
            let consumed = try await consume(store.log)
            report("consume_\(name)", Double(consumed.events) / consumed.seconds, "/s")
            report("consume_\(name)_cpu", consumed.processorSeconds * 1e6 / Double(consumed.events), "us")
            report("rss_\(name)", Process.residentMegabytes, "MB")
        }
        report("events", Double(store.log.head), "")
        await store.close()
        var openings: [Double] = []
        for _ in 0..<5 {
            let start = MonotonicTime.now
            store = try SQLiteStore.open(path, options: .init(durability: options.durability))
            openings.append((MonotonicTime.now - start).inSeconds * 1000)
            await store.close()
        }
        report("open", openings.sorted()[2], "ms")
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

    private static func report(_ metric: String, _ value: Double, _ unit: String) {
        print("{\"metric\":\"\(metric)\",\"value\":\(value),\"unit\":\"\(unit)\"}")
    }
}
