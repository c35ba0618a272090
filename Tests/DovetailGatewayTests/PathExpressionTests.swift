import Foundation
import Testing

@testable import DovetailGateway

@Suite struct PathExpressionTests {
    private func match(_ expression: PathExpression, _ path: String) -> [String]? {
        let bytes = Array(path.utf8)
        return bytes.withUnsafeBytes { raw in
            expression.match(raw, path: ByteRange(0, bytes.count)).map { ranges in ranges.map { raw[$0].text } }
        }
    }

    @Test func takesWholePathsAndCaptures() throws {
        let cases: [(String, String, [String]?)] = [
            ("^/items/(?<id>[0-9]+)$", "/items/42", ["42"]), ("/items/(?<id>[0-9]+)", "/items/42", ["42"]),
            ("^/items/(?<id>[0-9]+)$", "/items/42/x", nil), ("^/items/(?<id>[0-9]+)$", "/items/", nil),
            ("/(?<a>[a-z]+)(?:-(?<b>\\d{2,3}))?", "/ab-12", ["ab", "12"]),
            ("/(?<a>[a-z]+)(?:-(?<b>\\d{2,3}))?", "/ab", ["ab", ""]), ("/(?<a>.+?)(?<b>c*)", "/abcc", ["ab", "cc"]),
            ("/(?<a>.+)(?<b>c*)", "/abcc", ["abcc", ""]), ("/(?:cat|dog)s?", "/dogs", []), ("/(cat|dog)", "/cow", nil),
            ("/[^/]+/x", "/a/b/x", nil), ("/.*/x", "/a/b/x", []), ("/a{2}", "/aa", []), ("/a{2}", "/aaa", nil),
            ("/a{1,}", "/", nil), ("/[a\\-z]+", "/a-z", []), ("/[]x]+", "/]x", []), ("/\\w+\\.json", "/a_1.json", []),
            ("/(?<a>(?:ab|a)(?:c|bcd))(?<b>d*)", "/abcd", ["abc", "d"]), ("/(a*)*b", "/aaab", []),
        ]
        for (text, path, expected) in cases {
            #expect(match(try PathExpression(text), path) == expected, "\(text) on \(path)")
        }
    }

