import Foundation
import Testing

@testable import DovetailPlatform

/// A file with every key that there is, and another value for each of them: `⟨this|that⟩`.
let everyKey = """
    version: 1
    platform: ⟨shop|store⟩
    nodes:
      main:
        modules: ⟨[orders]|[orders, users]⟩
        listen: ⟨127.0.0.1:8081|127.0.0.1:8082⟩
        url: ⟨http://main.test:8081|http://main.test:8082⟩
        store:
          path: ⟨main.db|other.db⟩
          durability: ⟨full|normal⟩
          keepKeys: ⟨90d|80d⟩
          retention: [{ topics: ⟨orders.#|users.#⟩, age: ⟨1d|2d⟩, size: ⟨1MiB|2MiB⟩, last: ⟨1000|2000⟩ }]
      second: { store: { engine: ⟨memory|sqlite⟩ } }
    gateway:
      node: ⟨main|second⟩
      listen: ⟨127.0.0.1:8080|127.0.0.1:8090⟩
      tls:
        certificates: [{ chain: ⟨a.pem|b.pem⟩, key: ⟨a.key|b.key⟩ }]
        clientAuthorities: ⟨ca.pem|cb.pem⟩
        clientCertificates: ⟨required|optional⟩
      proxyProtocol: { from: ⟨10.0.0.0/8|10.0.0.0/7⟩ }
      trustedProxies: ⟨[10.0.0.0/8]|[10.0.0.0/8, 192.0.2.1]⟩
      forwarded: ⟨false|true⟩
      underscoresInHeaders: ⟨false|true⟩
      authentication:
        file: { jwt: { issuer: ⟨a|b⟩, audience: ⟨a|b⟩, algorithms: ⟨[ES256]|[ES256, RS256]⟩, leeway: ⟨30s|1m⟩, jwks: { file: ⟨a.json|b.json⟩ } } }
        inline: { jwt: { issuer: a, audience: a, algorithms: [ES256], jwks: { inline: ⟨'{"keys":[]}'|'{"keys": []}'⟩ } } }
        published: { jwt: { issuer: a, audience: a, algorithms: [ES256], jwks: { url: ⟨https://id.test/a|https://id.test/b⟩, refresh: ⟨5m|6m⟩ } } }
        shared: { jwt: { issuer: a, audience: a, algorithms: [HS256], secret: ⟨0123456789abcdef0123456789abcdef|1123456789abcdef0123456789abcdef⟩ } }
        key: { jwt: { issuer: a, audience: a, algorithms: [ES256], publicKey: ⟨a.pem|b.pem⟩ } }
        keys: { apiKeys: { header: ⟨X-Key|X-API-Key⟩, keys: { acme: { key: ⟨a-key-of-sixteen-bytes|b-key-of-sixteen-bytes⟩, scopes: ⟨[a]|[a, b]⟩, claims: { tenant: ⟨a|b⟩ } } } } }
        users: { basic: { realm: ⟨shop|store⟩, users: { ann: { password: ⟨password-a|password-b⟩, scopes: ⟨[a]|[b]⟩, claims: { tenant: ⟨a|b⟩ } } } } }
        portal:
          forward:
            url: ⟨https://auth.test/a|https://auth.test/b⟩
            authorities: ⟨a.pem|b.pem⟩
            requestHeaders: ⟨[cookie]|[cookie, authorization]⟩
            responseHeaders: ⟨[x-user]|[x-user, x-team]⟩
            principal: ⟨x-user|x-name⟩
            scopes: ⟨x-scopes|x-rights⟩
            timeout: ⟨2s|3s⟩
            cacheFor: ⟨1s|2s⟩
            cacheBy: ⟨request|credential⟩
            maxInFlight: ⟨256|128⟩
        signed: { hmac: { keys: { acme: { secret: ⟨a-secret-of-sixteen|b-secret-of-sixteen⟩, scopes: ⟨[a]|[b]⟩, claims: { tenant: ⟨a|b⟩ } } }, maxSkew: ⟨5m|6m⟩, covers: ⟨[x-a]|[x-a, x-b]⟩, maxBody: ⟨1MiB|2MiB⟩, maxNonces: ⟨1000|2000⟩ } }
        certificates: { clientCertificate: { clients: { acme: { name: ⟨a.test|b.test⟩, scopes: ⟨[a]|[b]⟩, claims: { tenant: ⟨a|b⟩ } } } } }
      cors:
        allowOrigins: ⟨[https://a.test]|[https://a.test, https://b.test]⟩
        allowMethods: ⟨[GET]|[GET, PROPFIND]⟩
        allowHeaders: ⟨[x-a]|[x-b]⟩
        exposeHeaders: ⟨[x-a]|[x-b]⟩
        allowCredentials: ⟨false|true⟩
        maxAge: ⟨10m|20m⟩
      limits:
        headerBytes: ⟨32KiB|16KiB⟩
        headerFields: ⟨100|50⟩
        targetBytes: ⟨8KiB|4KiB⟩
        maxBody: ⟨1MiB|2MiB⟩
        cache: ⟨64MiB|32MiB⟩
        connections: ⟨1000|2000⟩
        inFlight: ⟨100|200⟩
        loopLag: ⟨100ms|200ms⟩
        idleTimeout: ⟨75s|60s⟩
        streamTimeout: ⟨5m|6m⟩
        headerTimeout: ⟨10s|20s⟩
        drainTimeout: ⟨30s|20s⟩
      routes:
        - path: /a/**
          authentication: ⟨keys|none⟩
          upstream: ⟨one|two⟩
          addresses: { allow: ⟨[10.0.0.0/8]|[10.0.0.0/8, 11.0.0.0/8]⟩, deny: ⟨[10.9.0.0/16]|[10.9.0.0/17]⟩ }
          requestHeaders: { set: { X-A: ⟨a|b⟩ }, remove: ⟨[x-b]|[x-c]⟩ }
          responseHeaders: { set: { X-A: ⟨a|b⟩ }, remove: ⟨[x-b]|[x-c]⟩ }
          rateLimit: { rate: ⟨10/s|20/s⟩, burst: ⟨20|30⟩, by: ⟨address|route⟩ }
          timeout: ⟨3s|none⟩
          rewrite: { stripPrefix: /a }
          maxBody: ⟨1MiB|2MiB⟩
          webSocket: ⟨false|true⟩
          cache: { freshFor: ⟨1s|2s⟩, staleWhileRevalidate: ⟨1s|2s⟩, staleIfError: ⟨1s|2s⟩, maxBody: ⟨1MiB|2MiB⟩ }
          maxInFlight: ⟨10|20⟩
          essential: ⟨false|true⟩
          mirror: { upstream: ⟨two|one⟩, share: ⟨10%|20%⟩, allMethods: ⟨false|true⟩, maxBody: ⟨1KiB|2KiB⟩, maxInFlight: ⟨10|20⟩ }
          deprecated: ⟨2026-10-01|2026-10-02⟩
          sunset: ⟨2027-10-01|2027-10-02⟩
          link: ⟨https://a.test/a|https://a.test/b⟩
        - path: /b/b/x
          authentication: keys
          scopes: ⟨[a]|[b]⟩
          claims: { tenant: ⟨a|b⟩ }
          split: { one: ⟨95|90⟩, two: 5 }
          rewrite: { stripPrefix: ⟨/b|/b/b⟩ }
          rateLimit: [{ rate: ⟨10/s|20/s⟩, burst: ⟨20|30⟩, by: ⟨address|principal⟩ }, { rate: 100/s }]
          maxInFlight: { requests: ⟨10|20⟩, queue: ⟨1|2⟩, wait: ⟨1s|2s⟩ }
        - { path: "/c/{id}", authentication: none, upstream: one, rewrite: { path: ⟨"/v1/{id}"|"/v2/{id}"⟩ } }
        - { path: ⟨/d|/dd⟩, authentication: none, upstream: one }
        - { path: /e, host: ⟨a.test|b.test⟩, methods: ⟨[GET]|[PUT]⟩, headers: { x-a: ⟨a|b⟩ }, query: { a: ⟨a|b⟩ }, authentication: none, redirect: { status: ⟨308|307⟩, scheme: ⟨https|http⟩, host: ⟨a.test|b.test⟩ } }
        - { path: /f, authentication: none, batch: { maximum: ⟨10|20⟩, maxAnswer: ⟨1MiB|2MiB⟩ } }
        - { path: /g, authentication: none, aggregate: { parts: { a: { get: ⟨/d|/e⟩, required: ⟨true|false⟩ } }, maxAnswer: ⟨1MiB|2MiB⟩ } }
        - path: /h
          authentication: none
          versions:
            by: ⟨header:x-version|path⟩
            default: ⟨"1"|"2"⟩
            of:
              "1": { upstream: ⟨one|two⟩, deprecated: ⟨2026-10-01|2026-10-02⟩, sunset: ⟨2027-10-01|2027-10-02⟩, link: ⟨https://a.test/a|https://a.test/b⟩ }
              "2": { upstream: two }
        - { path: /i, authentication: none, contract: ⟨orders@1|orders@2⟩ }
    upstreams:
      one:
        servers: ⟨[https://one.test]|[https://one.test, https://other.test]⟩
        protocol: ⟨http1|http2⟩
        hostHeader: ⟨client|server⟩
        principalHeaders: { subject: ⟨X-User|X-Name⟩, authenticator: ⟨X-By|X-Known-By⟩, scopes: ⟨X-Scopes|X-Rights⟩, claims: { tenant: ⟨X-Tenant|X-Client⟩ } }
        loadBalancing: consistent-hash
        hashBy: ⟨address|path⟩
        outlierEjection: { failures: ⟨5|6⟩, time: ⟨10s|20s⟩, longest: ⟨5m|6m⟩, share: ⟨50%|40%⟩ }
        healthCheck: { path: ⟨/a|/b⟩, statuses: ⟨200-299|200⟩, interval: ⟨1s|2s⟩, timeout: ⟨1s|2s⟩, healthyAfter: ⟨1|2⟩, unhealthyAfter: ⟨1|2⟩ }
        tls: { serverName: ⟨a.test|b.test⟩, authorities: ⟨a.pem|b.pem⟩, certificate: { chain: ⟨a.pem|b.pem⟩, key: ⟨a.key|b.key⟩ } }
        policy: ⟨plain|bare⟩
        connectTimeout: ⟨1s|2s⟩
        connections: ⟨10|20⟩
        waiting: ⟨10|20⟩
        idleTimeout: ⟨10s|20s⟩
        maxInFlight: ⟨10|20⟩
        adaptiveLimit: { initial: ⟨10|20⟩, least: ⟨5|6⟩, most: ⟨100|200⟩, observe: ⟨false|true⟩ }
        hedge: { after: ⟨50ms|60ms⟩ }
        slowStart: ⟨10s|20s⟩
        resolve: ⟨10s|20s⟩
      two:
        servers: [{ url: ⟨http://10.0.0.1:80|http://10.0.0.2:80⟩, weight: ⟨1|2⟩ }]
        loadBalancing: ⟨round-robin|peak-ewma⟩
        maxInFlight: { requests: ⟨10|20⟩, queue: ⟨1|2⟩, wait: ⟨1s|2s⟩ }
    policies:
      slow:
        extends: ⟨quick|third⟩
        timeout: ⟨10s|20s⟩
        attemptTimeout: ⟨1s|2s⟩
        retry: { attempts: ⟨2|3⟩, backoff: { base: ⟨10ms|20ms⟩, max: ⟨1s|2s⟩ }, budget: { ratio: ⟨10%|20%⟩, window: ⟨10s|20s⟩, minimum: ⟨1/s|2/s⟩ } }
        circuitBreaker: { failureRate: ⟨50%|60%⟩, minimumCalls: ⟨10|20⟩, window: ⟨10s|20s⟩, open: ⟨1s|2s⟩, maxOpen: ⟨10s|20s⟩, halfOpenCalls: ⟨1|2⟩ }
        bulkhead: { concurrent: ⟨10|20⟩, queue: ⟨1|2⟩, wait: ⟨1s|2s⟩ }
        rateLimit: { rate: ⟨10/s|20/s⟩, burst: ⟨20|30⟩ }
      quick: { retry: ⟨none|{}⟩, circuitBreaker: ⟨none|{}⟩, bulkhead: ⟨none|{}⟩, rateLimit: ⟨none|{ rate: 1/s }⟩ }
      third: { retry: { budget: ⟨none|{}⟩ } }
      plain: { retry: none }
      bare: { circuitBreaker: none }
    calls: { orders: ⟨slow|quick⟩ }
    admin: { listen: ⟨127.0.0.1:9000|127.0.0.1:9001⟩, token: ⟨a-token-of-sixteen|b-token-of-sixteen⟩ }
    telemetry: { accessLog: ⟨json|common⟩, prometheus: { path: ⟨/metrics|/m⟩, listen: ⟨127.0.0.1:9100|127.0.0.1:9101⟩ }, tracing: { sample: ⟨10%|20%⟩ } }
    security: { nodeToken: ⟨a-token-of-sixteen|b-token-of-sixteen⟩ }
    events:
      node: ⟨main|second⟩
      listen: ⟨127.0.0.1:8070|127.0.0.1:8071⟩
      clients: { crm: { token: ⟨c-token-of-sixteen|d-token-of-sixteen⟩, publish: ⟨[a.#]|[a.#, b.#]⟩, read: ⟨[a.#]|[b.#]⟩ }, erp: { token: e-token-of-sixteen } }
      subscriptions:
        pulled: { topics: ⟨[a.#]|[b.#]⟩, filter: ⟨data.total > 100|data.total > 200⟩, from: ⟨beginning|now⟩, order: ⟨key|none⟩, concurrency: ⟨10|20⟩, retries: ⟨1|2⟩, client: ⟨crm|erp⟩, ackWithin: ⟨10s|20s⟩ }
        pushed: { topics: a.#, push: { url: ⟨https://a.test/a|https://a.test/b⟩, secret: ⟨a-secret-of-sixteen|b-secret-of-sixteen⟩, timeout: ⟨1s|2s⟩ } }
      maxEvent: ⟨1MiB|2MiB⟩
      maxBatch: ⟨10|20⟩
      undeclared: ⟨true|false⟩
    sagas: { keepEnded: ⟨30d|20d⟩ }
    privacy: { key: ⟨0123456789abcdef0123456789abcdef|1123456789abcdef0123456789abcdef⟩, previousKey: ⟨2123456789abcdef0123456789abcdef|3123456789abcdef0123456789abcdef⟩ }

    """

