import DovetailCore
import HTTPTypes
import Testing

@testable import DovetailGateway

/// What a route may say besides its path: conditions, shares, another place, fields, addresses.
@Suite(.timeLimit(.minutes(1))) struct RoutingRulesTests {
    private func named(_ id: String, _ path: String, _ conditions: [RouteCondition]) throws -> Route {
        var route = try route(id, path, rewrite: .template("/\(id)"))
        route.conditions = conditions
        return route
    }

    private func echo() async throws -> Backend {
        try await Backend { request in
            let body = request.head
            return [.send("HTTP/1.1 200 OK\r\nX-Internal: 1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")]
        }
    }

    @Test func theRouteWithTheMostConditionsThatHoldIsTaken() async throws {
        let backend = try await echo()
        let routes = [
            try named("plain", "/orders", []),
            try named("beta", "/orders", [.init(.header("X-Beta"), "1")]),
            try named("two", "/orders", [.init(.header("x-beta"), "1"), .init(.query("v"), "a b")]),
            try named("any", "/orders", [.init(.query("debug"))]),
            try named("only", "/only", [.init(.header("x-key"))]),
        ]
        try await withGateway(configuration(backend, routes: routes)) { gateway in
            func taken(_ path: String, _ fields: [String] = []) async throws -> String {
                guard let response = try await gateway.get(path, fields: fields) else { return "" }
                return response.status == 200
                    ? String(response.text.prefix { $0 != "\r\n" }) : "\(response.status)"
            }
            let cases: [(path: String, fields: [String], line: String)] = [
                ("/orders", [], "GET /plain HTTP/1.1"),
                ("/orders", ["X-BETA: 1"], "GET /beta HTTP/1.1"),
                ("/orders", ["X-Beta: 2"], "GET /plain HTTP/1.1"),
                ("/orders", ["X-Beta: 2", "X-Beta: 1"], "GET /beta HTTP/1.1"),
                ("/orders?v=a%20b", ["X-Beta: 1"], "GET /two?v=a%20b HTTP/1.1"),
                ("/orders?x=1&v=a+b", ["X-Beta: 1"], "GET /two?x=1&v=a+b HTTP/1.1"),
                ("/orders?v=a", ["X-Beta: 1"], "GET /beta?v=a HTTP/1.1"),
                ("/orders?debug", [], "GET /any?debug HTTP/1.1"),
                ("/only", [], "404"),
                ("/only", ["X-Key: anything"], "GET /only HTTP/1.1"),
            ]
            for (path, fields, line) in cases {
                let found = try await taken(path, fields)
                #expect(found == line)
            }
        }
        await backend.stop()
    }

    @Test func sharesAreDrawnByWeight() async throws {
        let (stable, canary) = (try await echo(), try await echo())
        var split = try route("all", "/**")
        split.destination = .split(["stable": 90, "canary": 10, "none": 0])
        let configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [split],
            upstreams: [
                Upstream(name: "stable", servers: [.init(host: "127.0.0.1", port: stable.port)]),
                Upstream(name: "canary", servers: [.init(host: "127.0.0.1", port: canary.port)]),
                Upstream(name: "none", servers: [.init(host: "127.0.0.1", port: 1)]),
            ])
        try await withGateway(configuration) { gateway in
            let client = try await gateway.client()
            for _ in 0..<400 {
                try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response()?.status == 200)
            }
            await client.close()
            let share = canary.requests.all.count
            // Forty are expected; six standard deviations around.
            #expect((4...76).contains(share), "\(share)")
            #expect(stable.requests.all.count + share == 400)
            #expect(gateway.finished.all.contains { $0.upstream == "canary" })
        }
        await stable.stop()
        await canary.stop()
    }

    @Test func sendsElsewhere() async throws {
        let backend = try await echo()
        var secure = try route("secure", "/**")
        secure.destination = .redirect(.init(scheme: "https"))
        var moved = try route("moved", "/old/{id}", rewrite: .template("/new/{id}"))
        moved.destination = .redirect(.init(status: 301))
        var away = try route("away", "/away/**", rewrite: .stripPrefix("/away"))
        away.destination = .redirect(.init(status: 302, scheme: "https", host: "other.example:8443"))
        try await withGateway(configuration(backend, routes: [secure, moved, away])) { gateway in
            let first = try await gateway.get("/a%20b?x=1")
            #expect(first?.status == 308)
            #expect(first?.value("location") == "https://gateway.test/a%20b?x=1")
            #expect(try await gateway.get("/old/7?q")?.value("location") == "/new/7?q")
            #expect(try await gateway.get("/old/7")?.status == 301)
            #expect(try await gateway.get("/away/x")?.value("location") == "https://other.example:8443/x")
            #expect(backend.requests.all.isEmpty)
        }
        await backend.stop()
    }

    @Test func editsFieldsInBothDirections() async throws {
        let backend = try await echo()
        var edited = try route("all", "/**")
        edited.requestHeaders = HeaderEdits(set: ["X-Tenant": "a", "accept": "text/plain"], remove: ["cookie"])
        edited.responseHeaders = HeaderEdits(
            set: ["Sunset": "Wed, 01 Dec 2027 00:00:00 GMT"], remove: ["x-internal"])
        try await withGateway(configuration(backend, routes: [edited])) { gateway in
            let response = try await gateway.get(
                "/x", fields: ["X-Tenant: forged", "Cookie: secret", "Accept: a", "Accept: b", "X-Kept: 1"])
            let seen = try #require(backend.requests.all.first)
            #expect(seen.values("x-tenant") == ["a"])
            #expect(seen.values("accept") == ["text/plain"])
            #expect(seen.values("cookie").isEmpty)
            #expect(seen.values("x-kept") == ["1"])
            #expect(response?.value("x-internal") == nil)
            #expect(response?.value("sunset") == "Wed, 01 Dec 2027 00:00:00 GMT")
        }
        await backend.stop()
        for name in ["Content-Length", "connection", "Transfer-Encoding", "Host", "dovetail-principal", "a b", ""] {
            #expect(HeaderEdits(set: [name: "1"]).flaw != nil, "\(name)")
        }
        #expect(HeaderEdits(set: ["a": "1\r\nb: 2"]).flaw != nil)
    }

    @Test func letsInByAddress() async throws {
        let backend = try await echo()
        var inside = try route("inside", "/inside")
        inside.addresses = AddressFilter(allow: [try #require(AddressRange("10.0.0.0/8"))])
        var here = try route("here", "/here")
        here.addresses = AddressFilter(allow: [try #require(AddressRange("127.0.0.0/8"))])
        var notHere = try route("not-here", "/not-here")
        notHere.addresses = AddressFilter(deny: [try #require(AddressRange("127.0.0.1"))])
        try await withGateway(configuration(backend, routes: [inside, here, notHere])) { gateway in
            for (path, status) in [("/inside", 403), ("/here", 200), ("/not-here", 403)] {
                let found = try await gateway.get(path)?.status
                #expect(found == status, "\(path)")
            }
        }
        await backend.stop()
    }

    @Test func readsAddressRanges() throws {
        func holds(_ range: String, _ address: String) throws -> Bool {
            try #require(AddressRange(range)).contains(try #require(AddressRange.bytes(of: address)))
        }
        #expect(try holds("10.0.0.0/8", "10.255.1.2"))
        #expect(try !holds("10.0.0.0/8", "11.0.0.0"))
        #expect(try holds("10.1.2.128/25", "10.1.2.200"))
        #expect(try !holds("10.1.2.128/25", "10.1.2.127"))
        #expect(try holds("0.0.0.0/0", "1.2.3.4"))
        #expect(try !holds("0.0.0.0/0", "::1"))
        #expect(try holds("2001:db8::/33", "2001:db8:7fff::1"))
        #expect(try !holds("2001:db8::/33", "2001:db8:8000::1"))
        #expect(try holds("10.0.0.1", "::ffff:10.0.0.1"), "an IPv4 address that came as IPv6")
        for text in [
            "", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "a/8", "10.0.0.0/8/8", "::/129", "1.2.3.4/",
        ] {
            #expect(AddressRange(text) == nil, "\(text)")
        }
    }
}
