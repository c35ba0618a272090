import DovetailModules
import Testing

@testable import DovetailGateway
@testable import DovetailPlatform

/// Who may, and what is made of several, as a file says it and as `check` sees it.
@Suite struct GatewayPartsTests {
    private func text(_ gateway: String, upstreams: String = "u: { servers: [http://127.0.0.1:1] }") -> String {
        """
        version: 1
        platform: edge
        nodes: { main: { store: { engine: memory } } }
        gateway:
          node: main
          listen: 127.0.0.1:8080
          \(gateway.split(separator: "\n").joined(separator: "\n  "))
        upstreams: { \(upstreams) }
        """
    }

    private func compile(
        _ gateway: String, upstreams: String = "u: { servers: [http://127.0.0.1:1] }"
    ) throws -> GatewayConfiguration {
        try #require(
            try RoutePlan(parse(text(gateway, upstreams: upstreams)), catalog: ModuleCatalog([]), folder: ".").compiled)
    }

    @Test func authenticatorsAreWhatTheFileSays() throws {
        let compiled = try compile(
            """
            authentication:
              portal: { forward: { url: "https://auth.test:9100/verify?a=b", responseHeaders: [x-user], timeout: 1s, cacheFor: 5s, principal: x-user, scopes: x-scopes } }
              signed: { hmac: { keys: { acme: { secret: a-secret-of-sixteen, scopes: [w], claims: { tenant: acme } } }, maxSkew: 1m, covers: x-tenant } }
            routes:
              - { path: "/a/{tenant}", authentication: signed, claims: { tenant: "{tenant}" }, upstream: u }
            """)
        guard case .forward(let forward)? = compiled.authenticators["portal"],
            case .signatures(let signatures)? = compiled.authenticators["signed"]
        else {
            Issue.record("\(compiled.authenticators)")
            return
        }
        #expect(forward.server == .init(host: "auth.test", port: 9100))
        #expect(forward.tls != nil)
        #expect(forward.target == "/verify?a=b")
        #expect(forward.requestHeaders == ["authorization", "cookie"])
        #expect(forward.keeping == .request)
        #expect(forward.cacheFor == .seconds(5))
        #expect(signatures.keys.map(\.subject) == ["acme"])
        #expect(signatures.keys.first?.claims == ["tenant": ["acme"]])
        #expect(signatures.maximumSkew == .seconds(60))
        #expect(signatures.requiredFields == ["x-tenant"])
        #expect(compiled.routes.first?.claims == ["tenant": "{tenant}"])
    }

    @Test func batchesAndAggregatesAreWhatTheFileSays() throws {
        let compiled = try compile(
            """
            routes:
              - { path: /batch, authentication: none, batch: { maximum: 5 } }
              - { path: "/all/{id}", authentication: none, aggregate: { parts: { b: { get: "/x?i={id}" }, a: { get: /y, required: false } } } }
            """)
        guard case .batch(let policy)? = compiled.routes.first?.destination,
            case .aggregate(let plan)? = compiled.routes.last?.destination
        else {
            Issue.record("\(compiled.routes)")
            return
        }
        #expect(policy == BatchPolicy(maximum: 5))
        #expect(compiled.routes.map(\.methods) == [[.post], [.get, .head]])
        #expect(plan.parts.map(\.name) == ["b", "a"])
        #expect(plan.parts.map(\.isRequired) == [true, false])
    }

    @Test(arguments: [
        "{ path: /b, authentication: none, batch: {}, upstream: u }",
        "{ path: /b, authentication: none, batch: { maximum: 1000 } }",
        "{ path: /b, authentication: none, batch: {}, methods: [GET] }",
        "{ path: /b, authentication: none, aggregate: { parts: {} } }",
        "{ path: /b, authentication: none, aggregate: { parts: { errors: { get: /x } } } }",
        "{ path: /b, authentication: none, aggregate: { parts: { a: { get: x } } } }",
        "{ path: /b, authentication: none, aggregate: { parts: { a: { get: /x } } }, cache: {} }",
        "{ path: /b, authentication: none, claims: { a: b }, upstream: u }",
    ])
    func whatMakesNoSenseIsRefused(_ route: String) {
        #expect(throws: ConfigurationError.self) { try parse(text("routes: [\(route)]")) }
    }

    @Test func checkFindsRoutesThatAreNeverTakenOrOpenWhatOthersGuard() throws {
        let compiled = try compile(
            """
            authentication: { keys: { apiKeys: { keys: { acme: { key: a-key-of-sixteen-bytes } } } } }
            routes:
              - { path: "/orders/{id}", authentication: keys, upstream: u, rewrite: { path: "/v2/orders/{id}" } }
              - { path: "/orders/{other}", methods: [GET], authentication: keys, upstream: u }
              - { path: /old/**, authentication: none, upstream: u, rewrite: { stripPrefix: /old } }
              - { path: /fine/**, authentication: none, upstream: u }
              - { path: /all, authentication: none, aggregate: { parts: { a: { get: /nowhere }, b: { get: "/orders/{query.id}" } } } }
            """)
        let findings = RouteReach(compiled).findings
        #expect(findings.map(\.severity) == [.error, .warning, .error])
        #expect(findings[0].message.contains("never taken"))
        #expect(findings[1].message.contains("/v2/orders/"))
        #expect(findings[1].place.contains("/old/**"))
        #expect(findings[2].message.contains("'a'"))
    }

    /// Whatever the upstream is called, and however the path is written, what is guarded by one route and open by another is found.
    @Test(
        arguments: [
            // The same server under another name.
            (
                "{ path: /admin/**, authentication: keys, upstream: u }",
                "{ path: /x/**, authentication: none, upstream: same, rewrite: { stripPrefix: /x } }", "leads to"
            ),
            // An expression that goes before the prefix.
            (
                "{ path: /admin/**, authentication: keys, upstream: u }",
                "{ path: \"~ ^/admin/[a-z]+$\", authentication: none, upstream: u }", "leads to"
            ),
            // An expression whose captures are written into the path.
            (
                "{ path: /admin/**, authentication: keys, upstream: u }",
                "{ path: \"~ ^/(?<a>[a-z]+)/go$\", authentication: none, upstream: u, rewrite: { path: \"/{a}\" } }",
                "cannot be told"
            ),
            // A guarded expression.
            (
                "{ path: \"~ ^/a[0-9]+$\", authentication: keys, upstream: u }",
                "{ path: /x/**, authentication: none, upstream: same, rewrite: { stripPrefix: /x } }", "leads to"
            ),
            // What is guarded is taken first, or is elsewhere, or is something else.
            (
                "{ path: /admin/**, authentication: keys, upstream: u }",
                "{ path: /**, authentication: none, upstream: u }", nil
            ),
            (
                "{ path: \"/items/{id}\", authentication: keys, upstream: u }",
                "{ path: \"~ ^/items/[0-9]+$\", authentication: none, upstream: u }", nil
            ),
            (
                "{ path: /admin/**, authentication: keys, upstream: u }",
                "{ path: /x/**, authentication: none, upstream: other, rewrite: { stripPrefix: /x } }", nil
            ),
            (
                "{ path: /admin/**, authentication: keys, upstream: u }",
                "{ path: \"~ ^/shop/[a-z]+$\", authentication: none, upstream: u }", nil
            ),
            (
                "{ path: /admin/**, methods: [POST], authentication: keys, upstream: u }",
                "{ path: \"~ ^/admin/[a-z]+$\", methods: [GET], authentication: none, upstream: u }", nil
            ),
        ] as [(String, String, String?)])
    func checkFindsWhatIsOpenedWhateverItIsWrittenAs(_ guarded: String, _ open: String, _ expected: String?) throws {
        let compiled = try compile(
            """
            authentication: { keys: { apiKeys: { keys: { acme: { key: a-key-of-sixteen-bytes } } } } }
            routes: [\(guarded), \(open)]
            """,
            upstreams: [("u", 9), ("same", 9), ("other", 10)].map { name, port in
                "\(name): { servers: [http://127.0.0.1:\(port)] }"
            }.joined(separator: ", "))
        let findings = RouteReach(compiled).findings
        #expect(findings.count == (expected == nil ? 0 : 1), "\(findings)")
        if let expected { #expect(findings.first?.message.contains(expected) == true, "\(findings)") }
    }
}
