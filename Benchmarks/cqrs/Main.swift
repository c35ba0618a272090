import BenchmarkSupport
import DovetailEvents
import DovetailSQLite

/// One case of commands, loading or rebuilding, on a new store: see ``Options`` for the command line; `scripts/bench/cqrs` runs it beside its peer.
@main
struct CQRSBench {
    static func main() async throws {
        try await Benchmark.run { options in
            let store = try SQLiteStore.open(
                options.folder + "/log.db", options: .init(durability: options.durability))
            let measurement = try await measure(store, options)
            await store.close()
            return measurement
        }
    }

    private static func measure(_ store: SQLiteStore, _ options: Options) async throws -> Measurement {
        switch options.name {
        case "command-distinct": return try await Commanding.distinct(store.log, options)
        case "command-hot": return try await Commanding.hot(store.log, options)
        case "command-old": return try await Commanding.old(store.log, options)
        case "load-1000": return try await Loading.cold(store.log, options)
        case "load-1000-snapshot": return try await Loading.fromSnapshot(store.log, options)
        case "load-1000-cached": return try await Loading.cached(store.log, options)
        case "rebuild": return try await Rebuilding.measure(store, options)
        default: throw UsageError.unknownCase(options.name)
        }
    }
}
