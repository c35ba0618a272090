import DovetailCore
import HTTPTypes
import NIOCore
import Testing

@testable import DovetailGateway

/// `GET` answers with what the backend saw.
private func answer(_ body: String, fields: String = "") -> [BackendAction] {
    [.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)")]
}

private func everything(rewrite: Route.Rewrite = .none, timeout: Duration? = .seconds(15)) throws -> Route {
    Route(
        id: "all", path: try PathPattern("/**"), authentication: .none, timeout: timeout, rewrite: rewrite,
        destination: .http("u"))
}

@Suite(.timeLimit(.minutes(1)))
struct ForwardingTests {
    @Test func forwardsWhatWasValidatedAndWritesTheRestAnew() async throws {
        let backend = try await Backend { _ in answer("hello", fields: "X-Own: 1\r\nKeep-Alive: timeout=5\r\n") }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let response = try await gateway.get(
                "/%61?x=%2F",
                fields: [
                    "X-Custom: one", "X-Custom: two", "Connection: x-private, keep-alive", "X-Private: 1",
                    "Keep-Alive: 5", "TE: trailers, deflate", "Upgrade: websocket", "Proxy-Authorization: x",
                    "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil", "Forwarded: for=6.6.6.6",
                    "Dovetail-Principal: forged", "Dovetail-Node-Token: forged", "Dovetail-Timeout: 9",
                    "Dovetail-After: main:7", "X-Correlation-ID: flow-1",
                    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ])
            #expect(response?.status == 200)
            #expect(response?.text == "hello")
            #expect(response?.value("x-own") == "1")
            #expect(response?.value("keep-alive") == nil)
            #expect(response?.value("x-correlation-id") == "flow-1")
            let seen = try #require(backend.requests.all.first)
            #expect(seen.line == "GET /a?x=%2F HTTP/1.1")
            #expect(seen.values("x-custom") == ["one", "two"])
            for name in ["x-private", "keep-alive", "upgrade", "proxy-authorization", "forwarded"] {
                #expect(seen.value(name) == nil, "\(name)")
            }
            #expect(seen.values("te") == ["trailers"])
            #expect(seen.values("connection") == ["te"])
            #expect(seen.values("host") == ["gateway.test"])
            #expect(seen.values("x-forwarded-for") == ["127.0.0.1"])
            #expect(seen.values("x-forwarded-host") == ["gateway.test"])
            #expect(seen.values("x-forwarded-proto") == ["http"])
            #expect(seen.value("dovetail-principal") == nil)
            #expect(seen.value("dovetail-node-token") == nil)
            #expect(seen.value("dovetail-after") == "main:7")
            let timeout = try #require(seen.value("dovetail-timeout").flatMap(Int.init))
            #expect((10_000...15_000).contains(timeout))
            let trace = try #require(seen.value("traceparent"))
            #expect(trace.hasPrefix("00-0af7651916cd43dd8448eb211c80319c-"))
            #expect(!trace.contains("b7ad6b7169203331"))
            await gateway.finished.wait(for: 1)
            let record = try #require(gateway.finished.all.first)
            #expect(record.traceID == "0af7651916cd43dd8448eb211c80319c")
            #expect(record.parentSpanID == "b7ad6b7169203331")
            #expect(trace.contains(record.spanID))
            #expect(record.route == "all")
            #expect(record.upstream == "u")
            #expect(record.attempts == 1)
        }
        await backend.stop()
    }

    @Test func rewritesPaths() async throws {
        let backend = try await Backend { answer($0.line) }
        let routes = [
            try route("one", "/api/orders/{id}/items/{item}", rewrite: .template("/v1/{item}/of/{id}")),
            try route("rest", "/legacy/**", rewrite: .stripPrefix("/legacy")),
        ]
        try await withGateway(configuration(backend, routes: routes)) { gateway in
            #expect(
                try await gateway.get("/api/orders/7/items/a%20b?q=1")?.text == "GET /v1/a%20b/of/7?q=1 HTTP/1.1")
            #expect(try await gateway.get("/legacy/x/y")?.text == "GET /x/y HTTP/1.1")
            #expect(try await gateway.get("/legacy")?.text == "GET / HTTP/1.1")
            #expect(try await gateway.get("/legacy?a")?.text == "GET /?a HTTP/1.1")
            let other = try await gateway.get("/other")
            #expect(other?.status == 404)
            #expect(other?.value("content-type") == "application/problem+json")
        }
        await backend.stop()
    }

    @Test func keepsConnectionsOnBothSides() async throws {
        let backend = try await Backend { answer("\($0.numberOnConnection)") }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            for number in 1...5 {
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response()?.text == "\(number)")
            }
            #expect(try await gateway.get("/")?.text == "6")
            await client.close()
        }
        await backend.stop()
    }

    @Test func answersAPipelineInOrder() async throws {
        let backend = try await Backend { answer($0.line) }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            let many = (1...50).map { number in
                number % 7 == 0
                    ? "POST /\(number) HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                    : "GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n"
            }
            try await client.send(many.joined() + "GET /none")
            for number in 1...50 {
                #expect(await client.response()?.text.split(separator: " ")[1] == "/\(number)")
            }
            try await client.send(" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let last = await client.response()
            #expect(last?.text == "GET /none HTTP/1.1")
            #expect(last?.value("connection") == "close")
            #expect(await client.readToEnd().isEmpty)
        }
        await backend.stop()
    }

    @Test func carriesBodiesInEveryFraming() async throws {
        let backend = try await Backend { request in
            let size = request.body.count
            return [
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n"),
                .sendBytes(request.body), .send("\r\n0\r\nTrailer: x\r\n\r\n"),
            ]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let client = try await gateway.client()
            try await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n")
            try await client.send(body)
            #expect(await client.response()?.body == body)
            try await client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in stride(from: 0, to: body.count, by: 70_001) {
                let chunk = Array(body[start..<min(start + 70_001, body.count)])
                try await client.send("\(String(chunk.count, radix: 16));ext=1\r\n")
                try await client.send(chunk)
                try await client.send("\r\n")
            }
            try await client.send("0\r\n\r\n")
            #expect(await client.response()?.body == body)
            #expect(backend.requests.all[0].value("content-length") == "300000")
            #expect(backend.requests.all[1].value("transfer-encoding") == "chunked")
            await client.close()
        }
        await backend.stop()
    }

    @Test func knowsAnswersWithoutABody() async throws {
        let backend = try await Backend { request in
            switch request.line.split(separator: " ")[1] {
            case "/204": [.send("HTTP/1.1 204 No Content\r\n\r\n")]
            case "/304": [.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"x\"\r\n\r\n")]
            case "/hints":
                [.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")] + answer("late")
            default: [.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")]
            }
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            try await client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
            let empty = await client.response()
            #expect(empty?.status == 204)
            #expect(empty?.value("content-length") == nil)
            try await client.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n")
            let unchanged = await client.response()
            #expect(unchanged?.status == 304)
            #expect(unchanged?.value("content-length") == "10")
            try await client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await client.response(toHead: true)?.value("content-length") == "10")
            try await client.send("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await client.response()?.status == 103)
            #expect(await client.response()?.text == "late")
            await client.close()
        }
        await backend.stop()
    }

    @Test func servesHTTP10() async throws {
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            try await client.send("GET / HTTP/1.0\r\n\r\n")
            let text = String(decoding: await client.readToEnd(), as: UTF8.self)
            #expect(text.hasSuffix("\r\n\r\nabc"))
            #expect(!text.contains("chunked"))
            #expect(backend.requests.all[0].value("host") == "127.0.0.1:\(backend.port)")
        }
        let plain = try await Backend { _ in answer("abc") }
        try await withGateway(configuration(plain, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            for _ in 0..<2 {
                try await client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                #expect(await client.response()?.value("connection") == "keep-alive")
            }
            await client.close()
        }
        await backend.stop()
        await plain.stop()
    }

    @Test func asksForABodyThatIsHeldBack() async throws {
        let backend = try await Backend { answer(String(decoding: $0.body, as: UTF8.self)) }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            try await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            #expect(await client.response()?.status == 100)
            try await client.send("body")
            #expect(await client.response()?.text == "body")
            #expect(backend.requests.all[0].value("expect") == nil)
            await client.close()
        }
        await backend.stop()
    }

    @Test func answersAfterTheClientHasEndedItsSide() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return answer("late")
                }
            ]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try await client.finishSending()
            await backend.requests.wait(for: 1)
            gate.open()
            #expect(await client.response()?.text == "late")
            #expect(await client.readToEnd().isEmpty)
        }
        await backend.stop()
    }

    @Test func endsWithTheUpstreamsConnectionWhereThatEndsTheBody() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.0 200 OK\r\n\r\nall of it"), .close] }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            for _ in 0..<2 {
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response()?.text == "all of it")
            }
            await client.close()
        }
        await backend.stop()
    }

    @Test func refusesMalformedRequestsAndForwardsNothing() async throws {
        let backend = try await Backend { _ in answer("never") }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            for (text, status) in RequestHeadTests.malformed {
                let client = try await gateway.client()
                try await client.send(text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                let response = await client.response()
                #expect(response?.status == status, "\(text)")
                #expect(response?.value("connection") == "close")
                #expect(await client.readToEnd().isEmpty)
                await client.close()
            }
            #expect(backend.requests.all.isEmpty)
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.rejected[.malformed] == UInt64(RequestHeadTests.malformed.count))
        }
        await backend.stop()
    }

    @Test func endsARequestWhoseChunksAreMalformed() async throws {
        let backend = try await Backend(wantsBody: false) { _ in [] }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            try await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await backend.requests.wait(for: 1)
            try await client.send("3\nabc\r\n0\r\n\r\n")
            let response = await client.response()
            #expect(response?.status == 400)
            #expect(await client.readToEnd().isEmpty)
        }
        await backend.stop()
    }

    @Test func boundsBodies() async throws {
        let backend = try await Backend { _ in answer("ok") }
        var small = try everything()
        small.maximumBodyBytes = 10
        try await withGateway(configuration(backend, routes: [small])) { gateway in
            let declared = try await gateway.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
            #expect(declared?.status == 413)
            let chunked = try await gateway.send(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n6\r\n123456\r\n")
            #expect(chunked?.status == 413)
            let fits = try await gateway.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
            #expect(fits?.status == 200)
        }
        await backend.stop()
    }

    @Test func saysWhichMethodsAPathTakes() async throws {
        let backend = try await Backend { _ in answer("ok") }
        try await withGateway(configuration(backend, routes: [try route("read", "/x", methods: [.get])])) { gateway in
            let response = try await gateway.send("DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(response?.status == 405)
            #expect(response?.value("allow") == "GET, HEAD")
            #expect(response?.text.contains(response?.value("x-correlation-id") ?? "-") == true)
        }
        await backend.stop()
    }
}
