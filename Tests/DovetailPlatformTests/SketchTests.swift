import DovetailPlatform
import DovetailResilience
import Testing

@Suite struct SketchTests {
    @Test func readsTheWholeFile() throws {
        let platform = try parse(sketch, modules: modules)
        #expect(platform.platform == "shop")
        #expect(platform.nodes.map(\.name) == ["main", "payments"])
        #expect(platform.nodes.first?.modules == ["users", "products", "orders", "inventory"])
        #expect(platform.nodes.last?.listen == .tcp(host: "127.0.0.1", port: 8081))
        #expect(platform.nodes.last?.store.path == "data/payments.db")
        let gateway = try #require(platform.gateway)
        #expect(gateway.node == "main")
        #expect(gateway.routes.map(\.path) == ["/api", "/api", "/legacy/**"])
        #expect(
            gateway.routes.map(\.authentication) == [.authenticator("customers"), .none, .authenticator("customers")])
        #expect(gateway.routes[0].target == .contract(ContractReference(name: "orders", major: 1)))
        #expect(gateway.routes[0].rateLimits.first?.limit == RateLimit(100, per: .seconds(1), burst: 200))
        #expect(gateway.routes[0].rateLimits.first?.key == .principal)
        #expect(gateway.routes[2].rewrite == .stripPrefix("/legacy"))
        #expect(gateway.routes[2].target == .upstream("legacy"))
        let legacy = try #require(platform.upstreams["legacy"])
        #expect(legacy.servers.map(\.url.description) == ["http://10.0.0.5:3000", "http://10.0.0.6:3000"])
        #expect(legacy.servers.map(\.weight) == [1, 2])
        #expect(legacy.loadBalancing == .leastRequest)
        guard case .jwt(let jwt)? = gateway.authentication["customers"] else {
            Issue.record("no authenticator")
            return
        }
        #expect(jwt.algorithms == [.es256])
        #expect(jwt.audience == "shop")
        #expect(jwt.keys == .jwksFile("keys/jwks.json"))
        #expect(jwt.leeway == .seconds(30))
    }

    @Test func inheritsWhatAPolicyExtends() throws {
        let payments = try parse(sketch).policy(forModule: "payments")
        #expect(payments.timeout == .seconds(2))
        #expect(payments.bulkhead?.maximumConcurrentCalls == 32)
        #expect(payments.bulkhead?.maximumQueuedCalls == 64)
        #expect(payments.retry?.maximumAttempts == 3)
        #expect(payments.retryBudget?.ratio == 0.2)
        #expect(payments.circuitBreaker?.permittedNumberOfCallsInHalfOpenState == 3)
    }

    @Test func inheritsWithinASection() throws {
        let text = minimal(
            """
            policies:
              base: { retry: { attempts: 5, backoff: { base: 10ms } } }
              other: { extends: base, retry: { backoff: { max: 1s } } }
              once: { extends: base, retry: none }
            """)
        let policies = try parse(text).policies
        #expect(policies["other"]?.retry?.maximumAttempts == 5)
        #expect(policies["other"]?.retry?.baseDelay == .milliseconds(10))
        #expect(policies["other"]?.retry?.maximumDelay == .seconds(1))
        #expect(policies["once"]?.retry == nil)
        #expect(policies["once"]?.circuitBreaker != nil)
    }

    @Test func hasDefaultsFitForProduction() throws {
        let platform = try parse(minimal("gateway: { node: main }"))
        #expect(platform.nodes.first?.store.engine == .sqlite)
        #expect(platform.nodes.first?.store.path == "data/main.db")
        #expect(platform.nodes.first?.store.durability == .full)
        #expect(platform.nodes.first?.listen == nil)
        #expect(platform.gateway?.listen == .tcp(host: "127.0.0.1", port: 8080))
        #expect(platform.gateway?.limits.headerBytes == 32 << 10)
        #expect(platform.gateway?.limits.maxBody == 1 << 20)
        #expect(platform.gateway?.cors == nil)
        #expect(platform.gateway?.routes.isEmpty == true)
        #expect(platform.admin.listen == .unix(path: "data/admin.sock"))
        #expect(platform.admin.listen(node: "payments", isFirst: false) == .unix(path: "data/admin-payments.sock"))
        #expect(platform.telemetry.accessLog == .json)
        #expect(platform.telemetry.prometheus.path == "/metrics")
        #expect(platform.telemetry.tracingSample == 1)
        let policy = platform.policy(forModule: "orders")
        #expect(policy.timeout == .seconds(15))
        #expect(policy.retry == RetryPolicy())
    }

    /// The file's defaults are written down apart from the library's: they must not drift.
    @Test func leavesAnEmptyPolicyAtTheLibrarysDefaults() throws {
        let platform = try parse(minimal("policies: { default: {} }"))
        let written = platform.policy(forModule: "orders")
        let standard = CallPolicy()
        #expect(written.timeout == standard.timeout)
        #expect(written.attemptTimeout == standard.attemptTimeout)
        #expect(written.retry == standard.retry)
        #expect(written.retryBudget == standard.retryBudget)
        #expect(written.bulkhead == standard.bulkhead)
        #expect(written.rateLimit == standard.rateLimit)
        let breaker = try #require(written.circuitBreaker)
        let usual = try #require(standard.circuitBreaker)
        #expect(breaker.window == usual.window)
        #expect(breaker.failureRateThreshold == usual.failureRateThreshold)
        #expect(breaker.minimumNumberOfCalls == usual.minimumNumberOfCalls)
        #expect(breaker.openDuration == usual.openDuration)
        #expect(breaker.maximumOpenDuration == usual.maximumOpenDuration)
        #expect(breaker.permittedNumberOfCallsInHalfOpenState == usual.permittedNumberOfCallsInHalfOpenState)
    }

    @Test func goesWithoutTheGuardsThatAreNone() throws {
        let text =
            "policies: { default: { retry: none, circuitBreaker: none, bulkhead: none, rateLimit: { rate: 5/min } } }"
        let policy = try parse(minimal(text)).policy(forModule: "orders")
        #expect(policy.retry == nil)
        #expect(policy.retryBudget == nil)
        #expect(policy.circuitBreaker == nil)
        #expect(policy.bulkhead == nil)
        #expect(policy.rateLimit == RateLimit(5, per: .seconds(60)))
    }

    @Test func understandsAnchors() throws {
        let text = minimal("policies: { a: &base { timeout: 3s }, b: *base }")
        #expect(try parse(text).policies["b"]?.timeout == .seconds(3))
    }
}