@Suite struct DifferenceTests {
    /// The sample, with its second value at one place.
    private struct Sample {
        private let pieces: [Substring]

        init() { pieces = everyKey.split(separator: "⟨", omittingEmptySubsequences: false) }

        var count: Int { pieces.count - 1 }

        func text(other: Int? = nil) -> String {
            pieces.enumerated().map { index, piece in
                guard index > 0, let end = piece.firstIndex(of: "⟩") else { return String(piece) }
                let values = piece[..<end].split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
                return String(values[other == index - 1 ? 1 : 0]) + piece[piece.index(after: end)...]
            }.joined()
        }
    }

    private func schema() throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(PlatformConfiguration.jsonSchema().utf8)) as? [String: Any])
    }

    /// The keys of the schema that have a value of their own; `x` stands for a name, `[]` for an element.
    private func keys(_ schema: [String: Any], at path: [String] = []) -> Set<String> {
        var keys: Set<String> = []
        for (key, value) in schema["properties"] as? [String: [String: Any]] ?? [:] where value["not"] == nil {
            keys.formUnion(self.keys(value, at: path + [key]))
        }
        if let values = schema["additionalProperties"] as? [String: Any] {
            keys.formUnion(self.keys(values, at: path + ["x"]))
        }
        if let items = schema["items"] as? [String: Any] { keys.formUnion(self.keys(items, at: path + ["[]"])) }
        for alternative in schema["anyOf"] as? [[String: Any]] ?? [] {
            keys.formUnion(self.keys(alternative, at: path))
        }
        let isValue =
            schema["const"] != nil || schema["enum"] != nil
            || schema["type"].map { "\($0)" != "object" && "\($0)" != "array" } ?? false
        if isValue { keys.insert((path.last == "[]" ? path.dropLast() : path[...]).joined(separator: ".")) }
        return keys
    }

    /// The key of the schema that a path goes to.
    private func key(_ path: ArraySlice<String>, in schema: [String: Any], at known: [String] = []) -> String? {
        guard let step = path.first else { return known.joined(separator: ".") }
        let rest = path.dropFirst()
        if let value = (schema["properties"] as? [String: [String: Any]])?[step] {
            return key(rest, in: value, at: known + [step])
        }
        if let items = schema["items"] as? [String: Any], step.hasPrefix("[") || known == ["gateway", "routes"] {
            return key(rest, in: items, at: known + ["[]"])
        }
        if let values = schema["additionalProperties"] as? [String: Any] {
            return key(rest, in: values, at: known + ["x"])
        }
        for alternative in schema["anyOf"] as? [[String: Any]] ?? [] {
            if let found = key(path, in: alternative, at: known) { return found }
        }
        return nil
    }

    /// Whatever key a file changes, it is told; and no key is left out of this test.
    @Test func eachKeyThatChangesIsTold() throws {
        let sample = Sample()
        let schema = try schema()
        let before = try parse(sample.text())
        #expect(ConfigurationDifference(from: before, to: try parse(sample.text())).lines.isEmpty)
        var told: Set<String> = []
        for place in 0..<sample.count {
            let text = sample.text(other: place)
            let line =
                zip(text.split(separator: "\n"), sample.text().split(separator: "\n")).first { $0 != $1 }?.0 ?? ""
            guard let after = try? parse(text) else {
                Issue.record("\(line): \(issues(in: text))")
                continue
            }
            let difference = ConfigurationDifference(from: before, to: after)
            #expect(!difference.lines.isEmpty, "\(line)")
            #expect(
                !difference.lines.contains {
                    $0.contains("abcdef") || $0.contains("-of-sixteen") || $0.contains("password-")
                }, "\(line)")
            for change in difference.changes {
                if change.path.count == 3, change.path.starts(with: ["gateway", "routes"]) {
                    // A route is another by what it takes.
                    told.formUnion(
                        ["path", "host", "methods", "headers.x", "query.x"].map { "gateway.routes.[].\($0)" })
                } else {
                    told.insert(try #require(key(change.path[...], in: schema), "\(change.path)"))
                }
            }
        }
        #expect(keys(schema).subtracting(told).subtracting(["version"]).sorted() == [])
    }

    /// What takes protection away says so, and what only changes it does not.
    @Test func whatLoosensIsMarked() throws {
        let sample = Sample()
        let before = try parse(sample.text())
        var marked: Set<String> = []
        for place in 0..<sample.count {
            let difference = ConfigurationDifference(from: before, to: try parse(sample.text(other: place)))
            for change in difference.changes where change.loosens {
                marked.insert(change.path.filter { $0 != "/a/**" && $0 != "/b/b/x" }.joined(separator: "."))
            }
        }
        #expect(
            marked.sorted() == [
                "events.clients.crm.publish", "events.clients.crm.read",
                "gateway.authentication.certificates.clientCertificate.clients.acme.scopes",
                "gateway.authentication.file.jwt.algorithms", "gateway.authentication.keys.apiKeys.keys.acme.scopes",
                "gateway.authentication.signed.hmac.keys.acme.scopes",
                "gateway.authentication.users.basic.users.ann.scopes",
                "gateway.cors.allowCredentials", "gateway.cors.allowHeaders", "gateway.cors.allowMethods",
                "gateway.cors.allowOrigins",
                "gateway.cors.exposeHeaders", "gateway.proxyProtocol.from", "gateway.routes.addresses.allow",
                "gateway.routes.addresses.deny",
                "gateway.routes.authentication", "gateway.routes.scopes", "gateway.tls.clientCertificates",
                "gateway.trustedProxies",
                "gateway.underscoresInHeaders",
            ])
    }

    private func small(_ gateway: String = "", route: String = "", upstream: String = "") -> String {
        """
        version: 1
        platform: edge
        nodes: { edge: {} }
        gateway:
          node: edge
          authentication: { keys: { apiKeys: { keys: { acme: { key: a-key-of-sixteen-bytes } } } } }
          routes:
            - { path: /a, authentication: keys, upstream: one\(route) }
            - { path: /b, authentication: none, upstream: one }
        \(gateway)
        upstreams: { one: { servers: [http://10.0.0.1:80]\(upstream) } }
        """
    }

    private func lines(_ old: String, _ new: String, _ environment: [[String: String]] = [[:], [:]]) throws -> [String]
    {
        ConfigurationDifference(
            from: try parse(old, environment: environment[0]), to: try parse(new, environment: environment[1])
        ).lines
    }

    @Test func aChangeNamesWhomItConcerns() throws {
        #expect(
            try lines(small(), small(route: ", timeout: 3s, scopes: a")) == [
                "~ /a: scopes unset → a; timeout unset → 3s"
            ])
        #expect(try lines(small(route: ", scopes: a"), small()) == ["! ~ /a: scopes a → unset"])
        #expect(
            try lines(small(), small(upstream: ", adaptiveLimit: {}, maxInFlight: 5, resolve: 1s")).first?
                .hasSuffix("adaptiveLimit.observe unset → false; maxInFlight unset → 5; resolve 30s → 1s") == true)
        #expect(
            try lines(small(), small(upstream: ", slowStart: 5s")) == ["~ upstream one (/a, /b): slowStart unset → 5s"])
        #expect(
            try lines(small("  trustedProxies: 10.0.0.0/8"), small("  trustedProxies: [10.1.0.0/16, 0.0.0.0/0]"))
                == ["! ~ gateway (all routes at 127.0.0.1:8080): trustedProxies 10.0.0.0/8 → 10.1.0.0/16, 0.0.0.0/0"])
        #expect(
            try lines(small("  trustedProxies: 10.0.0.0/8"), small("  trustedProxies: 10.1.0.0/16"))
                == ["~ gateway (all routes at 127.0.0.1:8080): trustedProxies 10.0.0.0/8 → 10.1.0.0/16"])
        #expect(
            try lines(small(), small() + "\npolicies: { default: { retry: none } }").first?
                .hasPrefix("~ policy default (upstream one, calls to all other modules, /a, /b): ") == true)
    }

    @Test func whatMeansTheSameIsNoChange() throws {
        #expect(
            try lines(small(), small("  limits: { idleTimeout: 75000ms, maxBody: 1024KiB }\n  forwarded: false"))
                .isEmpty)
        #expect(try lines(small(route: ", timeout: 3s"), small(route: ", timeout: 3000ms")).isEmpty)
        #expect(try lines(small("  trustedProxies: 10.0.0.0/8"), small("  trustedProxies: [10.0.0.0/8]")).isEmpty)
    }

    @Test func noSecretIsToldNorWhatComesFromTheEnvironment() throws {
        let file = small().replacing("a-key-of-sixteen-bytes", with: "\"${KEY}\"")
        let keys = ["a-secret-of-sixteen", "b-secret-of-sixteen"].map { ["KEY": $0] }
        #expect(try lines(file, file, keys) == ["~ authenticator keys (/a): apiKeys.keys.acme.key is another"])
        let url = small().replacing("http://10.0.0.1:80", with: "\"${SERVER}\"")
        #expect(
            try lines(url, url, ["http://a.test", "http://b.test"].map { ["SERVER": $0] })
                == ["~ upstream one (/a, /b): servers is another"])
        #expect(!"\(try parse(small()))".contains("a-key-of-sixteen-bytes"))
    }
}
