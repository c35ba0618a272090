import DovetailCore
import DovetailResilience
import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import DovetailGateway

/// A configuration is taken over by all loops, or by none.
@Suite(.timeLimit(.minutes(1)), .serialized) struct TakeoverTests {
    private func limited(_ count: Int, upstream change: (inout Upstream) -> Void = { _ in }) throws
        -> GatewayConfiguration
    {
        var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: 1)])
        change(&upstream)
        var route = try route("all", "/**")
        route.rateLimits = [Route.Limit(RateLimit(count, per: .seconds(3600)), by: .address)]
        return GatewayConfiguration(listen: .init(port: 0), routes: [route], upstreams: [upstream])
    }

    /// All loops were ready for it when something else could not be.
    @Test func aChangeThatFailsLeavesAllLoopsAsTheyWere() async throws {
        let shared = SharedState(cacheBytes: 0, onRequestFinished: nil)
        let group = MultiThreadedEventLoopGroup.singleton
        let loop = group.next()
        let other = group.next()
        let worker = try await loop.submit { NIOLoopBound(Worker(loop: loop, shared: shared), eventLoop: loop) }.get()
        let second = try await other.submit { NIOLoopBound(Worker(loop: other, shared: shared), eventLoop: other) }
            .get()
        let workers = Workers([worker, second], sharing: shared)
        let first = try limited(10)
        try await workers.apply(first, verifiers: [:])
        let (snapshot, limiter) = try await loop.submit {
            (
                ObjectIdentifier(worker.value.snapshot),
                worker.value.snapshot.routes[0].earlyLimits.first.map { ObjectIdentifier($0.limiter) }
            )
        }.get()
        let next = try limited(20) { $0.poolSize = 7 }
        await #expect(throws: GatewayConfigurationError.self) {
            try await workers.apply(next, verifiers: [:]) { () throws(GatewayConfigurationError) in
                throw GatewayConfigurationError("the certificates cannot be read")
            }
        }
        #expect(try await loop.submit { ObjectIdentifier(worker.value.snapshot) }.get() == snapshot)
        // Nor does what was counted begin anew, when the first configuration is read again.
        try await workers.apply(first, verifiers: [:])
        let after = try await loop.submit {
            worker.value.snapshot.routes[0].earlyLimits.first.map { ObjectIdentifier($0.limiter) }
        }.get()
        #expect(after == limiter && limiter != nil)
    }

    /// Routes are compiled some at a time, in their order.
    @Test func aDraftOfManyRoutesIsCompiledSomeAtATime() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        var configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [],
            upstreams: [Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: 1)])])
        configuration.routes = try (0..<300).map { try route("r\($0)", "/r\($0)/**") }
        let (routes, upstreams) = (configuration.routes, configuration)
        let ids = try await loop.submit {
            let worker = Worker(loop: loop, shared: SharedState(cacheBytes: 0, onRequestFinished: nil))
            try worker.prepare(upstreams, router: Router(routes), verifiers: [:])
            #expect(try !worker.prepareRoutes(atMost: 128))
            #expect(worker.snapshot.routes.isEmpty, "nothing has changed so far")
            #expect(try !worker.prepareRoutes(atMost: 128))
            #expect(try worker.prepareRoutes(atMost: 128))
            worker.takeOver()
            return worker.snapshot.routes.map(\.id)
        }.get()
        #expect(ids == routes.map(\.id))
    }

    /// Addresses that come later go to the configuration that runs, with the authenticators that it names.
    @Test func whatIsLearntAfterAFailureGoesToWhatRuns() async throws {
        let (first, second) = (
            try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")] }, Recorded<Void>()
        )
        var configuration = configuration(first, routes: [try route("all", "/**")]) {
            $0.servers = [.init(host: "api.test", port: first.port)]
            $0.resolveInterval = .milliseconds(50)
        }
        configuration.authenticators = [
            "customers": .jwt(
                JWTConfiguration(
                    issuer: "https://id.test", audience: "a", algorithms: [.hs256],
                    keys: [.secret(Array(repeating: 7, count: 32))]))
        ]
        configuration.routes.append(
            Route(
                id: "closed", path: try PathPattern("/closed"), authentication: .named("customers"),
                destination: .http("u")))
        let addresses = Recorded<String>()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let gateway = try Gateway(
            configuration, eventLoops: 2, logger: logger,
            resolve: { _ in
                second.append(())
                return [addresses.all.last ?? "127.0.0.2"]
            })
        let running = Task { try await gateway.run() }
        let port = try await gateway.boundPort
        func status() async throws -> Int? {
            let client = try await RawClient(port: port)
            try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            let status = await client.response()?.status
            await client.close()
            return status
        }
        await second.wait(for: 2)
        #expect(try await status() == 502, "nobody listens there")
        var wrong = configuration
        wrong.authenticators = [:]
        wrong.routes.removeLast()
        wrong.upstreams[0].tls = UpstreamTLS(authorities: "/nowhere.pem")
        await #expect(throws: GatewayConfigurationError.self) { try await gateway.apply(wrong) }
        addresses.append("127.0.0.1")
        var last: Int?
        for _ in 0..<100 where last != 200 {
            try await Task.sleep(for: .milliseconds(30))
            last = try await status()
        }
        #expect(last == 200)
        running.cancel()
        _ = try? await running.value
        await first.stop()
    }
}
