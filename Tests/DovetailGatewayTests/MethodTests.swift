import HTTPTypes
import NIOHPACK
import NIOHTTP2
import Testing

@testable import DovetailGateway

@Suite(.timeLimit(.minutes(1)))
struct MethodTests {
    private func echo() async throws -> Backend {
        try await Backend { request in
            let body = request.line.hasPrefix("FAIL") ? "503 No" : "200 OK"
            return [.send("HTTP/1.1 \(body)\r\nContent-Length: 0\r\n\r\n")]
        }
    }

    @Test func methodsThatItDoesNotKnowGoThrough() async throws {
        let backend = try await echo()
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            for method in ["PROPFIND", "REPORT", "QUERY", "M-SEARCH", "get", "x!#$%&'*+.^_`|~"] {
                let answer = try await gateway.send(
                    "\(method) /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                #expect(answer?.status == 200, "\(method)")
                let seen = try #require(backend.requests.all.last)
                #expect(seen.line == "\(method) /x HTTP/1.1")
                #expect(seen.body == Array("hi".utf8))
            }
            for method in ["TRACE", "CONNECT"] {
                let answer = try await gateway.send("\(method) /x HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(answer?.status == 501, "\(method)")
            }
            await gateway.finished.wait(for: 1)
            #expect(gateway.finished.all.first?.method == "PROPFIND")
        }
        await backend.stop()
    }

    @Test func theyGoThroughOverHTTP2OnBothSides() async throws {
        let backend = try await HTTP2Backend { _ in [.head([(":status", "204")], ends: true)] }
        try await withGateway(try http2(backend.port)) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(
                .head(
                    [(":method", "PROPFIND"), (":scheme", "http"), (":authority", "a.test"), (":path", "/x")],
                    ends: true))
            await client.received.wait(for: 1)
            #expect(client.received.all.first?.fields?.first(name: ":status") == "204")
            #expect(backend.requests.all.first?.first(name: ":method") == "PROPFIND")
            await client.close()
        }
        await backend.stop()
    }

    /// What is not known may have been carried out: it is sent once.
    @Test func whatIsNotKnownIsNotSentTwice() async throws {
        let backend = try await echo()
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let answer = try await gateway.send("FAIL /x HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(answer?.status == 503)
            #expect(backend.requests.all.count == 1)
        }
        await backend.stop()
    }

    @Test func routesNameThem() async throws {
        let backend = try await echo()
        let find = try #require(HTTPRequest.Method(rawValue: "PROPFIND"))
        var routes = [
            try route("find", "/x", methods: [find]), try route("get", "/x", methods: [.get]), try route("any", "/any"),
        ]
        try await withGateway(configuration(backend, routes: routes)) { gateway in
            func status(_ method: String, _ path: String = "/x") async throws -> Int? {
                try await gateway.send("\(method) \(path) HTTP/1.1\r\nHost: a\r\n\r\n")?.status
            }
            var statuses: [Int?] = []
            for method in ["PROPFIND", "GET", "REPORT", "POST"] { statuses.append(try await status(method)) }
            #expect(statuses == [200, 200, 405, 405])
            let any = try await status("REPORT", "/any")
            #expect(any == 200)
            let refused = try await gateway.send("REPORT /x HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(refused?.value("allow") == "GET, HEAD, PROPFIND")
            #expect(gateway.gateway.explain(method: "PROPFIND", path: "/x").route == "find")
            #expect(gateway.gateway.explain(method: "REPORT", path: "/x").status == 405)
        }
        routes[0].methods = [try #require(HTTPRequest.Method(rawValue: "TRACE"))]
        #expect(throws: GatewayConfigurationError.self) { try configuration(backend, routes: routes).validate() }
        await backend.stop()
    }

    @Test func aPreflightAsksForThem() async throws {
        let backend = try await echo()
        let find = try #require(HTTPRequest.Method(rawValue: "PROPFIND"))
        var settings = configuration(backend, routes: [try route("find", "/x", methods: [find])])
        settings.cors = CORSPolicy(allowOrigins: ["https://shop.test"])
        try await withGateway(settings) { gateway in
            func preflight(_ method: String) async throws -> ReceivedResponse? {
                try await gateway.get(
                    "/x", fields: ["Origin: https://shop.test", "Access-Control-Request-Method: \(method)"], "OPTIONS")
            }
            let granted = try await preflight("PROPFIND")
            #expect(granted?.status == 204)
            #expect(granted?.value("access-control-allow-methods") == "PROPFIND")
            let refused = try await preflight("REPORT")
            #expect(refused?.status == 405)
        }
        await backend.stop()
    }
}

extension RunningGateway {
    fileprivate func get(_ path: String, fields: [String], _ method: String) async throws -> ReceivedResponse? {
        try await send("\(method) \(path) HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
    }
}
