import DovetailCore
import Foundation
import NIOCore
import NIOHTTP2
import NIOPosix
import TestSupport
import Testing

@testable import DovetailGateway

/// Upstreams that speak HTTP/2, and what only HTTP/2 has: streams both ways, trailers, many requests on a connection.
@Suite(.timeLimit(.minutes(1)), .serialized) struct HTTP2UpstreamTests {
    @Test func requestsAndAnswersGoThroughInFrames() async throws {
        let backend = try await HTTP2Backend { head in
            switch head.first(name: ":path") {
            case "/none": [.head([(":status", "204")], ends: true)]
            case "/early":
                [
                    .head([(":status", "103"), ("link", "</a.css>")]), .head([(":status", "200")]),
                    .body("late", ends: true),
                ]
            case "/declared":
                [.head([(":status", "200"), ("content-length", "2")]), .body("o"), .body("k", ends: true)]
            default:
                [
                    .head([(":status", "200"), ("x-own", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]),
                    .body("hel"), .body("lo", ends: true),
                ]
            }
        }
        try await withGateway(try http2(backend.port)) { gateway in
            let answer = try #require(
                try await gateway.get(
                    "/a%20b?q=1", fields: ["Cookie: c=3", "Connection: x-hop", "X-Hop: 1", "TE: gzip"]))
            #expect(answer.status == 200)
            #expect(answer.text == "hello")
            #expect(answer.value("x-own") == "1")
            #expect(answer.values("set-cookie") == ["a=1", "b=2"])
            let seen = try #require(backend.requests.all.first)
            #expect(seen.first(name: ":method") == "GET")
            #expect(seen.first(name: ":path") == "/a%20b?q=1")
            #expect(seen.first(name: ":scheme") == "http")
            #expect(seen.first(name: ":authority") == "gateway.test")
            #expect(seen["cookie"] == ["c=3"])
            for name in ["x-hop", "connection", "host", "te"] { #expect(seen[name].isEmpty, "\(name)") }
            #expect(seen["x-forwarded-host"] == ["gateway.test"])
            #expect(try await gateway.get("/none")?.status == 204)
            let declared = try await gateway.get("/declared")
            #expect(declared?.value("content-length") == "2")
            #expect(declared?.text == "ok")
            let head = try await gateway.send("HEAD /declared HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(head?.status == 200)
            // All of it on one connection.
            #expect(backend.connections.all.count == 1)
        }
        await backend.stop()
    }

    @Test func aStreamThatIsRefusedIsSentAgainWhateverItsMethod() async throws {
        let count = Recorded<Void>()
        let backend = try await HTTP2Backend { _ in
            count.append(())
            return count.all.count == 1
                ? [.rstStream(.refusedStream)] : [.head([(":status", "200")]), .body("second", ends: true)]
        }
        try await withGateway(try http2(backend.port)) { gateway in
            let answer = try await gateway.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            #expect(answer?.status == 200)
            #expect(answer?.text == "second")
            #expect(backend.requests.all.count == 2)
        }
        await backend.stop()
    }

    @Test func anAnswerThatIsResetIsLostAndOneInTheMiddleBreaksOff() async throws {
        let backend = try await HTTP2Backend { head in
            head.first(name: ":path") == "/middle"
                ? [.head([(":status", "200")]), .body("beginning"), .rstStream(.internalError)]
                : [.rstStream(.internalError)]
        }
        try await withGateway(try http2(backend.port) { $0.retry = nil }) { gateway in
            #expect(try await gateway.get("/early")?.status == 502)
            let client = try await gateway.client()
            try await client.send("GET /middle HTTP/1.1\r\nHost: a\r\n\r\n")
            let text = String(decoding: await client.readToEnd(), as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 200") && !text.hasSuffix("\r\n0\r\n\r\n"), "\(text)")
        }
        await backend.stop()
    }

    /// Nor is it put down to the server; bytes that are no text take the most room in a frame.
    @Test func aHeadThatFitsNoFrameIsRefusedAndTheOthersOfItsConnectionGoOn() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait(); return [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
                }
            ]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { inner in
            let outer = try http2(inner.port) { $0.outlierEjection = .init(consecutiveFailures: 1) }
            try await withGateway(outer) { outer in
                let waiting = try await outer.client()
                try await waiting.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
                await backend.requests.wait(for: 1)
                for value in [
                    Array(repeating: UInt8(0xFF), count: 6000), Array(repeating: UInt8(ascii: "x"), count: 30_000),
                ] {
                    let client = try await outer.client()
                    try await client.send(
                        Array(
                            "POST /long HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nX-Long: "
                                .utf8) + value
                            + Array("\r\n\r\n".utf8))
                    let answer = await client.response()
                    #expect(answer?.status == 431)
                    #expect(answer?.text.contains("head-too-large") == true)
                    await client.close()
                }
                gate.open()
                #expect(await waiting.response()?.status == 200)
                #expect(await outer.gateway.metrics().upstreamErrors["u"] == nil)
                await waiting.close()
                // What fits is passed on, however long it is before it is compressed.
                let long = String(repeating: "0", count: 20_000)
                let answer = try await outer.get("/x", fields: ["X-Long: \(long)"])
                #expect(answer?.status == 200)
                #expect(backend.requests.all.map { $0.value("x-long")?.count } == [nil, 20_000])
            }
        }
        await backend.stop()
    }

    @Test func healthIsAskedForInHTTP2() async throws {
        let backend = try await HTTP2Backend { _ in [.head([(":status", "200")], ends: true)] }
        let configuration = try http2(backend.port) {
            $0.healthCheck = .init(path: "/health", interval: .milliseconds(20), unhealthyAfter: 1)
        }
        try await withGateway(configuration) { gateway in
            await backend.requests.wait(for: 3)
            #expect(backend.requests.all.allSatisfy { $0.first(name: ":path") == "/health" })
            let answer = try await gateway.get("/x")
            #expect(answer?.status == 200)
        }
        await backend.stop()
    }

    @Test func largeBodiesGoBothWaysThroughTwoGateways() async throws {
        let piece = String(repeating: "x", count: 65_536)
        let backend = try await Backend { request in
            request.line.hasPrefix("POST")
                ? [.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n\(request.body.count)")]
                : [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
                    + (0..<64).map { _ in .send("10000\r\n\(piece)\r\n") } + [.send("0\r\n\r\n")]
        }
        var inner = configuration(backend, routes: [try route("all", "/**")])
        inner.routes[0].maximumBodyBytes = 10_000_000
        try await withGateway(inner) { inner in
            var outer = try http2(inner.port)
            outer.routes[0].maximumBodyBytes = 10_000_000
            try await withGateway(outer) { outer in
                let url = "http://127.0.0.1:\(outer.port)/x"
                let down = try await curl(["--output", "/dev/null", "--write-out", "%{size_download}", url])
                #expect(down.output == "\(64 * 65_536)")
                let file = FileManager.default.temporaryDirectory.path + "/dovetail-body-\(UUID().uuidString)"
                try Data(repeating: 7, count: 3_000_000).write(to: URL(fileURLWithPath: file))
                defer { try? FileManager.default.removeItem(atPath: file) }
                for options in [[], ["-H", "Transfer-Encoding: chunked"]] {
                    let up = try await curl(options + ["--data-binary", "@\(file)", url])
                    #expect(up.output == "3000000", "\(options)")
                }
                let parallel = try await curl([
                    "--parallel", "--parallel-max", "30", "--output", "/dev/null", "--write-out",
                    "%{size_download}\n", "\(url)[1-30]",
                ])
                #expect(parallel.output.components(separatedBy: "\(64 * 65_536)\n").count >= 2)
            }
        }
        await backend.stop()
    }

    @Test func aWebSocketRouteToAnHTTP2UpstreamIsRefused() throws {
        var configuration = try http2(80)
        #expect(throws: Never.self) { try configuration.validate() }
        configuration.routes[0].allowsWebSocket = true
        #expect(throws: GatewayConfigurationError.self) { try configuration.validate() }
    }
}
