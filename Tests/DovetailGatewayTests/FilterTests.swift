import DovetailCore
import DovetailResilience
import Foundation
import HTTPTypes
import Synchronization
import Testing

@testable import DovetailGateway

/// Answers with what it was asked.
struct EchoHandler: RawHandler {
    var seen = Recorded<RawRequest>()

    func respond(to request: RawRequest) async -> RawResponse {
        seen.append(request)
        let subject = request.context?.principal?.subject ?? "nobody"
        return RawResponse(
            status: .ok, headers: [.contentType: "text/plain"],
            body: .bytes(Array("\(request.method.rawValue) \(request.path) \(subject)".utf8) + request.body))
    }
}

@Suite(.timeLimit(.minutes(1)))
struct FilterTests {
    private func gatewayConfiguration(
        _ handler: any RawHandler, authentication: Route.Authentication = .none, scopes: Set<String> = [],
        limit: Route.Limit? = nil, cors: CORSPolicy? = nil, timeout: Duration? = .seconds(15)
    ) throws -> GatewayConfiguration {
        GatewayConfiguration(
            listen: .init(port: 0),
            routes: [
                Route(
                    id: "echo", methods: [.get, .post], path: try PathPattern("/echo/{id}"),
                    authentication: authentication, scopes: scopes, rateLimits: limit.map { [$0] } ?? [],
                    timeout: timeout,
                    rewrite: .template("/v1/{id}"), destination: .handler(handler), cors: cors)
            ],
            authenticators: [
                "customers": .jwt(
                    JWTConfiguration(
                        issuer: "https://id.test", audience: "shop", algorithms: [.hs256],
                        keys: [.secret(Tokens.secret)]))
            ], timeouts: .init(drain: .seconds(10)))
    }

    private func token(_ extra: String = "", subject: String = "ann") async throws -> String {
        let expires = Int(Date().timeIntervalSince1970) + 600
        let claims = Tokens.claims(expires: "\(expires)", extra: extra).replacing("\"ann\"", with: "\"\(subject)\"")
        return "Authorization: Bearer " + String(decoding: try await Tokens.hmac(claims), as: UTF8.self)
    }

