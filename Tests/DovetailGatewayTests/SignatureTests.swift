import Crypto
import DovetailCore
import Foundation
import HTTPTypes
import Testing

@testable import DovetailGateway

/// Signs requests as a client would.
private struct Signer {
    static let secret = "a-shared-secret-of-acme"
    var components = ["@method", "@authority", "@path", "@query", "content-digest"]
    var created = Int(Date().timeIntervalSince1970)
    var nonce = UUID().uuidString
    var keyID = "acme"
    var extra = #";alg="hmac-sha256""#
    var secret = Signer.secret
    /// What is signed as the body; the one that is sent unless given.
    var signedBody: String?

    func request(_ method: String, _ path: String, _ body: String?, chunked: Bool = false) -> String {
        let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let digest =
            "sha-256=:\(Data(Crypto.SHA256.hash(data: Array((signedBody ?? body ?? "").utf8))).base64EncodedString()):"
        let values = [
            "@method": method, "@authority": "gateway.test", "@path": String(parts[0]),
            "@query": "?" + (parts.count > 1 ? String(parts[1]) : ""), "content-digest": digest,
            "@target-uri": "http://gateway.test" + path, "x-tenant": "t",
        ]
        let covered = components.filter { $0 != "content-digest" || body != nil }
        let parameters =
            "(\(covered.map { "\"\($0)\"" }.joined(separator: " ")));created=\(created);keyid=\"\(keyID)\";nonce=\"\(nonce)\"\(extra)"
        let base =
            covered.map { "\"\($0)\": \(values[$0] ?? "")\n" }.joined() + "\"@signature-params\": \(parameters)"
        let code = HMAC<Crypto.SHA256>.authenticationCode(
            for: Array(base.utf8), using: SymmetricKey(data: Array(secret.utf8)))
        var head =
            "\(method) \(path) HTTP/1.1\r\nHost: gateway.test\r\nX-Tenant: t\r\nSignature-Input: sig1=\(parameters)\r\n"
            + "Signature: sig1=:\(Data(code).base64EncodedString()):\r\n"
        guard let body else { return head + "\r\n" }
        head += "Content-Digest: \(digest)\r\n"
        if chunked {
            let half = body.utf8.count / 2
            let (one, two) = (body.prefix(half), body.dropFirst(half))
            return head + "Transfer-Encoding: chunked\r\n\r\n"
                + [one, two].map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
        }
        return head + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

@Suite(.timeLimit(.minutes(1)))
struct SignatureTests {
    private func signed(
        _ handler: any RawHandler, _ change: (inout SignatureAuthentication) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var settings = SignatureAuthentication(
            keys: [.init(subject: "acme", secret: Signer.secret, scopes: ["write"], claims: ["tenant": ["acme"]])])
        change(&settings)
        return GatewayConfiguration(
            listen: .init(port: 0),
            routes: [
                Route(
                    id: "signed", path: try PathPattern("/signed/{id}"), authentication: .named("partners"),
                    scopes: ["write"], destination: .handler(handler))
            ], authenticators: ["partners": .signatures(settings)], timeouts: .init(drain: .seconds(10)))
    }

