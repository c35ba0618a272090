import DovetailCore
import NIOHTTP2
import TestSupport
import Testing

@testable import DovetailGateway

/// Clients that speak HTTP/2: what a stream may be, and what becomes of it when its connection goes.
@Suite(.timeLimit(.minutes(1)), .serialized) struct HTTP2ClientTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    /// It is one request's misfortune, and not that of the others of its connection.
    @Test func anAnswersHeadThatFitsNoFrameIsOne502() async throws {
        let backend = try await Backend { request in
            guard
                let bytes = request.line.split(separator: "/").dropFirst().first.flatMap({
                    Int($0.prefix { $0 != " " })
                })
            else { return [.send(HTTP2ClientTests.ok)] }
            var head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            for name in ["a", "b", "c"] { head += "x-\(name): \(String(repeating: "0", count: (bytes - 80) / 4))\r\n" }
            head += "x-rest: "
            return [.send(head + String(repeating: "0", count: bytes - head.utf8.count - 4) + "\r\n\r\nok")]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let fits = try await curl(["--http2-prior-knowledge", "http://127.0.0.1:\(gateway.port)/24000"])
            #expect(fits.output == "ok")
            let first = try await HTTP2Client(port: gateway.port)
            let streams = [first, try await first.sibling(), try await first.sibling()]
            for (stream, path) in zip(streams, ["/30000", "/61440", "/x"]) {
                try await stream.send(
                    .head(
                        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")], ends: true))
                await stream.ended.wait()
            }
            #expect(
                streams.map { $0.received.all.first?.fields?.first(name: ":status") } == ["502", "502", "200"])
            await first.close()
            // What is told of them is what the clients got.
            await gateway.finished.wait(for: 4)
            #expect(gateway.finished.all.map(\.status) == [200, 502, 502, 200])
            #expect(gateway.finished.all.allSatisfy { !$0.brokeOff })
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.routes["all"]?.requests == [0, 2, 0, 0, 2, 0])
            #expect(metrics.rejected[.upstream] == 2)
            let plain = try await gateway.get("/61440")
            #expect(plain?.text == "ok")
        }
        await backend.stop()
    }

    /// One that was answered before it had sent everything has time to read, however slow it is.
    @Test func aSlowReaderGetsTheWholeOfAnEarlyAnswer() async throws {
        let body = String(repeating: "x", count: 100_000)
        let backend = try await Backend(wantsBody: false) { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\(body)")]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await HTTP2Client(port: gateway.port, reads: false)
            try await client.send(
                .head([(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")]))
            try await client.send(.body("the beginning"))
            await gateway.finished.wait(for: 1)
            try await Task.sleep(for: .milliseconds(2500))
            try await client.startReading()
            await client.ended.wait()
            #expect(client.received.all.compactMap(\.text).joined() == body)
        }
        await backend.stop()
    }

    /// Writing the end of an answer may end its stream, and its exchange: those that wait for the connection to the upstream get one that is alive.
    @Test func anAnswerWhoseEndCannotBeSentTakesNobodyWithIt() async throws {
        let gate = Gate()
        let trailers = (0..<20).map { "x-\($0): \(String(repeating: "~", count: 1000))\r\n" }.joined()
        let backend = try await Backend { request in
            guard request.line.contains("/long") else { return [.send(HTTP2ClientTests.ok)] }
            return [
                .after {
                    await gate.wait()
                    return [
                        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\(trailers)\r\n")
                    ]
                }
            ]
        }
        let configuration = configuration(backend, routes: [try route("all", "/**")]) { $0.poolSize = 1 }
        try await withGateway(configuration) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(
                .head(
                    [
                        (":method", "GET"), (":scheme", "http"), (":path", "/long"), (":authority", "a"),
                        ("te", "trailers"),
                    ], ends: true))
            await backend.requests.wait(for: 1)
            var waiting: [RawClient] = []
            for _ in 0..<3 {
                let client = try await gateway.client()
                try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                waiting.append(client)
            }
            try await Task.sleep(for: .milliseconds(100))
            gate.open()
            await client.ended.wait()
            for client in waiting {
                #expect(await client.response()?.status == 200)
                await client.close()
            }
            await client.close()
        }
        await backend.stop()
    }

    /// Where a WebSocket was asked for and not given, what follows is no other request.
    @Test func aStreamHasOneRequest() async throws {
        let backend = try await Backend { _ in [.send(HTTP2ClientTests.ok)] }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(
                .head([
                    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/first"),
                    (":authority", "a"),
                ]))
            try await client.send(.body("GET /second HTTP/1.1\r\nHost: a\r\n\r\n"))
            await client.received.wait(for: 2)
            try await client.send(.body("GET /third HTTP/1.1\r\nHost: a\r\n\r\n", ends: true))
            await client.ended.wait()
            #expect(client.received.all.compactMap(\.text).joined() == "ok")
            #expect(try await gateway.get("/last")?.status == 200)
            await gateway.finished.wait(for: 2)
            #expect(backend.requests.all.map(\.line) == ["GET /first HTTP/1.1", "GET /last HTTP/1.1"])
            await client.close()
        }
        await backend.stop()
    }

    /// All of it in the bytes in which HTTP/2 is noticed.
    @Test func aConnectionThatBeginsAndFailsAtOnceLeavesNothing() async throws {
        let backend = try await Backend { _ in [] }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await gateway.client()
            let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
            // GET / of http://a, as the whole of stream 1.
            let headers: [UInt8] = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 0x01, 0x61]
            // Settings of a stream, which has none.
            let wrong: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 1]
            try await client.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + settings + headers + wrong)
            _ = await client.readToEnd()
            await gateway.finished.wait(for: 1)
            #expect(await gateway.gateway.metrics().openClientConnections == 0)
        }
        await backend.stop()
    }
}
