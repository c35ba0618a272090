import DovetailCore
import HTTPTypes
import Testing

@testable import DovetailGateway

/// A route that answers nothing, for routing alone.
func route(
    _ id: String, _ path: String, methods: Set<HTTPRequest.Method> = [], host: String? = nil,
    timeout: Duration? = .seconds(15), rewrite: Route.Rewrite = .none
) throws -> Route {
    Route(
        id: id, host: host, methods: methods, path: try PathPattern(path), authentication: .none, timeout: timeout,
        rewrite: rewrite, destination: .http("u"))
}

struct RouterTests {
    private func find(
        _ method: DovetailGateway.Method, _ path: String, host: String = "any", in routes: [Route]
    ) -> (Router.Match, [String]) {
        let bytes = Array(path.utf8)
        var captures = Router.Captures()
        let match = Array(host.utf8).withUnsafeBytes { host in
            bytes.withUnsafeBytes { bytes in
                Router(routes).match(
                    method, host: host, bytes: bytes, path: ByteRange(0, bytes.count), captures: &captures)
            }
        }
        return (match, captures.ranges.map { String(decoding: bytes[Int($0.start)..<Int($0.end)], as: UTF8.self) })
    }

    @Test func prefersExactToTemplateToLongestPrefix() throws {
        let routes = [
            try route("all", "/**"), try route("api", "/api/**"), try route("one", "/api/orders/{id}"),
            try route("new", "/api/orders/new"), try route("deep", "/api/orders/{id}/items/{item}"),
            try route("home", "/"),
        ]
        let expected: [(String, Int, [String])] = [
            ("/api/orders/new", 3, []), ("/api/orders/7", 2, ["7"]), ("/api/orders/newer", 2, ["newer"]),
            ("/api/orders/7/items/a-b", 4, ["7", "a-b"]), ("/api/orders/new/items/1", 4, ["new", "1"]),
            ("/api/orders", 1, []), ("/api/orders/", 1, []), ("/api", 1, []), ("/api/", 1, []), ("/apis", 0, []),
            ("/", 5, []), ("/x", 0, []), ("/api/orders/7/items", 1, []),
        ]
        for (path, index, captures) in expected {
            let (match, found) = find(.get, path, in: routes)
            #expect(match == .route(index), "\(path)")
            #expect(found == captures, "\(path)")
        }
    }

    @Test func passesOverRoutesThatDoNotTakeTheMethod() throws {
        let routes = [
            try route("read", "/orders/{id}", methods: [.get]), try route("create", "/orders/new", methods: [.post]),
            try route("rest", "/other/**", methods: [.put, .delete]),
        ]
        #expect(find(.get, "/orders/new", in: routes).0 == .route(0))
        #expect(find(.head, "/orders/new", in: routes).0 == .route(0))
        #expect(find(.post, "/orders/new", in: routes).0 == .route(1))
        guard case .methodNotAllowed(let allowed) = find(.delete, "/orders/new", in: routes).0 else {
            Issue.record("a known path answers 405")
            return
        }
        #expect(allowed.description == "GET, HEAD, POST")
        #expect(find(.get, "/nothing", in: routes).0 == .notFound)
    }

    @Test func looksAtTheHostFirst() throws {
        let routes = [
            try route("a", "/x", host: "a.example"), try route("any", "/x"), try route("rest", "/**"),
        ]
        #expect(find(.get, "/x", host: "a.example", in: routes).0 == .route(0))
        #expect(find(.get, "/x", host: "A.Example:8080", in: routes).0 == .route(0))
        #expect(find(.get, "/x", host: "a.example.", in: routes).0 == .route(0))
        #expect(find(.get, "/x", host: "a.example.:8080", in: routes).0 == .route(0))
        #expect(find(.get, "/x", host: "b.example", in: routes).0 == .route(1))
        #expect(find(.get, "/y", host: "a.example", in: routes).0 == .route(2))
    }

