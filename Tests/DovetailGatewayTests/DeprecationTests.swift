import Testing

@testable import DovetailGateway

@Suite(.timeLimit(.minutes(1)))
struct DeprecationTests {
    @Test func everyAnswerOfARouteSaysItsEndOnce() async throws {
        let backend = try await Backend { request in
            request.line.contains("/fails")
                ? [.close]
                : [
                    .send(
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSunset: never\r\nDeprecation: @1\r\nLink: </a>; rel=\"next\"\r\nCache-Control: max-age=60\r\n\r\nok"
                    )
                ]
        }
        var old = try route("old", "/v1/**")
        old.cache = CachePolicy()
        // 2026-10-01 and 2027-12-01.
        old.deprecation = Deprecation(date: 1_790_812_800, sunset: 1_827_619_200, link: "https://shop.test/changes")
        let routes = [old, try route("new", "/v2/**")]
        try await withGateway(configuration(backend, routes: routes)) { gateway in
            // The second one comes from the cache, the third one is the gateway's own.
            for path in ["/v1/a", "/v1/a", "/v1/fails"] {
                let response = try await gateway.get(path)
                #expect(response?.values("deprecation") == ["@1790812800"])
                #expect(response?.values("sunset") == ["Wed, 01 Dec 2027 00:00:00 GMT"])
                #expect(
                    response?.values("link").contains("<https://shop.test/changes>; rel=\"deprecation\"") == true)
            }
            let current = try await gateway.get("/v2/a")
            #expect(current?.values("sunset") == ["never"], "what an upstream says of itself stands")
        }
        await backend.stop()
    }

    @Test func datesAndLinksHaveToMakeSense() throws {
        #expect(Deprecation(date: 10, sunset: 5).flaw != nil)
        #expect(Deprecation(link: "https://a").flaw != nil)
        #expect(Deprecation(date: 10, link: "https://a>; rel=x").flaw != nil)
        #expect(Deprecation(date: 10, link: "https://a\r\n").flaw != nil)
        #expect(Deprecation(sunset: 0, link: "https://a").flaw == nil)
        #expect(
            String(decoding: Deprecation(sunset: 0, link: "https://a").lines, as: UTF8.self)
                == "sunset: Thu, 01 Jan 1970 00:00:00 GMT\r\nlink: <https://a>; rel=\"sunset\"\r\n")
    }

    @Test func aConditionCanBeThatSomethingIsNotThere() throws {
        var (one, none) = (try route("one", "/**"), try route("none", "/**"))
        one.conditions = [RouteCondition(.header("x-api-version"), "1")]
        none.conditions = [.absent(.header("x-api-version"))]
        let gateway = try Gateway(
            GatewayConfiguration(
                listen: .init(port: 0), routes: [one, none],
                upstreams: [Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: 1)])]))
        func found(_ headers: [(String, String)]) -> String? {
            gateway.explain(method: "GET", path: "/x", headers: headers).route
        }
        #expect(found([("X-Api-Version", "1")]) == "one")
        #expect(found([]) == "none")
        #expect(found([("X-Api-Version", "9")]) == nil)
        let steps = gateway.explain(method: "GET", path: "/x", headers: [("X-Api-Version", "9")]).steps
        #expect(steps.contains("none: no: it asks for no header x-api-version"))
    }
}
