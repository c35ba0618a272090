import DovetailCore
import DovetailResilience
import HTTPTypes
import Testing

@testable import DovetailGateway

/// Cross-origin answers where there is more than a plain route: conditions, and what the gateway itself answers.
@Suite(.timeLimit(.minutes(1)))
struct CrossOriginTests {
    private let origin = "https://shop.test"

    private func everything(
        _ id: String = "all", _ conditions: [RouteCondition] = [], methods: Set<HTTPRequest.Method> = []
    ) throws -> Route {
        var route = Route(
            id: id, methods: methods, path: try PathPattern("/orders/**"), authentication: .none,
            destination: .http("u"))
        route.conditions = conditions
        return route
    }

    private func settings(_ backend: Backend, _ routes: [Route]) -> GatewayConfiguration {
        var settings = configuration(backend, routes: routes) { $0.retry = nil }
        settings.cors = CORSPolicy(allowOrigins: [origin])
        return settings
    }

    private func preflight(
        _ gateway: RunningGateway, _ method: String = "GET", asking headers: String?, path: String = "/orders/7"
    ) async throws -> ReceivedResponse? {
        try await gateway.send(
            "OPTIONS \(path) HTTP/1.1\r\nHost: a\r\nOrigin: \(origin)\r\nAccess-Control-Request-Method: \(method)\r\n"
                + (headers.map { "Access-Control-Request-Headers: \($0)\r\n" } ?? "") + "\r\n")
    }

    private func server(_ answer: String = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") async throws -> Backend {
        try await Backend { _ in [.send(answer)] }
    }

    /// A preflight names the fields of the request that it asks for, and not what they say.
    @Test func aPreflightIsAnsweredForARouteWithConditions() async throws {
        let backend = try await server()
        let routes = [
            try everything("1", [RouteCondition(.header("X-API-Version"), "1")]),
            try everything("2", [RouteCondition(.header("X-API-Version"), "2")]),
        ]
        try await withGateway(settings(backend, routes)) { gateway in
            let granted = try await preflight(gateway, asking: "content-type, x-api-version")
            #expect(granted?.status == 204)
            #expect(granted?.value("access-control-allow-origin") == origin)
            #expect(granted?.value("access-control-allow-headers")?.contains("X-API-Version") == true)
            let real = try await gateway.get("/orders/7", fields: ["Origin: \(origin)", "X-API-Version: 2"])
            #expect(real?.status == 200)
            // Without the field no route takes the request, and the preflight says as much.
            #expect(try await preflight(gateway, asking: nil)?.status == 404)
        }
        await backend.stop()
    }

    @Test func aPreflightKeepsToConditionsThatItCanKnow() async throws {
        let backend = try await server()
        var beta = try everything("beta", [RouteCondition(.header("X-Beta")), RouteCondition(.query("a"), "1")])
        beta.cors = CORSPolicy(allowOrigins: [origin], maxAge: .seconds(1))
        var none = try everything("none", [.absent(.header("X-Beta"))])
        none.cors = CORSPolicy(allowOrigins: [origin], maxAge: .seconds(2))
        var cookie = try everything("cookie", [RouteCondition(.header("Cookie"), "a=1")], methods: [.put])
        cookie.cors = CORSPolicy(allowOrigins: [origin], maxAge: .seconds(3))
        try await withGateway(settings(backend, [beta, none, cookie])) { gateway in
            func age(_ method: String = "GET", _ headers: String?, _ path: String) async throws -> String? {
                try await preflight(gateway, method, asking: headers, path: path)?.value("access-control-max-age")
            }
            var ages = [try await age("GET", "x-beta", "/orders/7?a=1")]
            // The query is known; what browsers send themselves they do not name.
            ages.append(try await age("GET", "X-Beta", "/orders/7?a=2"))
            ages.append(try await age("GET", nil, "/orders/7?a=1"))
            ages.append(try await age("PUT", "x-beta", "/orders/7"))
            #expect(ages == ["1", nil, "2", "3"])
        }
        await backend.stop()
    }

    /// A page can read why it was refused.
    @Test func whatTheGatewayItselfAnswersCarriesTheGrant() async throws {
        let backend = try await server("nonsense\r\n\r\n")
        let slow = try await Backend { _ in [] }
        var limited = try everything("limited", methods: [.put])
        limited.rateLimits = [Route.Limit(RateLimit(1, per: .seconds(3600)), by: .address)]
        var late = Route(
            id: "late", path: try PathPattern("/late"), authentication: .none, timeout: .milliseconds(100),
            destination: .http("slow"))
        late.cors = nil
        var settings = settings(backend, [try everything(methods: [.get]), limited, late])
        settings.upstreams.append(Upstream(name: "slow", servers: [.init(host: "127.0.0.1", port: slow.port)]))
        try await withGateway(settings) { gateway in
            func ask(_ line: String, _ status: Int, origin asked: String? = nil) async throws {
                let answer = try await gateway.send(
                    "\(line) HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nOrigin: \(asked ?? origin)\r\n\r\n")
                #expect(answer?.status == status, "\(line)")
                let granted = asked == nil ? origin : nil
                #expect(answer?.value("access-control-allow-origin") == granted, "\(line)")
                #expect(answer?.values("vary") == ["Origin"], "\(line)")
            }
            try await ask("GET /orders/7", 502)
            try await ask("PUT /orders/7", 502)
            try await ask("PUT /orders/7", 429)
            try await ask("GET /late", 504)
            try await ask("DELETE /orders/7", 405)
            try await ask("GET /nowhere", 404)
            try await ask("GET /nowhere", 404, origin: "https://evil.test")
        }
        await backend.stop()
        await slow.stop()
    }

    @Test func whatIsShedCarriesTheGrant() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
                }
            ]
        }
        var settings = settings(backend, [try everything()])
        settings.load = .init(maximumInFlight: 1)
        try await withGateway(settings) { gateway in
            async let first = gateway.get("/orders/1")
            await backend.requests.wait(for: 1)
            let shed = try await gateway.get("/orders/2", fields: ["Origin: \(origin)"])
            #expect(shed?.status == 503)
            #expect(shed?.value("access-control-allow-origin") == origin)
            gate.open()
            #expect(try await first?.status == 200)
        }
        await backend.stop()
    }
}
