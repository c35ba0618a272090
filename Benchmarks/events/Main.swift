import BenchmarkSupport
import DovetailEvents
import DovetailSQLite

/// One case of the event engine, on a new store: see ``Options`` for the command line; `scripts/bench/events` runs it beside its peers.
@main
struct EventsBench {
    static func main() async throws {
        try await Benchmark.run { options in
            if options.name == "scale" {
                try await Scale.run(options, try Drafts())
                return nil
            }
            let store = try SQLiteStore.open(
                options.folder + "/log.db", options: .init(durability: options.durability))
            let measurement = try await measure(store.log, options)
            await store.close()
            return measurement
        }
    }

    private static func measure(_ log: any EventLog, _ options: Options) async throws -> Measurement? {
        let drafts = try Drafts()
        let publish: @Sendable (Int, Int) -> Append = { _, number in Append(events: [drafts.next(number)]) }
        switch options.name {
        case "publish-64x1":
            return try await Publishing(log: log, window: 1, append: publish).measured(for: options.seconds)
        case "publish-64x8":
            return try await Publishing(log: log, window: 8, append: publish).measured(for: options.seconds)
        case "append-new-streams":
            return try await Appending.newStreams(log, drafts).measured(for: options.seconds)
        case "append-random":
            return try await Appending.random(log, drafts, streams: options.streams).measured(for: options.seconds)
        case "consume-raw": return try await Consuming.backlog(log, drafts, options, typed: false)
        case "consume-typed": return try await Consuming.backlog(log, drafts, options, typed: true)
        case "deliver-1":
            return try await Consuming.live(log, drafts, options, subscriptions: 1, matching: 1)
        case "deliver-8":
            return try await Consuming.live(log, drafts, options, subscriptions: 8, matching: 8)
        case "deliver-1-of-1000":
            return try await Consuming.live(log, drafts, options, subscriptions: 1000, matching: 1)
        case "latency-1000":
            return try await Latency.measure(log, perSecond: 1000, for: options.seconds)
        case "unsettled":
            try await Unsettled.run(log, options)
            return nil
        default: throw UsageError.unknownCase(options.name)
        }
    }
}
