import DovetailGateway
import DovetailResilience
import Testing

@testable import DovetailPlatform

/// What the file says of traffic, and what the data plane makes of it.
@Suite struct TrafficConfigurationTests {
    private func file(gateway: String = "", routes: String, upstream: String = "") -> String {
        """
        version: 1
        platform: edge
        nodes: { edge: { modules: [] } }
        gateway:
          node: edge
          listen: 127.0.0.1:8080
        \(gateway)
          routes:
        \(routes)
        upstreams:
          one:
            servers: [http://10.0.0.1:80, http://api.test:81]
        \(upstream)
          two: { servers: [http://10.0.0.2:80] }
        """
    }

    private func plan(_ text: String) throws -> RoutePlan {
        try RoutePlan(try parse(text), catalog: ModuleCatalog([]), folder: ".")
    }

    private func compiled(_ text: String) throws -> GatewayConfiguration { try #require(try plan(text).compiled) }

    @Test func limitsHedgesAndMirrorsComeFromTheFile() throws {
        let text = file(
            gateway: """
                  proxyProtocol: { from: [10.0.0.0/8] }
                  trustedProxies: 192.0.2.1
                  forwarded: true
                  limits: { connections: 1000, inFlight: 500, loopLag: 200ms }
                """,
            routes: """
                  - path: /a/**
                    authentication: none
                    upstream: one
                    maxInFlight: { requests: 10, queue: 5, wait: 100ms }
                    mirror: { upstream: two, share: 10%, allMethods: true, maxBody: 1KiB, maxInFlight: 7 }
                    essential: true
                    deprecated: 2026-10-01
                    sunset: 2027-12-01
                    link: https://shop.example/changes
                """,
            upstream: """
                    maxInFlight: 100
                    adaptiveLimit: { initial: 10, least: 2, most: 50, observe: true }
                    hedge: { after: 50ms }
                    slowStart: 30s
                """)
        let configuration = try compiled(text)
        let route = try #require(configuration.routes.first)
        #expect(route.maximumInFlight == .init(maximum: 10, maximumWaiting: 5, longestWait: .milliseconds(100)))
        #expect(
            route.mirror
                == .init(to: "two", share: 0.1, allMethods: true, maximumBodyBytes: 1024, maximumInFlight: 7))
        #expect(route.isEssential)
        #expect(
            route.deprecation
                == .init(date: 1_790_812_800, sunset: 1_827_619_200, link: "https://shop.example/changes"))
        let upstream = try #require(configuration.upstreams.first { $0.name == "one" })
        #expect(upstream.maximumInFlight == .init(maximum: 100))
        #expect(upstream.adaptiveInFlight == .init(.init(initial: 10, minimum: 2, maximum: 50), isEnforced: false))
        #expect(upstream.hedge == .init(after: .milliseconds(50)))
        #expect(upstream.slowStart == .seconds(30))
        #expect(upstream.resolveInterval == .seconds(30))
        #expect(
            configuration.load
                == .init(maximumConnections: 1000, maximumInFlight: 500, maximumLoopLag: .milliseconds(200)))
        #expect(configuration.proxyProtocol.map(\.description) == ["10.0.0.0/8"])
        #expect(configuration.trustedProxies.map(\.description) == ["192.0.2.1"])
        #expect(configuration.sendsForwarded)
        let other = try #require(configuration.upstreams.first { $0.name == "two" })
        #expect(other.hedge == nil && other.maximumInFlight == nil && other.slowStart == nil)
    }

    @Test func whatAPolicySaysHoldsOfAnUpstreamOrIsAnError() throws {
        func text(_ policies: String, _ upstream: String = "policy: p") -> String {
            file(routes: "  - { path: /a, authentication: none, upstream: one }", upstream: "    \(upstream)")
                + "\npolicies: { \(policies) }\n"
        }
        func upstream(_ policies: String, _ upstream: String = "policy: p") throws -> Upstream {
            try #require(try compiled(text(policies, upstream)).upstreams.first { $0.name == "one" })
        }
        let said = try upstream(
            "p: { attemptTimeout: 300ms, bulkhead: { concurrent: 7, queue: 3, wait: 2s }, retry: { budget: none } }")
        #expect(said.attemptTimeout == .milliseconds(300))
        #expect(said.maximumInFlight == .init(maximum: 7, maximumWaiting: 3, longestWait: .seconds(2)))
        #expect(said.retry != nil && said.retry?.budget == nil)
        let unsaid = try upstream("p: {}")
        #expect(unsaid.attemptTimeout == nil && unsaid.maximumInFlight == nil)
        #expect(unsaid.retry?.budget == RetryBudgetPolicy())
        let inherited = try upstream("b: { bulkhead: { concurrent: 7 } }, p: { extends: b }")
        #expect(inherited.maximumInFlight?.maximum == 7)
        #expect(try upstream("p: { bulkhead: none }").maximumInFlight == nil)
        #expect(
            try upstream("p: { bulkhead: { concurrent: 7 } }", "policy: p\n    maxInFlight: 9")
                .maximumInFlight?.maximum == 9)

        for (key, value) in [("timeout", "3s"), ("rateLimit", "{ rate: 5/s }")] {
            let advice = "of an upstream '\(key)' has no effect; say it as the '\(key)' of its routes"
            #expect(
                issues(in: text("p: { \(key): \(value) }")).contains {
                    $0.contains("policies.p.\(key): the upstream 'one'") && $0.hasSuffix(advice)
                })
            // No module makes calls here that the default could be meant for.
            #expect(issues(in: text("default: { \(key): \(value) }", "waiting: 9")).contains { $0.hasSuffix(advice) })
        }
        #expect(issues(in: text("q: { timeout: 3s }", "waiting: 9")).isEmpty, "no upstream goes under it")
        #expect(issues(in: sketch).isEmpty, "the default is meant for the calls of modules too")
    }

    @Test func whatContradictsItselfIsSaid() {
        func found(_ route: String, upstream: String = "") -> [String] {
            issues(
                in: file(
                    routes: "  - { path: /a, authentication: none, upstream: one, \(route) }",
                    upstream: upstream.isEmpty ? "" : "    \(upstream)"))
        }
        #expect(found("maxInFlight: 0").contains { $0.contains("whole number from 1") })
        #expect(found("mirror: { upstream: tow }").contains { $0.contains("did you mean 'two'") })
        #expect(found("deprecated: 2026-13-01").contains { $0.contains("a date such as") })
        #expect(found("deprecated: 2026-02-29").contains { $0.contains("a date such as") })
        #expect(found("deprecated: 2026-10-01, sunset: 2026-09-01").contains { $0.contains("gone before") })
        #expect(found("link: https://a.example").contains { $0.contains("a link needs") })
        #expect(
            found("essential: true", upstream: "adaptiveLimit: { least: 5, most: 2 }").contains {
                $0.contains("below the lowest")
            })
        let lonely = issues(
            in: file(routes: "  - { path: /a, authentication: none, upstream: two }")
                .replacingOccurrences(of: "[http://10.0.0.2:80]", with: "[http://10.0.0.2:80], hedge: { after: 1ms }"))
        #expect(lonely.contains { $0.contains("needs a second server") })
    }

    @Test func expressionsAreReadAndWhatIsWrongWithThemIsSaid() throws {
        let text = file(
            routes: """
                  - path: "~ ^/items/(?<id>[0-9]+)$"
                    authentication: none
                    upstream: one
                    rewrite: { path: "/v2/{id}" }
                  - { path: /**, authentication: none, upstream: two }
                """)
        let plan = try plan(text)
        #expect(plan.lines.contains { $0.contains("~ ^/items/(?<id>[0-9]+)$") })
        #expect(try plan.explain("GET /items/7").first?.hasSuffix("→ /v2/7") == true)
        #expect(try plan.explain("GET /items/x").first == "/** → /items/x")
        func found(_ path: String, more: String = "upstream: one") -> [String] {
            issues(in: file(routes: "  - { path: '\(path)', authentication: none, \(more) }"))
        }
        #expect(found("~ ^/(a").contains { $0.contains("has a group that is not closed") })
        #expect(found("~ ^/(?=a)").contains { $0.contains("not supported") })
        #expect(
            found("~ ^/a", more: "upstream: one, rewrite: { stripPrefix: /a }").contains {
                $0.contains("does not begin with")
            })
        let twice = issues(
            in: file(
                routes: """
                      - { path: "~ ^/a+$", authentication: none, upstream: one }
                      - { path: "~ ^/a+$", authentication: none, upstream: two }
                    """))
        #expect(twice.contains { $0.contains("one would never be taken") })
    }

    @Test func versionsByHeaderBecomeRoutes() throws {
        let text = file(
            routes: """
                  - path: /orders/**
                    authentication: none
                    versions:
                      by: header:X-API-Version
                      default: 2
                      of:
                        "1": { upstream: one, deprecated: 2026-10-01, sunset: 2027-12-01 }
                        "2": { upstream: two }
                """)
        let plan = try plan(text)
        func target(_ version: String?) throws -> String? {
            let headers = version.map { [("x-api-version", $0)] } ?? []
            return try plan.explain("GET /orders/7", headers: headers).first
        }
        #expect(try target("1") == "/orders/** version 1 → /orders/7")
        #expect(try target("2") == "/orders/** version 2 → /orders/7")
        #expect(try target(nil) == "/orders/** version 2 by default → /orders/7")
        #expect(try target("3") == "no route, answered 404")
        let routes = try #require(plan.compiled).routes
        #expect(routes.map { $0.deprecation?.date } == [1_790_812_800, nil, nil])
    }

    /// What becomes of one section shares its limits, and several limits hold all.
    @Test func limitsAreOfTheSection() throws {
        let configuration = try compiled(
            file(
                routes: """
                      - path: /a
                        authentication: none
                        maxInFlight: 5
                        rateLimit: [{ rate: 10/s, by: route }, { rate: 1/s, burst: 5 }]
                        versions: { by: header:x-version, default: "1", of: { "1": { upstream: one }, "2": { upstream: two } } }
                      - { path: /b, methods: [PUT], authentication: none, upstream: one, rateLimit: { rate: 2/s } }
                    """))
        #expect(configuration.routes.count == 4)
        #expect(Set(configuration.routes.prefix(3).map(\.section)) == ["/a"])
        #expect(configuration.routes[0].rateLimits.map(\.by) == [.route, .address])
        #expect(configuration.routes[3].section == "PUT /b")
        let wrong = issues(
            in: file(routes: "  - { path: /a, authentication: none, upstream: one, rateLimit: [{ rate: fast }, {}] }"))
        #expect(wrong.contains { $0.contains("gateway.routes[0].rateLimit[0].rate: expected a rate") }, "\(wrong)")
        #expect(wrong.contains { $0.contains("gateway.routes[0].rateLimit[1]: 'rate' is missing") }, "\(wrong)")
    }

    @Test func hostsAndNamesWithUnderscoresComeFromTheFile() throws {
        let routes = "  - { path: /a, authentication: none, upstream: one }"
        let standard = try compiled(file(routes: routes))
        #expect(standard.underscores == .dropped)
        #expect(standard.upstreams.allSatisfy { $0.hostHeader == .client })
        let open = try compiled(
            file(
                gateway: "  underscoresInHeaders: true",
                routes: "  - { path: /a, authentication: none, upstream: one, headers: { X_Beta: 1 } }"))
        #expect(open.underscores == .forwarded)
        for (text, header) in [
            ("server", Upstream.HostHeader.server), ("API.internal", .fixed("api.internal")),
            ("api.internal:8443", .fixed("api.internal:8443")),
        ] {
            let compiled = try compiled(file(routes: routes, upstream: "    hostHeader: \(text)"))
            #expect(compiled.upstreams.first { $0.name == "one" }?.hostHeader == header)
        }
        for text in ["https://a.test", "a.test:99999", "''"] {
            let found = issues(in: file(routes: routes, upstream: "    hostHeader: \(text)"))
            #expect(
                found.contains { $0.contains("upstreams.one.hostHeader: expected client, server or a host name") },
                "\(found)")
        }
    }

    @Test func versionsByPathBecomeRoutes() throws {
        let text = file(
            routes: """
                  - path: /orders/**
                    authentication: none
                    rewrite: { stripPrefix: /orders }
                    versions: { by: path, default: "2", of: { "1": { upstream: one }, "2": { upstream: two } } }
                """)
        let plan = try plan(text)
        #expect(try plan.explain("GET /v1/orders/7").first == "/orders/** version 1 → /7")
        #expect(try plan.explain("GET /v2/orders/7").first == "/orders/** version 2 → /7")
        #expect(try plan.explain("GET /orders/7").first == "/orders/** version 2 by default → /7")
        let wrong = issues(
            in: file(
                routes:
                    "  - { path: /a, authentication: none, versions: { by: path, default: 3, of: { '1': { upstream: tow } } } }"
            ))
        #expect(wrong.contains { $0.contains("no version is named") })
        #expect(wrong.contains { $0.contains("did you mean 'two'") })
    }
}
