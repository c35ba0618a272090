import DovetailCore
import DovetailResilience
import HTTPTypes
import Testing

@testable import DovetailGateway

@Suite(.timeLimit(.minutes(1)))
struct ForwardAuthTests {
    /// A gateway whose route `/open/**` asks `service`, and goes to `backend`.
    private func guarded(
        by service: Int, _ backend: Backend, scopes: Set<String> = [],
        _ change: (inout ForwardAuthentication) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var forward = ForwardAuthentication(
            server: .init(host: "127.0.0.1", port: service), target: "/verify?by=edge",
            responseHeaders: ["X-User", "X-Tenant"], principalHeader: "x-user", scopesHeader: "x-scopes")
        change(&forward)
        var configured = configuration(
            backend,
            routes: [
                Route(
                    id: "open", path: try PathPattern("/open/**"), authentication: .named("portal"), scopes: scopes,
                    destination: .http("u"))
            ])
        configured.authenticators = ["portal": .forward(forward)]
        return configured
    }

    private static func ok(_ fields: String = "", _ body: String = "hello") -> [BackendAction] {
        [.send("HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")]
    }

    @Test func whomTheServiceLetsInGoesOnWithWhatItSaid() async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let service = try await Backend { _ in
            ForwardAuthTests.ok("X-User: ann\r\nX-Scopes: a, b\r\nX-Tenant: acme\r\nX-Secret: s\r\n")
        }
        try await withGateway(try guarded(by: service.port, backend, scopes: ["a", "b"])) { gateway in
            let response = try await gateway.send(
                "POST /open/7?x=1 HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer t\r\nCookie: c=1\r\n"
                    + "X-User: forged\r\nX-Other: o\r\nContent-Length: 3\r\n\r\nabc")
            #expect(response?.text == "hello")
            let asked = try #require(service.requests.all.first)
            #expect(asked.line == "GET /verify?by=edge HTTP/1.1")
            #expect(asked.value("authorization") == "Bearer t")
            #expect(asked.value("cookie") == "c=1")
            #expect(asked.value("x-forwarded-method") == "POST")
            #expect(asked.value("x-forwarded-uri") == "/open/7?x=1")
            #expect(asked.values("x-forwarded-host") == ["shop.test"])
            #expect(asked.values("x-forwarded-for") == ["127.0.0.1"])
            #expect(asked.value("x-other") == nil)
            #expect(asked.body.isEmpty)
            let passed = try #require(backend.requests.all.first)
            #expect(passed.values("x-user") == ["ann"])
            #expect(passed.values("x-tenant") == ["acme"])
            #expect(passed.value("x-secret") == nil)
            #expect(passed.body == Array("abc".utf8))
            await gateway.finished.wait(for: 1)
            #expect(gateway.finished.all.map(\.principal) == ["ann"])
        }
        await backend.stop()
        await service.stop()
    }

    /// The question outlives whoever asked it, and the gateway outlives the question.
    @Test func aGatewayEndsWhileAServiceIsStillAsked() async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let service = try await Backend { _ in [] }
        try await withGateway(try guarded(by: service.port, backend)) { gateway in
            let client = try await gateway.client()
            try await client.send("GET /open/7 HTTP/1.1\r\nHost: a\r\n\r\n")
            await service.requests.wait(for: 1)
            await client.close()
            await gateway.finished.wait(for: 1)
        }
        await backend.stop()
        await service.stop()
    }

    @Test(arguments: [
        (401, "WWW-Authenticate: Bearer\r\n", 401, "www-authenticate"),
        (403, "Set-Cookie: seen=1\r\n", 403, "set-cookie"),
        (302, "Location: https://login.test/\r\n", 302, "location"),
        (500, "", 503, "retry-after"), (429, "", 503, "retry-after"), (404, "", 503, "retry-after"),
        (200, "", 503, "retry-after"),
    ])
    func whatDoesNotLetInIsTheClientsAnswerOr503(
        _ status: Int, _ field: String, _ expected: Int, _ passed: String
    ) async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let service = try await Backend { _ in
            [.send("HTTP/1.1 \(status) Said\r\n\(field)X-Inner: s\r\nContent-Length: 2\r\n\r\nno")]
        }
        try await withGateway(try guarded(by: service.port, backend)) { gateway in
            let response = try #require(try await gateway.get("/open/7"))
            #expect(response.status == expected)
            #expect(response.value(passed) != nil)
            #expect(response.value("x-inner") == nil)
            #expect((response.text == "no") == (expected != 503))
        }
        #expect(backend.requests.all.isEmpty)
        await backend.stop()
        await service.stop()
    }

    @Test func aServiceThatIsSlowOrAwayLetsNobodyIn() async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let service = try await Backend { _ in [] }
        try await withGateway(try guarded(by: service.port, backend) { $0.timeout = .milliseconds(100) }) { gateway in
            let response = try await gateway.get("/open/7")
            #expect(response?.status == 503)
        }
        let port = service.port
        await service.stop()
        try await withGateway(try guarded(by: port, backend)) { gateway in
            let response = try await gateway.get("/open/7")
            #expect(response?.status == 503)
        }
        #expect(backend.requests.all.isEmpty)
        await backend.stop()
    }

    @Test func noMoreQuestionsAreOpenThanMayBe() async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let gate = Gate()
        let service = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return ForwardAuthTests.ok("X-User: ann\r\n")
                }
            ]
        }
        try await withGateway(try guarded(by: service.port, backend) { $0.maximumInFlight = 1 }) { gateway in
            async let first = gateway.get("/open/1")
            await service.requests.wait(for: 1)
            let answer1 = try await gateway.get("/open/2")
            #expect(answer1?.status == 503)
            gate.open()
            #expect(try await first?.status == 200)
        }
        await backend.stop()
        await service.stop()
    }

    @Test func anAnswerIsKeptForTheSameRequestAndNoOther() async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let service = try await Backend { request in
            request.value("authorization") == "Bearer good"
                ? ForwardAuthTests.ok("X-User: ann\r\n") : [.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")]
        }
        try await withGateway(try guarded(by: service.port, backend) { $0.cacheFor = .seconds(60) }) { gateway in
            for path in ["/open/1", "/open/1", "/open/2"] {
                let answer2 = try await gateway.get(path, fields: ["Authorization: Bearer good"])
                #expect(answer2?.status == 200)
            }
            #expect(service.requests.all.count == 2)
            for _ in 0..<2 {
                let answer3 = try await gateway.get("/open/1", fields: ["Authorization: Bearer bad"])
                #expect(answer3?.status == 401)
            }
            #expect(service.requests.all.count == 4)
        }
        try await withGateway(
            try guarded(by: service.port, backend) {
                $0.cacheFor = .seconds(60)
                $0.keeping = .credential
            }
        ) { gateway in
            for path in ["/open/1", "/open/2"] {
                let answer4 = try await gateway.get(path, fields: ["Authorization: Bearer good"])
                #expect(answer4?.status == 200)
            }
            #expect(service.requests.all.count == 5)
        }
        await backend.stop()
        await service.stop()
    }

    @Test func aClientThatLeavesWhileItIsAskedAboutHarmsNobody() async throws {
        let backend = try await Backend { _ in ForwardAuthTests.ok() }
        let gate = Gate()
        let service = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return ForwardAuthTests.ok("X-User: ann\r\n")
                }
            ]
        }
        try await withGateway(try guarded(by: service.port, backend)) { gateway in
            let client = try await gateway.client()
            try await client.send("GET /open/1 HTTP/1.1\r\nHost: h\r\n\r\n")
            await service.requests.wait(for: 1)
            try await client.reset()
            await gateway.finished.wait(for: 1)
            gate.open()
            let answer5 = try await gateway.get("/open/2")
            #expect(answer5?.status == 200)
        }
        #expect(backend.requests.all.count == 1)
        await backend.stop()
        await service.stop()
    }
}
