import Dispatch
import DovetailCore
import DovetailGateway
import DovetailResilience
import ServiceLifecycle

/// The gateway alone, for measuring: `gateway-bench --listen PORT --upstream PORT [--routes N] [--loops N] [--secret TEXT]
/// [--certificate FILE --key FILE]`.
///
/// With a secret every request needs a token of it and counts towards a rate limit, and what is told of each request is
/// built as an access log would have it. `scripts/bench/gateway` runs it beside its peers.
@main
struct GatewayBench {
    /// The main thread waits: given to libdispatch it would end, which valgrind does not survive.
    static func main() {
        let ended = DispatchSemaphore(value: 0)
        Task.detached {
            do { try await run() } catch { print(error) }
            ended.signal()
        }
        ended.wait()
    }

    private static func run() async throws {
        let options = try Options(CommandLine.arguments)
        var routes = [
            Route(
                id: "all", path: try PathPattern("/**"), authentication: options.authentication,
                rateLimits: options.rateLimits, destination: .http("backend"))
        ]
        for number in 0..<options.routes - 1 {
            routes.append(
                Route(
                    id: "route-\(number)", path: try PathPattern("/service\(number)/items/{id}"),
                    authentication: options.authentication, rateLimits: options.rateLimits,
                    destination: .http("backend"))
            )
        }
        var configuration = GatewayConfiguration(
            listen: .init(port: options.listen), routes: routes,
            upstreams: [Upstream(name: "backend", servers: [.init(host: "127.0.0.1", port: options.upstream)])],
            authenticators: options.authenticators)
        configuration.tls = options.tls
        let records = RecordSum()
        var tell: (@Sendable (RequestRecord) -> Void)?
        if options.secret != nil { tell = { records.add($0) } }
        let gateway = try Gateway(
            configuration, eventLoops: options.loops, logger: options.logger, onRequestFinished: tell)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: gateway)], gracefulShutdownSignals: [.sigterm, .sigint],
                logger: options.logger))
        try await group.run()
    }
}