    @Test func callsAHandlerInThisProcess() async throws {
        let handler = EchoHandler()
        try await withGateway(try gatewayConfiguration(handler)) { gateway in
            let client = try await gateway.client()
            try await client.send(
                "POST /echo/7?a=b HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k1\r\nX-Correlation-ID: flow\r\n"
                    + "Dovetail-Principal: forged\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
            )
            let response = await client.response()
            #expect(response?.text == "POST /v1/7 nobodyabcdef")
            #expect(response?.value("x-correlation-id") == "flow")
            try await client.send("HEAD /echo/8 HTTP/1.1\r\nHost: h\r\n\r\n")
            let head = await client.response(toHead: true)
            #expect(head?.value("content-length") == "16")
            try await client.send("GET /echo/9 HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(await client.response()?.text == "GET /v1/9 nobody", "the connection is in step after HEAD")
            await client.close()
        }
        let request = try #require(handler.seen.all.first)
        #expect(request.query == "a=b")
        #expect(request.context?.idempotencyKey == "k1")
        #expect(request.context?.correlationID == "flow")
        #expect(request.context?.deadline != nil)
        #expect(request.headers[.dovetailPrincipal] == nil)
        #expect(request.headers[.transferEncoding] == nil)
    }

    struct Hanging: RawHandler {
        let entered = Recorded<Void>()
        let cancelled = Recorded<Bool>()
        let gate = Gate()

        func respond(to request: RawRequest) async -> RawResponse {
            entered.append(())
            await gate.wait()
            cancelled.append(Task.isCancelled)
            return RawResponse(status: .ok)
        }
    }

    @Test func answersAtTheDeadlineThoughAHandlerHangs() async throws {
        let handler = Hanging()
        try await withGateway(try gatewayConfiguration(handler, timeout: .milliseconds(50))) { gateway in
            let response = try await gateway.get("/echo/1")
            #expect(response?.status == 504)
            #expect(await gateway.gateway.metrics().handlerCallsInFlight == 1)
            handler.gate.open()
            await handler.cancelled.wait(for: 1)
            #expect(handler.cancelled.all == [true])
            while await gateway.gateway.metrics().handlerCallsInFlight > 0 { await Task.yield() }
            #expect(await gateway.gateway.metrics().lateAnswers == 1)
        }
    }

    struct Streaming: RawHandler {
        let pieces: Int
        var fails = false
        let produced = Recorded<Int>()

        func respond(to request: RawRequest) async -> RawResponse {
            let next = Mutex(0)
            let box = Box(next)
            return RawResponse(
                status: .ok,
                body: .stream(
                    AsyncThrowingStream {
                        let number = box.count.withLock { count in
                            count += 1
                            return count
                        }
                        guard number <= pieces else {
                            if fails { throw CancellationError() }
                            return nil
                        }
                        produced.append(number)
                        return [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100_000)
                    }))
        }

        final class Box: Sendable {
            let count: Mutex<Int>

            init(_ count: consuming Mutex<Int>) { self.count = count }
        }
    }

    @Test func streamsAHandlersAnswerNoFasterThanTheClientReads() async throws {
        let handler = Streaming(pieces: 300)
        try await withGateway(try gatewayConfiguration(handler)) { gateway in
            let client = try await RawClient(port: gateway.port, reads: false, receiveBuffer: 65_536)
            try await client.send("GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n")
            await handler.produced.wait(for: 1)
            for _ in 0..<500 { _ = await gateway.gateway.metrics() }
            #expect(handler.produced.all.count < 300, "30 MB fit into no socket buffer")
            try await client.startReading()
            let response = await client.response()
            #expect(response?.body.count == 30_000_000)
            #expect(response?.value("transfer-encoding") == "chunked")
            await client.close()
        }
    }

    @Test func showsThatAStreamBrokeOff() async throws {
        try await withGateway(try gatewayConfiguration(Streaming(pieces: 2, fails: true))) { gateway in
            let client = try await gateway.client()
            try await client.send("GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(await client.response() == nil)
        }
    }

    @Test func letsOnlyGoodTokensIn() async throws {
        let configuration = try gatewayConfiguration(EchoHandler(), authentication: .named("customers"))
        try await withGateway(configuration) { gateway in
            let none = try await gateway.get("/echo/1")
            #expect(none?.status == 401)
            #expect(none?.value("www-authenticate") == "Bearer")
            let good = try await token()
            for _ in 0..<2 {
                #expect(try await gateway.get("/echo/1", fields: [good])?.text == "GET /v1/1 ann")
            }
            let lower = good.replacing("Bearer", with: "bearer")
            #expect(try await gateway.get("/echo/1", fields: [lower])?.status == 200)
            for bad in [
                good + "x", "Authorization: Basic YTpi", "Authorization: Bearer", "Authorization: Bearer ",
                "Authorization: Bearer " + String(repeating: "a", count: 9000),
            ] {
                let response = try await gateway.get("/echo/1", fields: [bad])
                #expect(response?.status == 401, "\(bad.prefix(40))")
                #expect(response?.value("www-authenticate")?.contains("invalid_token") == true)
            }
        }
    }

    @Test(arguments: [true, false])
    func passesPrincipalAndNodeTokenOnToNodesOfThePlatformAlone(isFellow: Bool) async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        var configuration = try gatewayConfiguration(EchoHandler(), authentication: .named("customers"))
        configuration.routes[0].destination = .http("u")
        configuration.upstreams = [
            Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: backend.port)], isFellow: isFellow)
        ]
        for nodeToken in [nil, "node-secret"] {
            configuration.nodeToken = nodeToken
            try await withGateway(configuration) { gateway in
                let fields = [try await token(), "Dovetail-Principal: forged", "Dovetail-Node-Token: guessed"]
                #expect(try await gateway.get("/echo/1", fields: fields)?.status == 200)
                let seen = try #require(backend.requests.all.last)
                #expect(seen.values("dovetail-node-token") == (isFellow ? [nodeToken].compactMap { $0 } : []))
                guard isFellow else { return #expect(seen.values("dovetail-principal") == []) }
                let header = try #require(seen.value("dovetail-principal"))
                let json = try #require(Base64URL.decode(Array(header.utf8)[...]))
                #expect(try JSON.decode(Principal.self, from: json).subject == "ann")
            }
        }
        await backend.stop()
    }

    @Test func verifiesATokenOnceForManyRequests() async throws {
        let configuration = try gatewayConfiguration(EchoHandler(), authentication: .named("customers"))
        try await withGateway(configuration, loops: 2) { gateway in
            let good = try await token()
            try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<40 { group.addTask { try await gateway.get("/echo/1", fields: [good])?.status } }
                for try await status in group { #expect(status == 200) }
            }
        }
    }

    @Test func holdsPrincipalsToTheirScopes() async throws {
        let configuration = try gatewayConfiguration(
            EchoHandler(), authentication: .named("customers"), scopes: ["orders.read", "orders.write"])
        try await withGateway(configuration) { gateway in
            let some = try await token(#","scope":"orders.read other""#)
            let response = try await gateway.get("/echo/1", fields: [some])
            #expect(response?.status == 403)
            #expect(response?.value("www-authenticate")?.contains("insufficient_scope") == true)
            for claims in [
                #","scope":"orders.write orders.read""#, #","scp":["orders.read","orders.write"]"#,
                #","scopes":["orders.write","orders.read"]"#,
            ] {
                let all = try await token(claims)
                #expect(try await gateway.get("/echo/1", fields: [all])?.status == 200)
            }
        }
    }

    @Test func limitsByPrincipalExactlyOverAllLoops() async throws {
        let limit = Route.Limit(RateLimit(10, per: .seconds(3600)), by: .principal)
        let configuration = try gatewayConfiguration(
            EchoHandler(), authentication: .named("customers"), limit: limit)
        try await withGateway(configuration, loops: 2) { gateway in
            let ann = try await token()
            try await withThrowingTaskGroup(of: ReceivedResponse?.self) { group in
                for _ in 0..<40 { group.addTask { try await gateway.get("/echo/1", fields: [ann]) } }
                var statuses: [Int: Int] = [:]
                for try await response in group {
                    let response = try #require(response)
                    statuses[response.status, default: 0] += 1
                    #expect(response.value("ratelimit-policy") == "\"principal\";q=10;w=3600")
                    if response.status == 429 {
                        #expect(response.value("ratelimit")?.hasPrefix("\"principal\";r=0;t=36") == true)
                        #expect((response.value("retry-after").flatMap(Int.init) ?? 0) >= 350)
                    }
                }
                #expect(statuses == [200: 10, 429: 30])
            }
            let bob = try await token(subject: "bob")
            #expect(try await gateway.get("/echo/1", fields: [bob])?.status == 200, "each has a limit of his own")
        }
    }

    @Test func limitsByAddressBeforeAuthentication() async throws {
        let limit = Route.Limit(RateLimit(2, per: .seconds(3600)), by: .address)
        let configuration = try gatewayConfiguration(
            EchoHandler(), authentication: .named("customers"), limit: limit)
        try await withGateway(configuration) { gateway in
            var statuses: [Int?] = []
            for _ in 0..<3 { statuses.append(try await gateway.get("/echo/1")?.status) }
            #expect(statuses == [401, 401, 429])
        }
    }

    @Test func limitsByHeader() async throws {
        let limit = Route.Limit(RateLimit(1, per: .seconds(3600)), by: .header("X-API-Key"))
        try await withGateway(try gatewayConfiguration(EchoHandler(), limit: limit)) { gateway in
            var statuses: [Int?] = []
            for key in ["a", "a", "b"] {
                statuses.append(try await gateway.get("/echo/1", fields: ["x-api-key: \(key)"])?.status)
            }
            #expect(statuses == [200, 429, 200])
        }
    }

    @Test func answersPreflightsBeforeAuthenticationAndDecoratesErrors() async throws {
        let configuration = try gatewayConfiguration(
            EchoHandler(), authentication: .named("customers"), cors: CORSPolicy(allowOrigins: ["https://shop.test"]))
        try await withGateway(configuration) { gateway in
            func preflight(_ origin: String, _ method: String) async throws -> ReceivedResponse? {
                try await gateway.send(
                    "OPTIONS /echo/1 HTTP/1.1\r\nHost: a\r\nOrigin: \(origin)\r\n"
                        + "Access-Control-Request-Method: \(method)\r\n\r\n")
            }
            let granted = try await preflight("https://shop.test", "POST")
            #expect(granted?.status == 204)
            #expect(granted?.value("access-control-allow-origin") == "https://shop.test")
            #expect(granted?.value("access-control-allow-methods") == "GET, HEAD, POST")
            #expect(granted?.value("access-control-max-age") == "600")
            #expect(granted?.value("vary") == "Origin")
            let denied = try await preflight("https://evil.test", "POST")
            #expect(denied?.status == 403)
            #expect(denied?.value("access-control-allow-origin") == nil)
            #expect(try await preflight("https://shop.test", "DELETE")?.status == 405)
            let failed = try await gateway.get("/echo/1", fields: ["Origin: https://shop.test"])
            #expect(failed?.status == 401)
            #expect(failed?.value("access-control-allow-origin") == "https://shop.test")
            let plain = try await gateway.get("/echo/1", fields: ["Origin: https://evil.test"])
            #expect(plain?.value("access-control-allow-origin") == nil)
        }
    }

    @Test func refusesConfigurationsThatCannotWork() throws {
        let good = try gatewayConfiguration(EchoHandler())
        func refused(_ change: (inout GatewayConfiguration) throws -> Void) throws -> String? {
            var configuration = good
            try change(&configuration)
            do throws(GatewayConfigurationError) {
                try configuration.validate()
                return nil
            } catch {
                return error.description
            }
        }
        #expect(try refused { _ in } == nil)
        #expect(try refused { $0.routes.append($0.routes[0]) }?.contains("there twice") == true)
        #expect(try refused { $0.routes[0].destination = .http("x") }?.contains("upstream 'x'") == true)
        #expect(try refused { $0.routes[0].authentication = .named("x") }?.contains("authenticator 'x'") == true)
        #expect(try refused { $0.routes[0].rewrite = .template("/{x}") }?.contains("'{x}'") == true)
        #expect(try refused { $0.routes[0].rewrite = .stripPrefix("/x") }?.contains("strips '/x'") == true)
        #expect(try refused { $0.routes[0].scopes = ["a"] }?.contains("scopes") == true)
        #expect(try refused { $0.upstreams = [Upstream(name: "u", servers: [])] }?.contains("no servers") == true)
        #expect(try refused { $0.nodeToken = "a\r\nb" }?.contains("node token") == true)
        #expect(
            try refused {
                $0.cors = CORSPolicy(allowOrigins: ["*"], allowCredentials: true)
            }?.contains("credentials") == true)
    }
}
