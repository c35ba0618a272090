import BenchmarkSupport

/// Sagas of three steps, each durable before the next begins: see ``Options`` for the command line; `scripts/bench/sagas` runs it beside its peers.
@main
struct SagasBench {
    static func main() async throws {
        try await Benchmark.run { options in
            switch options.name {
            case "saga-3-steps": return try await Starting(options).run()
            case "saga-locks": return try await Starting(options, locks: .shared(8)).run()
            case "saga-locks-own": return try await Starting(options, locks: .own).run()
            case "saga-3-steps-backlog": return try await Backlog(options).run()
            case "saga-resume-begin":
                try await Resuming(options: options).begin()
                return nil
            case "saga-resume": return try await Resuming(options: options).resume()
            default: throw UsageError.unknownCase(options.name)
            }
        }
    }
}