    /// RFC 9421 B.2.5.
    @Test func agreesWithTheStandardsVector() throws {
        let input = try #require(
            SignatureInput(
                input: #"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
                signature: "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"))
        let fields = ["date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json"]
        let request = SignedRequest(
            method: "POST", scheme: "https", authority: "Example.com:443", path: "/foo", query: "param=Value&Pet=dog",
            field: { fields[$0] }, hasBody: true)
        let base = try SignatureVerifier.base(input, of: request)
        let secret = try #require(
            Data(
                base64Encoded:
                    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="))
        #expect(
            HMAC<Crypto.SHA256>.isValidAuthenticationCode(
                input.signature, authenticating: base, using: SymmetricKey(data: secret)))
    }

    @Test func whoSignsIsLetInWithItsBodyWhole() async throws {
        let handler = EchoHandler()
        try await withGateway(try signed(handler)) { gateway in
            for (request, text) in [
                (Signer().request("GET", "/signed/7", nil), "GET /signed/7 acme"),
                (Signer().request("GET", "/signed/7?a=b&c", nil), "GET /signed/7 acme"),
                (Signer().request("POST", "/signed/7", "hello"), "POST /signed/7 acmehello"),
                (Signer().request("PUT", "/signed/7", "hello", chunked: true), "PUT /signed/7 acmehello"),
                (
                    Signer(components: ["@method", "@target-uri", "content-digest"]).request(
                        "POST", "/signed/7?q=1", "x"), "POST /signed/7 acmex"
                ),
            ] {
                let response = try await gateway.send(request)
                #expect(response?.text == text)
            }
        }
    }

    @Test func theBodyGoesToAnUpstreamAsItWasSigned() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        var configured = configuration(
            backend,
            routes: [
                Route(
                    id: "signed", path: try PathPattern("/signed/{id}"), authentication: .named("partners"),
                    destination: .http("u"))
            ])
        configured.authenticators = [
            "partners": .signatures(.init(keys: [.init(subject: "acme", secret: Signer.secret)]))
        ]
        try await withGateway(configured) { gateway in
            for chunked in [false, true] {
                let response = try await gateway.send(
                    Signer().request("POST", "/signed/7", "hello", chunked: chunked))
                #expect(response?.status == 200)
            }
        }
        #expect(backend.requests.all.map(\.body) == [Array("hello".utf8), Array("hello".utf8)])
        await backend.stop()
    }

    @Test func aBodyThatWasSignedIsMirrored() async throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        let (backend, next) = (try await Backend { _ in [.send(answer)] }, try await Backend { _ in [.send(answer)] })
        var route = Route(
            id: "signed", path: try PathPattern("/signed/{id}"), authentication: .named("partners"),
            destination: .http("u"))
        route.mirror = MirrorPolicy(to: "next", maximumBodyBytes: 5)
        var configured = configuration(backend, routes: [route])
        configured.upstreams.append(Upstream(name: "next", servers: [.init(host: "127.0.0.1", port: next.port)]))
        configured.authenticators = [
            "partners": .signatures(.init(keys: [.init(subject: "acme", secret: Signer.secret)]))
        ]
        try await withGateway(configured) { gateway in
            for chunked in [false, true] {
                for body in ["hello", "too much"] {
                    let response = try await gateway.send(
                        Signer().request("PUT", "/signed/7", body, chunked: chunked))
                    #expect(response?.status == 200)
                }
            }
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.mirrored["next"] == 2 && metrics.unmirrored["next"] == 2)
            await next.requests.wait(for: 2)
        }
        #expect(next.requests.all.map(\.body) == [Array("hello".utf8), Array("hello".utf8)])
        await backend.stop()
        await next.stop()
    }

    @Test func whatIsNotSignedSoIsNotLetIn() async throws {
        let handler = EchoHandler()
        let now = Int(Date().timeIntervalSince1970)
        try await withGateway(try signed(handler) { $0.requiredFields = ["X-Tenant"] }) { gateway in
            let full = ["@method", "@authority", "@path", "@query", "x-tenant", "content-digest"]
            let refused = [
                "GET /signed/7 HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
                Signer(components: full, secret: "another-secret-of-acme").request("GET", "/signed/7", nil),
                Signer(components: full, keyID: "other").request("GET", "/signed/7", nil),
                Signer(components: full, created: now - 400).request("GET", "/signed/7", nil),
                Signer(components: full, created: now + 400).request("GET", "/signed/7", nil),
                Signer(components: full, extra: ";expires=\(now - 5)").request("GET", "/signed/7", nil),
                Signer(components: full, extra: #";alg="rsa-v1_5-sha256""#).request("GET", "/signed/7", nil),
                Signer(components: full, nonce: "short").request("GET", "/signed/7", nil),
                Signer(components: ["@method", "@authority", "@path", "x-tenant"]).request("GET", "/signed/7", nil),
                Signer(components: full.filter { $0 != "x-tenant" }).request("GET", "/signed/7", nil),
                Signer(components: full.filter { $0 != "content-digest" }).request("POST", "/signed/7", "hello"),
                Signer(components: full, signedBody: "other").request("POST", "/signed/7", "hello"),
                Signer(components: full + ["@query-param"]).request("GET", "/signed/7", nil),
                Signer(components: full).request("GET", "/signed/7", nil).replacing("GET", with: "DELETE"),
                Signer(components: full).request("GET", "/signed/7", nil).replacing("/signed/7", with: "/signed/8"),
                Signer(components: full).request("GET", "/signed/7", nil).replacing("/signed/7", with: "/signed/7?a"),
            ]
            for request in refused {
                let response = try await gateway.send(request)
                #expect(response?.status == 401, "\(request)")
                #expect(response?.value("accept-signature")?.hasPrefix("sig=(") == true)
            }
            let response = try await gateway.send(Signer(components: full).request("POST", "/signed/7", "hello"))
            #expect(response?.status == 200)
        }
        #expect(handler.seen.all.count == 1)
    }

    @Test func aRequestCannotBeRepeated() async throws {
        try await withGateway(try signed(EchoHandler()), loops: 2) { gateway in
            let request = Signer().request("POST", "/signed/7", "hello")
            let first = try await gateway.send(request)
            #expect(first?.status == 200)
            for _ in 0..<4 {
                let again = try await gateway.send(request)
                #expect(again?.status == 401)
            }
            // Nor after a reload.
            try await gateway.gateway.apply(
                try {
                    var changed = try signed(EchoHandler())
                    changed.listen = .init(port: 0)
                    return changed
                }())
            let reloaded = try await gateway.send(request)
            #expect(reloaded?.status == 401)
        }
    }

    @Test func noncesAreRememberedForTheTimeAndNoMoreOfThemThanMayBe() {
        let start = MonotonicTime(nanoseconds: 1_000_000_000)
        let memory = NonceMemory(window: .seconds(10), capacity: 3, now: start)
        #expect(memory.use("a", of: "k", at: start) == .new)
        #expect(memory.use("a", of: "k", at: start + .seconds(9)) == .known)
        #expect(memory.use("a", of: "other", at: start + .seconds(9)) == .new)
        #expect(memory.use("b", of: "k", at: start + .seconds(11)) == .new)
        #expect(memory.use("a", of: "k", at: start + .seconds(12)) == .known)
        #expect(memory.use("c", of: "k", at: start + .seconds(12)) == .full)
        #expect(memory.use("a", of: "k", at: start + .seconds(22)) == .new)
        #expect(memory.use("b", of: "k", at: start + .seconds(22)) == .known)
        #expect(memory.use("b", of: "k", at: start + .seconds(60)) == .new)
    }

    @Test func aBodyThatIsTooLargeToHoldIsRefused() async throws {
        try await withGateway(try signed(EchoHandler()) { $0.maximumBodyBytes = 4 }) { gateway in
            for chunked in [false, true] {
                let response = try await gateway.send(
                    Signer().request("POST", "/signed/7", "hello", chunked: chunked))
                #expect(response?.status == 413)
            }
        }
    }

    @Test(arguments: [
        "", "sig1", "sig1=", "sig1=(", #"sig1=("@method""#, #"sig1=(@method);created=1"#,
        #"sig1=("@method";sf);created=1"#, #"sig1=("@method" "@method");created=1"#, #"sig1=("@method");created=x"#,
        #"sig1=("@method");created"#, #"sig1=("@method");keyid=acme"#, #"sig1=("@method");other="1""#,
        #"sig1=("@method");created=1 x"#, #"sig2=("@method");created=1"#,
        #"sig1=("@method");created=99999999999999999999"#,
    ])
    func inputsThatAreNoneAreRead(_ input: String) {
        #expect(SignatureInput(input: input, signature: "sig1=:YWJj:") == nil)
    }

    @Test func oneOfSeveralSignaturesIsReadByItsLabel() {
        let input = SignatureInput(
            input: #"a=("@method" "x");created=1;nonce="q\"\\", b=();created=2"#, signature: "b=:eA==:, a=:YWJj:")
        #expect(input?.components == ["@method", "x"])
        #expect(input?.nonce == #"q"\"#)
        #expect(input?.signature == Array("abc".utf8))
        #expect(input?.parameters == #"("@method" "x");created=1;nonce="q\"\\""#)
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ClaimTests {
    private func claimed(_ claims: [String: String]) throws -> GatewayConfiguration {
        var route = Route(
            id: "r", path: try PathPattern("/tenants/{tenant}"), authentication: .named("keys"),
            destination: .handler(EchoHandler()))
        route.claims = claims
        return GatewayConfiguration(
            listen: .init(port: 0), routes: [route],
            authenticators: [
                "keys": .apiKeys(
                    header: "x-key",
                    [
                        .init(
                            subject: "ann", secret: "a-secret-of-ann",
                            claims: ["tenant": ["acme", "a b"], "plan": ["gold"]]),
                        .init(subject: "bob", secret: "a-secret-of-bob"),
                    ])
            ], timeouts: .init(drain: .seconds(10)))
    }

    @Test func aRouteWantsClaimsByValueAndByPath() async throws {
        try await withGateway(try claimed(["tenant": "{tenant}", "plan": "gold"])) { gateway in
            for (path, key, status) in [
                ("/tenants/acme", "ann", 200), ("/tenants/a%20b", "ann", 200), ("/tenants/other", "ann", 403),
                ("/tenants/acme", "bob", 403),
            ] {
                let response = try await gateway.get(path, fields: ["X-Key: a-secret-of-\(key)"])
                #expect(response?.status == status)
            }
        }
        #expect(throws: GatewayConfigurationError.self) { try claimed(["tenant": "{other}"]).validate() }
    }

    @Test func claimsOfATokenAreTextsNumbersTruthsAndLists() {
        let claims = TokenClaims.texts(
            of: Array(#"{"tenant":"acme","level":3,"paid":true,"roles":["a","b"],"deep":{"x":1},"none":null}"#.utf8))
        #expect(claims == ["tenant": ["acme"], "level": ["3"], "paid": ["true"], "roles": ["a", "b"]])
    }
}