    @Test func routesEscapedSpellingsLikePlainOnes() throws {
        let routes = [try route("space", "/a%20b/%7ec")]
        #expect(find(.get, "/a%20b/~c", in: routes).0 == .route(0))
    }

    /// The trie against the plainest possible reading of the rules.
    @Test func agreesWithANaiveRouter() throws {
        var random = SeededGenerator(seed: 5)
        let words = ["a", "ab", "abc", "b", "{x}", "{y}"]
        for _ in 0..<300 {
            var routes: [Route] = []
            var seen: Set<String> = []
            for number in 0..<(1 + Int(random.next() % 12)) {
                var names: Set<String> = []
                var path = ""
                var hasCapture = false
                for _ in 0..<(1 + random.next() % 3) {
                    var word = words[Int(random.next() % 6)]
                    if word.hasPrefix("{") {
                        hasCapture = true
                        if !names.insert(word).inserted { word = "b" }
                    }
                    path += "/" + word
                }
                if !hasCapture, random.next() % 3 == 0 { path += "/**" }
                let shape = path.replacing("{x}", with: "{}").replacing("{y}", with: "{}")
                guard seen.insert(shape).inserted else { continue }
                routes.append(try route("\(number)", path))
            }
            for _ in 0..<40 {
                let path =
                    "/"
                    + (0..<(1 + random.next() % 4)).map { _ in words[Int(random.next() % 4)] }
                    .joined(separator: "/")
                let expected = naive(path, routes)
                #expect(find(.get, path, in: routes).0 == expected.map { .route($0) } ?? .notFound, "\(path)")
            }
        }
    }

    private func naive(_ path: String, _ routes: [Route]) -> Int? {
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var best: (rank: [Int], index: Int)?
        for (index, route) in routes.enumerated() {
            let isPrefix = route.path.kind == .prefix
            guard isPrefix ? segments.count >= route.path.segments.count : segments.count == route.path.segments.count
            else { continue }
            var rank = [isPrefix ? 1 : 0]
            var matches = true
            for (pattern, segment) in zip(route.path.segments, segments) {
                switch pattern {
                case .literal(let text):
                    if text != segment { matches = false }
                    rank.append(0)
                case .capture: rank.append(1)
                }
            }
            if isPrefix { rank.append(-route.path.segments.count) }
            guard matches else { continue }
            let better = best.map { best in
                isPrefix && best.rank[0] == 1
                    ? (rank.last ?? 0) < (best.rank.last ?? 0) : rank.lexicographicallyPrecedes(best.rank)
            }
            if better ?? true { best = (rank, index) }
        }
        return best?.index
    }

    @Test(arguments: [
        "", "a", "/a//b", "/a/**/b", "/a*", "/{}", "/{a}/{a}", "/{a}/**", "/a b", "/a\"", "/**/", "/{a b}",
    ])
    func refusesPatternsThatAreNone(text: String) {
        #expect(throws: GatewayConfigurationError.self) { try PathPattern(text) }
    }

    @Test func explainsItsChoice() throws {
        let configuration = GatewayConfiguration(
            listen: .init(port: 0),
            routes: [
                try route("one", "/api/orders/{id}", methods: [.get], rewrite: .template("/v1/orders/{id}")),
                try route("rest", "/api/**", rewrite: .stripPrefix("/api")),
            ], upstreams: [Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: 1)])])
        let gateway = try Gateway(configuration)
        let one = gateway.explain(method: "GET", path: "/api/orders/%37?x")
        #expect(one.route == "one")
        #expect(one.captures == ["id": "7"])
        #expect(one.upstreamPath == "/v1/orders/7")
        #expect(one.steps.count == 2)
        #expect(gateway.explain(method: "POST", path: "/api/orders/7").upstreamPath == "/orders/7")
        #expect(gateway.explain(method: "GET", path: "/api").upstreamPath == "/")
        #expect(gateway.explain(method: "GET", path: "/a/../b").status == 400)
        #expect(gateway.explain(method: "GET", path: "/x").status == 404)
        #expect(gateway.explain(method: "TRACE", path: "/x").status == 501)
    }
}
