import DovetailCore
import DovetailResilience
import Testing

@testable import DovetailGateway

/// Several limits of a route, limits of a route as a whole, and those that routes share.
@Suite(.timeLimit(.minutes(1)))
struct RateLimitTests {
    private func limit(_ count: Int, by subject: Route.RateLimitSubject) -> Route.Limit {
        Route.Limit(RateLimit(count, per: .seconds(3600)), by: subject)
    }

    private func route(
        _ id: String, _ limits: [Route.Limit], authentication: Route.Authentication = .none, section: String? = nil
    ) throws -> Route {
        var route = Route(
            id: id, path: try PathPattern("/\(id)"), authentication: authentication, rateLimits: limits,
            destination: .handler(EchoHandler()))
        route.section = section
        return route
    }

    private func configuration(_ routes: [Route]) -> GatewayConfiguration {
        GatewayConfiguration(
            listen: .init(port: 0), routes: routes,
            authenticators: [
                "keys": .apiKeys(
                    header: "X-Key",
                    [
                        .init(subject: "ann", secret: "a-secret-of-ann"),
                        .init(subject: "bob", secret: "a-secret-of-bob"),
                    ])
            ], timeouts: .init(drain: .seconds(10)))
    }

    @Test func aRouteAsAWholeIsLimited() async throws {
        let route = try route("r", [limit(2, by: .route), limit(2, by: .header("x-tenant"))])
        try await withGateway(configuration([route]), loops: 3) { gateway in
            var statuses: [Int?] = []
            for tenant in ["a", "a", "a", "b", "c"] {
                statuses.append(try await gateway.get("/r", fields: ["X-Tenant: \(tenant)"])?.status)
            }
            // What one tenant has too much is not taken from all.
            #expect(statuses == [200, 200, 429, 429, 429])
            let last = try await gateway.get("/r", fields: ["X-Tenant: d"])
            #expect(last?.value("ratelimit-policy") == #""header";q=2;w=3600, "route";q=2;w=3600"#)
            #expect(last?.value("ratelimit")?.hasPrefix(#""header";r=1;t="#) == true)
            #expect(last?.value("ratelimit")?.contains(#", "route";r=0;t="#) == true)
            #expect(last?.value("retry-after") != nil)
        }
    }

    @Test func anAddressIsLimitedBeforeAuthenticationAndAPrincipalAfter() async throws {
        let route = try route(
            "r", [limit(1, by: .principal), limit(4, by: .address)], authentication: .named("keys"))
        try await withGateway(configuration([route])) { gateway in
            func ask(_ key: String) async throws -> ReceivedResponse? {
                try await gateway.get("/r", fields: ["X-Key: a-secret-of-\(key)"])
            }
            var statuses: [Int?] = []
            for key in ["ann", "ann", "eve", "bob", "bob"] { statuses.append(try await ask(key)?.status) }
            #expect(statuses == [200, 429, 401, 200, 429])
            let last = try await ask("eve")
            #expect(last?.status == 429, "whoever it is")
            #expect(last?.value("ratelimit-policy") == #""address";q=4;w=3600"#)
        }
    }

    /// A burst and a day, of one subject: each by its name.
    @Test func twoLimitsOfOneSubjectHoldBoth() async throws {
        let burst = Route.Limit(RateLimit(1, per: .seconds(1), burst: 100), by: .address)
        let route = try route("r", [burst, limit(2, by: .address)])
        try await withGateway(configuration([route])) { gateway in
            var statuses: [Int?] = []
            for _ in 0..<3 { statuses.append(try await gateway.get("/r")?.status) }
            #expect(statuses == [200, 200, 429])
            let last = try await gateway.get("/r")
            #expect(last?.value("ratelimit-policy") == #""address";q=1;w=1, "address-2";q=2;w=3600"#)
        }
    }

    @Test func routesOfOneSectionShareWhatTheirLimitsLetIn() async throws {
        let limits = [limit(2, by: .address)]
        let routes = [
            try route("a", limits, section: "s"), try route("b", limits, section: "s"), try route("c", limits),
        ]
        try await withGateway(configuration(routes), loops: 2) { gateway in
            var statuses: [Int?] = []
            for path in ["/a", "/b", "/a", "/b", "/c"] { statuses.append(try await gateway.get(path)?.status) }
            #expect(statuses == [200, 200, 429, 429, 200])
        }
        var other = routes
        other[1].rateLimits = [limit(3, by: .address)]
        #expect(throws: GatewayConfigurationError.self) { try configuration(other).validate() }
    }

    @Test func routesOfOneSectionShareTheirPlaces() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
                }
            ]
        }
        let routes = try ["a", "b"].map { id in
            var route = Route(id: id, path: try PathPattern("/\(id)"), authentication: .none, destination: .http("u"))
            route.section = "s"
            route.maximumInFlight = .init(maximum: 1)
            return route
        }
        var configuration = configuration(routes)
        configuration.upstreams = [Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: backend.port)])]
        try await withGateway(configuration) { gateway in
            async let first = gateway.get("/a")
            await backend.requests.wait(for: 1)
            let second = try await gateway.get("/b")
            #expect(second?.status == 503)
            gate.open()
            #expect(try await first?.status == 200)
        }
        await backend.stop()
    }
}