    @Test func saysWhatIsWrong() {
        let wrong: [(String, String)] = [
            ("items", "begin with a slash"), ("/a|/b", "begin with a slash"), ("/(a", "not closed"),
            ("/a)", "not open"),
            ("/[a", "not closed"), ("/a**", "repeats a repetition"), ("/(?=a)", "not supported"),
            ("/(?<!a)b", "without a plain name"), ("/(a)\\1", "not supported"), ("/a\\b", "not supported"),
            ("/a$b", "before its end"), ("/[z-a]", "backwards"), ("/a{3,2}", "repetition"), ("/a{1000}", "repetition"),
            ("/(?<a>x)(?<a>y)", "twice"), ("/(?:(?:a{50}){50})", "steps"), ("/ä", "ASCII"), ("/a b", "space"),
            ("/a\\", "ends with a backslash"), ("/a{", "repetition"), ("/a{,2}", "repetition"),
            ("/" + String(repeating: "(", count: 100), "deep"), ("/^a", "nothing before"),
        ]
        for (text, reason) in wrong {
            #expect {
                _ = try PathExpression(text)
            } throws: { error in
                "\(error)".contains(reason)
            }
        }
    }

    /// Written out, these would be repeated more often than anybody can wait.
    @Test(arguments: ["(?:)", "(?:(?:)(?:))", "(?:a{0})", "(?:(?:b{0}){2}a{0,0})"])
    func nothingRepeatedIsNothing(nothing: String) throws {
        var text = nothing
        for _ in 0..<20 { text = "(?:\(text){100})" }
        let expression = try PathExpression("/x\(text)")
        #expect(match(expression, "/x") == [])
        #expect(match(expression, "/xa") == nil)
        #expect(expression.program.count < 10)
        #expect(throws: GatewayConfigurationError.self) {
            try PathExpression("/x\(text.replacing(nothing, with: "(?:|)"))")
        }
    }

    /// The platform's own engine is the oracle: on random expressions and paths both say the same, captures included.
    @Test func agreesWithAnotherEngineOnRandomExpressions() throws {
        var random = SeededRandom(seed: 20_261_128)
        var (matches, refusals) = (0, 0)
        for _ in 0..<1500 {
            var names = 0
            let text = "/" + PathExpressionTests.expression(3, &names, &random)
            guard let ours = try? PathExpression(text) else { continue }
            let oracle = try NSRegularExpression(pattern: "^(?:\(text))$")
            for _ in 0..<12 {
                let path =
                    "/"
                    + String(
                        (0..<Int.random(in: 0...8, using: &random)).map { _ in
                            "abc-/".randomElement(using: &random) ?? "a"
                        })
                let range = NSRange(location: 0, length: path.utf16.count)
                let found = oracle.firstMatch(in: path, options: [], range: range)
                let expected = found.map { result in
                    ours.captures.map { name in
                        let range = result.range(withName: name)
                        return range.location == NSNotFound ? "" : (path as NSString).substring(with: range)
                    }
                }
                if found == nil { refusals += 1 } else { matches += 1 }
                #expect(match(ours, path) == expected, "\(text) on \(path)")
            }
        }
        #expect(matches > 1000 && refusals > 1000, "\(matches) \(refusals)")
    }

    /// A random expression over few letters; captures stand outside of repetitions, where engines agree on what they hold.
    private static func expression(_ depth: Int, _ names: inout Int, _ random: inout SeededRandom) -> String {
        func atom(_ random: inout SeededRandom) -> String {
            ["a", "b", "c", "-", ".", "[ab]", "[^a]", "[a-c]", "\\w", "/"].randomElement(using: &random) ?? "a"
        }
        guard depth > 0 else { return atom(&random) }
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1:
            return expression(depth - 1, &names, &random) + expression(depth - 1, &names, &random)
        case 2:
            return "(?:\(expression(depth - 1, &names, &random))|\(expression(depth - 1, &names, &random)))"
        case 3 where names < 4:
            names += 1
            let name = "n\(names)"
            return "(?<\(name)>\(expression(depth - 1, &names, &random)))"
        case 4, 5:
            let suffix =
                ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?"].randomElement(using: &random) ?? "*"
            return atom(&random) + suffix
        default: return atom(&random) + expression(depth - 1, &names, &random)
        }
    }

    /// What makes engines that go back run for ages takes no longer than any other path.
    @Test func noPathTakesLong() throws {
        let attacks = ["/(?:a+)+b", "/(?:a|a)*b", "/(?:a?){60}a{60}", "/(?<x>.*)(?<y>.*)(?<z>.*)b", "/(?:.*a){10}b"]
        for text in attacks {
            let expression = try PathExpression(text)
            let path = "/" + String(repeating: "a", count: PathExpression.longestPath - 1)
            let start = ContinuousClock.now
            #expect(match(expression, path) == nil)
            #expect(ContinuousClock.now - start < .seconds(2), "\(text)")
            #expect(match(expression, path + "aaaa") == nil, "longer ones are not looked at")
        }
    }

    @Test func noCaptureWritesDotsIntoAPath() throws {
        let expression = try PathExpression("/a(?<x>.*)z")
        #expect(match(expression, "/a.z") == nil)
        #expect(match(expression, "/a..z") == nil)
        #expect(match(expression, "/a./bz") == nil)
        #expect(match(expression, "/ab/..z") == nil)
        #expect(match(expression, "/a...z") == ["..."])
        #expect(match(expression, "/a.bz") == [".b"])
    }

    // MARK: Routing

    private func find(_ path: String, host: String = "any", in routes: [Route]) -> (Router.Match, [String]) {
        let bytes = Array(path.utf8)
        var captures = Router.Captures()
        let match = Array(host.utf8).withUnsafeBytes { host in
            bytes.withUnsafeBytes { bytes in
                Router(routes).match(
                    .get, host: host, bytes: bytes, path: ByteRange(0, bytes.count), captures: &captures)
            }
        }
        return (match, captures.ranges.map { String(decoding: bytes[Int($0.start)..<Int($0.end)], as: UTF8.self) })
    }

    @Test func comesAfterWholePathsAndBesidePrefixesByItsLiteralBeginning() throws {
        let routes = [
            try route("all", "/**"), try route("deep", "/items/special/**"), try route("exact", "/items/7"),
            try route("template", "/items/by/{name}"), try route("digits", "~ ^/items/(?<id>[0-9]+)$"),
            try route("any", "~ ^/items/(?<rest>.+)$"), try route("loose", "~ ^/(?<x>[a-z]+)$"),
            try route("post", "~ ^/only/[a-z]+$", methods: [.post]),
            try route("hosted", "~ /items/x", host: "a.example"),
        ]
        let expected: [(String, String, Int, [String])] = [
            ("/items/7", "any", 2, []), ("/items/8", "any", 4, ["8"]), ("/items/by/me", "any", 3, ["me"]),
            ("/items/x", "any", 5, ["x"]), ("/items/special/1", "any", 1, []), ("/things", "any", 6, ["things"]),
            ("/things/x", "any", 0, []), ("/items/x", "a.example", 8, []), ("/items/9", "a.example", 4, ["9"]),
            ("/only/a", "any", 0, []),
        ]
        for (path, host, index, captures) in expected {
            let (match, found) = find(path, host: host, in: routes)
            #expect(match == .route(index), "\(path)")
            #expect(found == captures, "\(path)")
        }
        let only = [routes[7]]
        guard case .methodNotAllowed(let allowed) = find("/only/a", in: only).0 else {
            Issue.record("a known path answers 405")
            return
        }
        #expect(allowed.description == "POST")
        #expect(find("/only/A", in: only).0 == .notFound)
    }

    @Test func explainsItselfAndRewritesWithWhatItCaptured() throws {
        let configuration = GatewayConfiguration(
            listen: .init(port: 0),
            routes: [
                try route(
                    "items", "~ ^/(?<kind>items|things)/(?<id>[0-9]+)$", rewrite: .template("/v2/{id}/of/{kind}")),
                try route("rest", "/**"),
            ], upstreams: [Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: 1)])])
        let gateway = try Gateway(configuration)
        let explanation = gateway.explain(method: "GET", path: "/things/12")
        #expect(explanation.route == "items")
        #expect(explanation.captures == ["kind": "things", "id": "12"])
        #expect(explanation.upstreamPath == "/v2/12/of/things")
        #expect(explanation.steps.first?.contains("the expression match that comes first") == true)
        #expect(gateway.explain(method: "GET", path: "/things/x").route == "rest")
        #expect(throws: GatewayConfigurationError.self) { try PathPattern("~ ^/(") }
        #expect(throws: GatewayConfigurationError.self) {
            _ = try RewriteTemplate("~ ^/x", captures: [], route: "r")
        }
    }

    @Test(.timeLimit(.minutes(1))) func whatAnExpressionCapturesIsForwarded() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let routes = [try route("items", "~ ^/items/(?<id>[0-9]+)/(?<rest>.*)$", rewrite: .template("/v2/{rest}/{id}"))]
        try await withGateway(configuration(backend, routes: routes)) { gateway in
            let found = try await gateway.get("/items/7/a/b?c=d")
            #expect(found?.status == 200)
            #expect(backend.requests.all.last?.line == "GET /v2/a/b/7?c=d HTTP/1.1")
            let other = try await gateway.get("/items/x/a")
            #expect(other?.status == 404)
        }
        await backend.stop()
    }
}

private struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}
