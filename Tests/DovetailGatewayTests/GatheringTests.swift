import DovetailCore
import DovetailResilience
import HTTPTypes
import Testing

@testable import DovetailGateway

/// A handler of several paths, each with an answer of its own.
private struct ShopHandler: RawHandler {
    func respond(to request: RawRequest) async -> RawResponse {
        let who = request.context?.principal?.subject ?? "nobody"
        switch request.path {
        case "/users/7":
            return json(.ok, #"{"id":7,"who":"\#(who)","flow":"\#(request.headers[.correlationID] ?? "")"}"#)
        case "/orders": return json(.ok, #"[{"q":"\#(request.query ?? "")","n":12345678901234567890.5}]"#)
        case "/fails": return .problem(Problem("out-of-stock", status: 409)("no shoes"))
        case "/text":
            return RawResponse(status: .ok, headers: [.contentType: "text/plain"], body: .bytes([0xFF, 0x00]))
        case "/echo":
            return RawResponse(
                status: .created, headers: [.contentType: request.headers[.contentType] ?? "none", .eTag: "\"1\""],
                body: .bytes(request.body))
        case "/slow":
            try? await Task.sleep(for: .seconds(30))
            return json(.ok, "1")
        case "/large": return json(.ok, "\"" + String(repeating: "x", count: 5000) + "\"")
        default: return .problem(Problem("no-such", status: 404)(request.path))
        }
    }

    private func json(_ status: HTTPResponse.Status, _ text: String) -> RawResponse {
        RawResponse(status: status, headers: [.contentType: "application/json"], body: .bytes(Array(text.utf8)))
    }
}

@Suite(.timeLimit(.minutes(1)))
struct GatheringTests {
    private func shop(_ routes: [Route]) throws -> GatewayConfiguration {
        let handler = ShopHandler()
        var all = routes
        for path in ["/users/{id}", "/orders", "/fails", "/text", "/echo", "/slow", "/large"] {
            all.append(
                Route(
                    id: path, path: try PathPattern(path),
                    authentication: path.hasPrefix("/users") ? .named("keys") : .none,
                    scopes: path.hasPrefix("/users") ? ["read"] : [],
                    rateLimits: path == "/fails" ? [.init(RateLimit(2, per: .seconds(3600)), by: .address)] : [],
                    destination: .handler(handler)))
        }
        return GatewayConfiguration(
            listen: .init(port: 0), routes: all,
            authenticators: [
                "keys": .apiKeys(
                    header: "X-Key", [.init(subject: "ann", secret: "a-secret-of-ann", scopes: ["read"])])
            ], timeouts: .init(drain: .seconds(10)))
    }

    private func batch(_ authentication: Route.Authentication = .none, _ policy: BatchPolicy = .init()) throws -> Route
    {
        Route(
            id: "batch", methods: [.post], path: try PathPattern("/batch"), authentication: authentication,
            timeout: .seconds(1), destination: .batch(policy))
    }

    private func send(
        _ body: String, to gateway: RunningGateway, fields: String = "X-Key: a-secret-of-ann\r\n"
    ) async throws -> ReceivedResponse {
        try #require(
            try await gateway.send(
                "POST /batch HTTP/1.1\r\nHost: h\r\n\(fields)Content-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"))
    }

    private func value(_ response: ReceivedResponse?) throws -> JSONValue {
        try JSON.decode(JSONValue.self, from: try #require(response).body)
    }

    // MARK: Batches

    @Test func eachRequestOfABatchIsAnsweredByItsOwnRouteInOrder() async throws {
        try await withGateway(try shop([batch()])) { gateway in
            let response = try await send(
                """
                [{"id":"a","method":"GET","path":"/users/7"},
                 {"id":2,"method":"GET","path":"/orders?x=%20y"},
                 {"method":"POST","path":"/echo","body":{"big":12345678901234567890.123,"s":"\\u00e9"}},
                 {"method":"PUT","path":"/echo","headers":{"Content-Type":"text/plain"},"bodyBase64":"aGVsbG8="},
                 {"method":"GET","path":"/text"},
                 {"method":"GET","path":"/fails"}]
                """, to: gateway, fields: "X-Key: a-secret-of-ann\r\nX-Correlation-ID: flow-1\r\n")
            #expect(response.status == 200)
            #expect(response.value("content-type") == "application/json")
            #expect(response.value("cache-control") == "no-store")
            let answers = try value(response)
            #expect(answers[0]?["id"] == "a")
            #expect(answers[0]?["status"] == 200)
            #expect(answers[0]?["body"]?["who"] == "ann")
            #expect(answers[0]?["body"]?["flow"] == "flow-1")
            #expect(answers[0]?["headers"]?["content-type"] == "application/json")
            #expect(answers[1]?["id"] == 2)
            #expect(answers[1]?["body"]?[0]?["q"] == "x=%20y")
            #expect(answers[2]?["id"] == nil)
            #expect(answers[2]?["status"] == 201)
            #expect(answers[2]?["headers"]?["etag"] == "\"1\"")
            // JSON stands in the answer as it came, number for number.
            #expect(response.text.contains(#""body":{"big":12345678901234567890.123,"s":"\u00e9"}"#))
            #expect(answers[3]?["bodyBase64"] == "aGVsbG8=")
            #expect(answers[4]?["bodyBase64"] == "/wA=")
            #expect(answers[5]?["status"] == 409)
            #expect(answers[5]?["body"]?["detail"] == "no shoes")
            await gateway.finished.wait(for: 7)
            #expect(Set(gateway.finished.all.map(\.traceID)).count == 1)
        }
    }

    @Test func aBatchGoesWithItsOwnCredentialsAndNoEntryHasOthers() async throws {
        try await withGateway(try shop([batch(.named("keys"))])) { gateway in
            let body = """
                [{"method":"GET","path":"/users/7"},
                 {"method":"GET","path":"/users/7","headers":{"Authorization":"Bearer x"}}]
                """
            let answer1 = try await send(body, to: gateway, fields: "")
            #expect(answer1.status == 401)
            let answers = try value(try await send(body, to: gateway))
            #expect(answers[0]?["body"]?["who"] == "ann")
            #expect(answers[1]?["status"] == 400)
        }
        try await withGateway(try shop([batch()])) { gateway in
            let answers = try value(
                try await send(#"[{"method":"GET","path":"/users/7"}]"#, to: gateway, fields: ""))
            #expect(answers[0]?["status"] == 401)
        }
    }

    @Test func limitsOfRoutesHoldForTheRequestsOfABatch() async throws {
        try await withGateway(try shop([batch()])) { gateway in
            let one = #"{"method":"GET","path":"/fails"}"#
            let answers = try value(try await send("[\(one),\(one),\(one)]", to: gateway))
            #expect((0..<3).map { answers[$0]?["status"] } == [409, 409, 429])
            #expect(answers[2]?["headers"]?["retry-after"] != nil)
        }
    }

    @Test(arguments: [
        #"{"method":"GET"}"#, #"{"path":"/orders"}"#, #"{"method":"get","path":"/orders"}"#,
        #"{"method":"GET","path":"orders"}"#, #"{"method":"GET","path":"/orders HTTP/1.1\r\nX: y"}"#,
        #"{"method":"GET","path":"/orders","headers":{"X":"a\r\nb"}}"#,
        #"{"method":"GET","path":"/orders","headers":{"Host":"other"}}"#,
        #"{"method":"GET","path":"/orders","headers":{"Content-Length":"3"}}"#,
        #"{"method":"GET","path":"/orders","headers":{"Transfer-Encoding":"chunked"}}"#,
        #"{"method":"GET","path":"/orders","headers":{"Dovetail-Principal":"x"}}"#,
        #"{"method":"GET","path":"/orders","headers":{"X-Forwarded-For":"x"}}"#,
        #"{"method":"GET","path":"/orders","headers":{"X":1}}"#, #"{"method":"GET","path":"/orders","other":1}"#,
        #"{"method":"POST","path":"/echo","body":1,"bodyBase64":"aQ=="}"#,
        #"{"method":"POST","path":"/echo","bodyBase64":"%"}"#, "[]", "7",
        #"{"method":"POST","path":"/batch","body":[]}"#,
    ])
    func whatIsWrongWithOneRequestOfABatchIsItsOwnMatter(_ entry: String) async throws {
        try await withGateway(try shop([batch()])) { gateway in
            let answers = try value(
                try await send(#"[\#(entry),{"method":"GET","path":"/orders"}]"#, to: gateway))
            #expect(answers[0]?["status"] == 400)
            #expect(answers[1]?["status"] == 200)
        }
    }

    @Test func aBatchThatIsNoneOrTooLongIsRefusedWhole() async throws {
        try await withGateway(try shop([batch(.none, .init(maximum: 2))])) { gateway in
            for body in ["", "{}", "[", "[]", #"[{},{},{}]"#] {
                let response = try await send(body, to: gateway)
                #expect(response.status == 400)
                let problem = try value(response)
                #expect(problem["type"] == "malformed-batch")
            }
        }
    }

    @Test func whatTakesTooLongOrTooMuchIsMissingAlone() async throws {
        let policy = BatchPolicy(maximumAnswerBytes: 6000)
        try await withGateway(try shop([batch(.none, policy)])) { gateway in
            let answers = try value(
                try await send(
                    """
                    [{"method":"GET","path":"/slow"},{"method":"GET","path":"/large"},
                     {"method":"GET","path":"/large"},{"method":"GET","path":"/orders"}]
                    """, to: gateway))
            #expect(answers[0]?["status"] == 504)
            let statuses = [answers[1]?["status"], answers[2]?["status"]].compactMap { $0 }
            #expect(Set(statuses) == [200, 502])
            #expect(answers[3]?["status"] == 200)
        }
    }

    @Test func aClientThatLeavesTakesItsBatchAlong() async throws {
        try await withGateway(try shop([batch()])) { gateway in
            let client = try await gateway.client()
            let body = #"[{"method":"GET","path":"/slow"}]"#
            try await client.send(
                "POST /batch HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            try await Task.sleep(for: .milliseconds(100))
            try await client.reset()
            await gateway.finished.wait(for: 2)
            #expect(!gateway.finished.all.contains { !$0.brokeOff })
        }
    }

    // MARK: Aggregates

    private func profile(_ parts: [AggregatePlan.Part], authentication: Route.Authentication = .none) throws -> Route {
        Route(
            id: "profile", methods: [.get, .head], path: try PathPattern("/profile/{id}"),
            authentication: authentication, timeout: .seconds(1), destination: .aggregate(.init(parts: parts)))
    }

    @Test func severalAnswersBecomeOne() async throws {
        let route = try profile(
            [
                .init(name: "user", target: "/users/{id}"),
                .init(name: "orders", target: "/orders?user={id}&limit={query.limit}&page={query.page}"),
            ], authentication: .named("keys"))
        try await withGateway(try shop([route])) { gateway in
            let response = try await gateway.get("/profile/7?limit=1+0&x=y", fields: ["X-Key: a-secret-of-ann"])
            let answer = try value(response)
            #expect(answer["user"]?["who"] == "ann")
            #expect(answer["orders"]?[0]?["q"] == "user=7&limit=1%200")
            #expect(answer["errors"] == nil)
            #expect(response?.value("cache-control") == "no-store")
            let answer2 = try await gateway.get("/profile/7")
            #expect(answer2?.status == 401)
        }
    }

    @Test func aPartThatMayBeMissingIsNullAndNamed() async throws {
        let route = try profile([
            .init(name: "orders", target: "/orders"), .init(name: "stock", target: "/fails", isRequired: false),
            .init(name: "slow", target: "/slow", isRequired: false),
            .init(name: "text", target: "/text", isRequired: false),
            .init(name: "gone", target: "/nowhere", isRequired: false),
        ])
        try await withGateway(try shop([route])) { gateway in
            let response = try await gateway.get("/profile/7")
            #expect(response?.status == 200)
            #expect(response?.value("cache-control") == "no-store")
            let answer = try value(response)
            #expect(answer["orders"]?[0] != nil)
            for name in ["stock", "slow", "text", "gone"] { #expect(answer[name] == .null) }
            #expect(answer["errors"]?["stock"]?["type"] == "out-of-stock")
            #expect(answer["errors"]?["slow"]?["status"] == 504)
            #expect(answer["errors"]?["text"]?["type"] == "no-json")
            #expect(answer["errors"]?["gone"]?["status"] == 404)
        }
    }

    @Test(arguments: [("/fails", 409), ("/text", 502), ("/slow", 504), ("/users/7", 401), ("/profile/1", 502)])
    func aPartThatIsRequiredFailsTheWholeAndIsNamed(_ target: String, _ status: Int) async throws {
        let route = try profile([.init(name: "orders", target: "/orders"), .init(name: "needed", target: target)])
        try await withGateway(try shop([route])) { gateway in
            let response = try await gateway.get("/profile/7")
            // A part that is an aggregate again is refused with 400, which is the caller's fault only where the caller wrote it.
            #expect(response?.status == (target == "/profile/1" ? 400 : status))
            let problem = try value(response)
            #expect(problem["type"] == "part-failed")
            #expect(problem["detail"]?.string?.contains("'needed'") == true)
        }
    }

    @Test func whatTheCallerWritesStaysWithinItsPlace() throws {
        let target = try PartTarget("/a/{id}/b?u={id}&q={query.q}&z=1", captures: ["id"], of: "p")
        func text(_ id: String, _ query: String) -> String {
            String(decoding: target.text(captures: [Array(id.utf8)[...]], query: Array(query.utf8)), as: UTF8.self)
        }
        #expect(text("7", "q=x") == "/a/7/b?u=7&q=x&z=1")
        #expect(text("7&a=b+c", "q=../d?e#") == "/a/7%26a%3Db%2Bc/b?u=7%26a%3Db%2Bc&q=..%2Fd%3Fe%23&z=1")
        #expect(text("%C3%A9", "q=a+b&q=c") == "/a/%C3%A9/b?u=%C3%A9&q=a%20b&z=1")
        #expect(text("7", "") == "/a/7/b?u=7&z=1")
        #expect(throws: GatewayConfigurationError.self) {
            _ = try PartTarget("/a/{other}", captures: ["id"], of: "p")
        }
    }
}
