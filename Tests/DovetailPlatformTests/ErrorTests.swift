import DovetailPlatform
import Testing

/// What a user reads when something is wrong: word for word, because that is what these messages are for.
@Suite struct ErrorTests {
    @Test func saysWhereWhatAndWhatWouldBeRight() {
        let text = sketch.replacing("rate: 100/s", with: "rate: fast")
        #expect(
            issues(in: text) == [
                "platform.yaml:16:26: gateway.routes[0].rateLimit.rate: expected a rate such as 100/s, found \"fast\""
            ])
    }

    @Test func tellsEverythingAtOnceInTheOrderOfTheFile() {
        let text = """
            version: 2
            platform: 7up
            nodes:
              main: { modules: [orders], listen: 127.0.0.1:80800 }
            gateway:
              nod: main
              routes:
                - path: api
                  upstream: legacy
            telemetry: { accessLog: xml }
            """
        #expect(
            issues(in: text) == [
                "platform.yaml:1:10: version: expected 1, the version of this format, found \"2\"",
                "platform.yaml:2:11: platform: expected a name (a letter, then up to 63 letters, digits, '-' or '_'), found \"7up\"",
                "platform.yaml:4:38: nodes.main.listen: expected an address such as 127.0.0.1:8080, [::1]:8080, :8080 (every interface) or unix:path, found \"127.0.0.1:80800\"",
                "platform.yaml:6:3: gateway: 'node' is missing: expected a name (a letter, then up to 63 letters, digits, '-' or '_')",
                "platform.yaml:6:3: gateway: unknown key \"nod\"; did you mean 'node'?",
                "platform.yaml:8:7: gateway.routes[0]: 'authentication' is missing: expected an authenticator's name, or none",
                "platform.yaml:8:13: gateway.routes[0].path: expected a path such as /api, /files/{name} or /legacy/**, or an expression such as ~ ^/items/(?<id>[0-9]+)$, found \"api\"",
                "platform.yaml:9:17: gateway.routes[0].upstream: no upstream is named \"legacy\"",
                "platform.yaml:10:25: telemetry.accessLog: expected one of json, common, off, found \"xml\"",
            ])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var text: String
        var message: String
        var testDescription: String { message }
    }

    static func section(_ text: String, line: Int = 4, _ message: String) -> Case {
        Case(text: minimal(text), message: "platform.yaml:\(line):" + message)
    }

    static func route(_ text: String, line: Int = 8, _ message: String) -> Case {
        let gateway = """
            gateway:
              node: main
              authentication: { users: { jwt: { issuer: i, audience: a, algorithms: [ES256], publicKey: k.pem } } }
              routes:
                - \(text)
            upstreams: { legacy: { servers: [http://10.0.0.5:3000] } }
            """
        return Case(text: minimal(gateway), message: "platform.yaml:\(line):" + message)
    }

    static func jwt(_ text: String, _ message: String) -> Case {
        section(
            "gateway: { node: main, authentication: { users: { jwt: { issuer: i, audience: a, \(text) } } } }", message)
    }

    static let sections = [
        section("gatway: {}", "1: unknown key \"gatway\"; did you mean 'gateway'?"),
        section(
            "zebra: {}",
            "1: unknown key \"zebra\"; expected one of admin, calls, events, gateway, nodes, platform, policies, privacy, sagas, security, telemetry, upstreams, version"
        ),
        section("gateway: []", "10: gateway: expected a gateway section, found a list"),
        section("gateway: { node: other }", "18: gateway.node: no node is named \"other\""),
        section("gateway: { node: mian }", "18: gateway.node: no node is named \"mian\"; did you mean 'main'?"),
        section(
            "gateway: { node: main, tls: {} }",
            "29: gateway.tls: 'certificates' is missing: expected a list of at least 1, each { chain: …, key: … }"
        ),
        section(
            "telemetry: { otlp: { endpoint: x } }",
            "14: telemetry.otlp: 'otlp' is not supported yet (export of traces and metrics by OTLP); leave it out"),
        section(
            "gateway: { node: main, limits: { maxBody: 1MB } }",
            "43: gateway.limits.maxBody: expected a size such as 64KiB or 1MiB, from 0 bytes to 1024GiB, found \"1MB\""),
        section(
            "gateway: { node: main, limits: { idleTimeout: 75 } }",
            "47: gateway.limits.idleTimeout: expected a duration such as 250ms, 2s, 1m or 1h, found \"75\""),
        section(
            "gateway: { node: main, cors: { allowOrigins: \"*\", allowCredentials: true } }",
            "69: gateway.cors.allowCredentials: with the origin * no credentials can be allowed; name the origins"),
        section(
            "gateway: { node: main, cors: { allowOrigins: [] } }",
            "46: gateway.cors.allowOrigins: expected a list of at least 1, each an origin such as https://shop.example, or *, found an empty list"
        ),
        section(
            "gateway: { node: main, listen: \"unix:gate.sock\" }",
            "32: gateway.listen: the gateway listens on TCP, not on a Unix socket"),
        section(
            "upstreams: { legacy: { servers: [ftp://host] } }",
            "34: upstreams.legacy.servers[0]: expected a URL such as http://10.0.0.5:3000, without a path or a URL with a weight: { url: …, weight: 2 }, found \"ftp://host\""
        ),
        section(
            "upstreams: { legacy: { servers: [http://a, http://a/] } }",
            "33: upstreams.legacy.servers: the server http://a:80 is there twice; give it a weight instead"),
        section(
            "upstreams: { legacy: { servers: [http://a], loadBalancing: random } }",
            "60: upstreams.legacy.loadBalancing: expected one of round-robin, least-request, peak-ewma, consistent-hash, found \"random\""
        ),
        section(
            "upstreams: { legacy: { servers: [http://a], hashBy: path } }",
            "53: upstreams.legacy.hashBy: only loadBalancing: consistent-hash asks for a key"),
        section(
            "upstreams: { legacy: { servers: [http://a, https://b] } }",
            "33: upstreams.legacy.servers: the servers are all https or all http"),
        section(
            "upstreams: { legacy: { servers: [http://a], healthCheck: { path: /, statuses: 399-200 } } }",
            "79: upstreams.legacy.healthCheck.statuses: expected a status or a range such as 200-399, found \"399-200\""
        ),
        section(
            "upstreams: { legacy: { servers: [http://a], outlierEjection: { time: 10m } } }",
            "62: upstreams.legacy.outlierEjection: the longest time is shorter than the first"),
        section(
            "upstreams: { legacy: { servers: [http://a], policy: slow } }",
            "53: upstreams.legacy.policy: no policy is named \"slow\""),
        section(
            "policies: { a: { timeout: soon } }",
            "27: policies.a.timeout: expected a duration such as 250ms, 2s, 1m or 1h, found \"soon\""),
        section(
            "policies: { a: { retry: { budget: { ratio: 120% } } } }",
            "44: policies.a.retry.budget.ratio: expected a share such as 20% or 0.2, found \"120%\""),
        section(
            "policies: { a: { retry: no } }", "25: policies.a.retry: expected none or a retry section, found \"no\""),
        section("policies: { a: { extends: b } }", "27: policies.a.extends: no policy is named \"b\""),
        section(
            "policies: { a: { extends: b }, b: { extends: a } }",
            "27: policies.a.extends: policies extend each other in a circle: b → a → b"),
        section(
            "calls: { order: payments }", "17: calls.order: no policy is named \"payments\""),
        section(
            "policies: { p: {} }\ncalls: { order: p }", line: 5,
            "17: calls.order: no module is named \"order\"; did you mean 'orders'?"),
        section(
            "admin: { listen: 127.0.0.1:9000 }",
            "18: admin.listen: on TCP the door needs a 'token'; on a Unix socket the file's mode is enough"),
        section("policies: { <<: {} }", "13: policies: merge keys (<<) are not supported; policies have 'extends'"),
        section(
            "policies: { 1st: {} }",
            "13: policies: expected a name (a letter, then up to 63 letters, digits, '-' or '_'), found \"1st\""),
        section("policies: { ? [a] : {} }", "15: policies: a key must be text"),
        section("admin: { listen: 1, listen: 2 }", "10: the key \"listen\" is there more than once in one mapping"),
        section("admin: { listen: ", line: 5, "1: not YAML: did not find expected node content"),
        section("admin: *nowhere", "8: not YAML: found undefined alias"),
    ]

    static let routes = [
        route(
            "{ path: /a, authentication: users }",
            "7: gateway.routes[0]: expected exactly one of 'contract', 'upstream', 'split', 'redirect', 'versions', 'batch', 'aggregate', found none of them"
        ),
        route(
            "{ path: /a, authentication: users, upstream: legacy, contract: a@1 }",
            "7: gateway.routes[0]: expected exactly one of 'contract', 'upstream', 'split', 'redirect', 'versions', 'batch', 'aggregate', found 'contract' and 'upstream'"
        ),
        route(
            "{ path: /a, authentication: user, upstream: legacy }",
            "35: gateway.routes[0].authentication: no authenticator is named \"user\"; did you mean 'users'?"),
        route(
            "{ path: /a, authentication: none, upstream: legacy, scopes: [x] }",
            "67: gateway.routes[0].scopes: scopes need a caller, and the route's authentication is none"),
        route(
            "{ path: /a, authentication: none, upstream: legacy, rateLimit: { rate: 1/s, by: principal } }",
            "87: gateway.routes[0].rateLimit.by: callers of a route without authentication have no principal; limit by address"
        ),
        route(
            "{ path: /a, authentication: none, upstream: legacy, headers: { X_Beta: 1 } }",
            "78: gateway.routes[0].headers.X_Beta: fields of clients with an underscore in their names are dropped, so this one is never there; rename it, or say 'underscoresInHeaders: true' of the gateway"
        ),
        route(
            "{ path: /a, authentication: none, split: { legacy: 9, canary: 1 } }",
            "69: gateway.routes[0].split.canary: no upstream is named \"canary\""),
        route(
            "{ path: /a, authentication: none, split: { legacy: 0 } }",
            "48: gateway.routes[0].split: with weights of zero nothing goes anywhere"),
        route(
            "{ path: /a, authentication: none, redirect: { status: 304 } }",
            "61: gateway.routes[0].redirect.status: 304 does not send callers elsewhere; use 301, 302, 303, 307 or 308"),
        route(
            "{ path: /a, authentication: none, upstream: legacy, addresses: { allow: 10.0.0.0/33 } }",
            "79: gateway.routes[0].addresses.allow: expected an address or a range such as 10.0.0.0/8, found \"10.0.0.0/33\""
        ),
        route(
            "{ path: /a, authentication: none, upstream: legacy, requestHeaders: { set: { Host: a } } }",
            "82: gateway.routes[0].requestHeaders.set: the header 'Host' is the gateway's own to write"),
        route(
            "{ path: /a, authentication: none, upstream: legacy, cache: { maxAge: 30s } }",
            "68: gateway.routes[0].cache: unknown key \"maxAge\"; expected one of freshFor, maxBody, staleIfError, staleWhileRevalidate"
        ),
        route(
            "{ path: /a, authentication: none, upstream: legacy, rewrite: { stripPrefix: /b } }",
            "68: gateway.routes[0].rewrite: the path \"/a\" does not begin with \"/b\""),
        route(
            "{ path: /a, authentication: none, contract: orders@1, rewrite: { path: /b } }",
            "70: gateway.routes[0].rewrite: the paths of a contract's endpoints are known; only an upstream's are rewritten"
        ),
        route(
            "{ path: \"/a/**\", authentication: none, contract: orders@1 }",
            "15: gateway.routes[0].path: with a contract the path is a plain prefix such as /api"),
        route(
            "{ path: \"/**/a\", authentication: none, upstream: legacy }",
            "15: gateway.routes[0].path: expected a path such as /api, /files/{name} or /legacy/**, or an expression such as ~ ^/items/(?<id>[0-9]+)$, found \"/**/a\""
        ),
        route(
            "{ path: /a, authentication: none, upstream: legacy, methods: [get] }",
            "69: gateway.routes[0].methods[0]: expected a method in capitals such as GET or PROPFIND, but for TRACE and CONNECT, found \"get\""
        ),
        route(
            "{ path: /a, authentication: none, contract: orders }",
            "51: gateway.routes[0].contract: expected a contract and its major version such as orders@1, found \"orders\""
        ),
        route(
            "{ path: /a, authentication: none, upstream: legacy }\n    - { path: /a, authentication: users, methods: [GET], upstream: legacy }",
            line: 9, "7: gateway.routes[1]: routes[0] has the same host, path and methods; one would never be taken"),
    ]

    static let tokens = [
        jwt(
            "algorithms: [ES256]",
            "56: gateway.authentication.users.jwt: expected exactly one of 'jwks', 'secret', 'publicKey', found none of them"
        ),
        jwt(
            "algorithms: [none], publicKey: k.pem",
            "95: gateway.authentication.users.jwt.algorithms[0]: expected one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, found \"none\""
        ),
        jwt(
            "algorithms: [HS256], publicKey: k.pem",
            "94: gateway.authentication.users.jwt.algorithms: HS256 takes a 'secret', not 'jwks' or 'publicKey'"),
        jwt(
            "algorithms: [ES256], secret: \(String(repeating: "s", count: 40))",
            "94: gateway.authentication.users.jwt.algorithms: ES256 takes 'jwks' or 'publicKey', not a 'secret'"),
        jwt(
            "algorithms: [ES256, RS256], publicKey: k.pem",
            "94: gateway.authentication.users.jwt.algorithms: a 'publicKey' is of one algorithm; name that one, or use 'jwks'"
        ),
        section(
            "gateway: { node: main, authentication: { partners: { apiKeys: { keys: { acme: { key: short } } } } } }",
            "86: gateway.authentication.partners.apiKeys.keys.acme.key: expected a secret of at least 16 visible ASCII characters, best written as ${NAME}, found something else (not shown)"
        ),
        section(
            "gateway: { node: main, authentication: { staff: { basic: {}, apiKeys: {} } } }",
            "49: gateway.authentication.staff: expected exactly one of 'jwt', 'apiKeys', 'basic', 'forward', 'hmac', 'clientCertificate', found 'apiKeys' and 'basic'"
        ),
        jwt(
            "algorithms: [HS512], secret: \(String(repeating: "s", count: 63))",
            "111: gateway.authentication.users.jwt.secret: HS512 takes a secret of 64 bytes or more (RFC 7518, 3.2)"),
        jwt(
            "algorithms: [ES256], jwks: { file: a, refresh: 1m }",
            "129: gateway.authentication.users.jwt.jwks.refresh: only a published key set is fetched again"),
        jwt(
            "algorithms: [HS256], secret: hunter2",
            "111: gateway.authentication.users.jwt.secret: expected a secret of at least 32 visible ASCII characters, best written as ${NAME}, found something else (not shown)"
        ),
    ]

    @Test(arguments: sections + routes + tokens)
    func namesEachMistake(_ mistake: Case) {
        let found = issues(in: mistake.text)
        #expect(found.contains(mistake.message), "\(found)")
    }
}
