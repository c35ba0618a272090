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
    private func http2(
        _ port: Int, change: (inout Upstream) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: port)])
        upstream.protocol = .http2
        change(&upstream)
        return GatewayConfiguration(
            listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream],
            timeouts: .init(drain: .seconds(5)))
    }

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

    /// More requests than a connection takes make another; what does not answer at all is unreachable.
    @Test func connectionsAreMadeAsStreamsNeedThem() async throws {
        let backend = try await HTTP2Backend(maximumStreams: 4) { _ in
            [.head([(":status", "200")]), .body("x")]
        }
        try await withGateway(try http2(backend.port)) { gateway in
            var clients: [RawClient] = []
            for _ in 0..<10 {
                let client = try await gateway.client()
                try await client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                clients.append(client)
            }
            await backend.requests.wait(for: 10)
            #expect(backend.connections.all.count == 3)
            // A client that leaves resets its stream, and its place is free.
            for client in clients { await client.close() }
            await backend.resets.wait(for: 10)
            let client = try await gateway.client()
            try await client.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
            await backend.requests.wait(for: 11)
            #expect(backend.connections.all.count == 3)
            await client.close()
        }
        await backend.stop()
        let silent = try await Backend(wantsBody: false) { _ in [] }
        try await withGateway(
            try http2(silent.port) {
                $0.connectTimeout = .milliseconds(200)
                $0.retry = nil
            }
        ) { gateway in
            let answer = try await gateway.get("/x")
            #expect(answer?.status == 502)
        }
        await silent.stop()
    }

    /// Whoever waited for it is served, it ends with that, and nobody looks for the pool later.
    @Test func aConnectionThatComesAfterItsUpstreamHasChangedEndsWithItsRequest() async throws {
        let gate = Gate()
        let backend = try await HTTP2Backend(after: gate) { _ in [.head([(":status", "200")], ends: true)] }
        try await withGateway(try http2(backend.port)) { gateway in
            let client = try await gateway.client()
            try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            await backend.connections.wait(for: 1)
            try await gateway.gateway.apply(try http2(backend.port) { $0.poolSize = 7 })
            gate.open()
            #expect(await client.response()?.status == 200)
            // A pool looks for connections to close once a second.
            try await Task.sleep(for: .milliseconds(1300))
            #expect(try await gateway.get("/y")?.status == 200)
            await backend.ended.wait(for: 1)
            #expect(backend.ended.all.count == 1 && backend.connections.all.count == 2)
            await client.close()
        }
        await backend.stop()
    }

    @Test func aConnectionThatTakesNoStreamsIsClosed() async throws {
        let backend = try await HTTP2Backend(maximumStreams: 0) { _ in [.head([(":status", "200")], ends: true)] }
        try await withGateway(try http2(backend.port) { $0.retry = nil }) { gateway in
            for count in 1...3 {
                let answer = try await gateway.get("/x")
                #expect(answer?.status == 502)
                await backend.ended.wait(for: count)
            }
        }
        await backend.stop()
    }

    /// The numbers of streams come to an end, and a connection before they do.
    @Test func aConnectionCarriesNoMoreStreamsThanItMay() async throws {
        let backend = try await HTTP2Backend { _ in [] }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let sessions = try await loop.submit { [port = backend.port] in
            NIOLoopBound(
                UpstreamSessions(loop: loop, isSecure: false, timeout: .seconds(5), streamsEach: 2) {
                    ClientBootstrap(group: loop).connect(host: "127.0.0.1", port: port)
                }, eventLoop: loop)
        }.get()
        for _ in 0..<5 {
            let stream = try await loop.flatSubmit { sessions.value.stream() }.get()
            try await stream.close()
        }
        #expect(backend.connections.all.count == 3)
        await backend.ended.wait(for: 2)
        try await loop.submit { sessions.value.retire() }.get()
        await backend.ended.wait(for: 3)
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

    // MARK: Trailers

    @Test func trailersGoThroughWhereTheyAreAskedForAndNothingElseWithThem() async throws {
        let backend = try await Backend { request in
            [
                .send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nSet-Cookie: a=1\r\nHost: b\r\n\r\n"
                )
            ]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            for (asks, tail) in [(true, "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"), (false, "2\r\nok\r\n0\r\n\r\n")] {
                let client = try await gateway.client()
                try await client.send(
                    "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\(asks ? ", te\r\nTE: trailers" : "")\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Mine: 1\r\nAuthorization: b\r\n\r\n"
                )
                let text = String(decoding: await client.readToEnd(), as: UTF8.self)
                #expect(text.hasSuffix("\r\n\r\n" + tail), "\(text)")
            }
            #expect(backend.requests.all.map { $0.values("te") } == [["trailers"], []])
            #expect(backend.requests.all.map(\.trailers) == ["X-Mine: 1\r\n", "X-Mine: 1\r\n"])
        }
        await backend.stop()
    }

    /// gRPC's own client and server, with a gateway between them that speaks HTTP/2 to both.
    @Test(.enabled(if: PythonOracle.has("grpc"))) func gRPCGoesThrough() async throws {
        // A port that was free a moment ago.
        let reserved = try await Backend { _ in [] }
        await reserved.stop()
        var configuration = try http2(reserved.port)
        configuration.routes[0].timeout = nil
        configuration.routes[0].maximumBodyBytes = 10_000_000
        try await withGateway(configuration, loops: 2) { gateway in
            let ports = "\(reserved.port) \(gateway.port)"
            let output = try await Task.detached { try PythonOracle.run(Self.conversation, input: ports) }.value
            #expect(
                output == """
                    unary b'echo:hello' [('x-tail', 'last')]
                    large 2000000
                    down [b'0', b'1', b'2', b'3']
                    up b'6'
                    both [b'A', b'B', b'C']
                    error FAILED_PRECONDITION no such luck
                    unknown UNIMPLEMENTED
                    deadline DEADLINE_EXCEEDED
                    cancelled True
                    many 200

                    """, "\(output)")
        }
        let other = try http2(1) {
            $0.retry = nil
            $0.connectTimeout = .milliseconds(200)
        }
        try await withGateway(other) { gateway in
            let output = try await Task.detached {
                try PythonOracle.run(Self.refusal, input: "\(gateway.port)")
            }.value
            #expect(output == "UNAVAILABLE the service cannot be reached\n")
        }
    }

    private static let conversation = """
        import grpc, sys, time, threading
        from concurrent import futures
        backend, gateway = sys.stdin.read().split()
        cancelled = threading.Event()
        def unary(data, context):
            context.set_trailing_metadata((('x-tail', 'last'),))
            return b'echo:' + data if len(data) < 100 else data
        def down(data, context):
            for number in range(4): yield str(number).encode()
        def up(stream, context):
            return str(sum(int(piece) for piece in stream)).encode()
        def both(stream, context):
            for piece in stream: yield piece.upper()
        def fails(data, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'no such luck')
        def slow(data, context):
            context.add_callback(cancelled.set)
            time.sleep(1)
            return b''
        handlers = {
            'Unary': grpc.unary_unary_rpc_method_handler(unary), 'Down': grpc.unary_stream_rpc_method_handler(down),
            'Up': grpc.stream_unary_rpc_method_handler(up), 'Both': grpc.stream_stream_rpc_method_handler(both),
            'Fails': grpc.unary_unary_rpc_method_handler(fails), 'Slow': grpc.unary_unary_rpc_method_handler(slow)}
        server = grpc.server(futures.ThreadPoolExecutor(32))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('t.T', handlers),))
        server.add_insecure_port('127.0.0.1:' + backend)
        server.start()
        channel = grpc.insecure_channel('127.0.0.1:' + gateway)
        answer, call = channel.unary_unary('/t.T/Unary').with_call(b'hello')
        print('unary', answer, [(k, v) for k, v in call.trailing_metadata() if k == 'x-tail'])
        print('large', len(channel.unary_unary('/t.T/Unary')(b'x' * 2000000)))
        print('down', list(channel.unary_stream('/t.T/Down')(b'')))
        print('up', channel.stream_unary('/t.T/Up')(iter([b'1', b'2', b'3'])))
        # Each answer is awaited before the next question goes out: neither direction may be held back.
        ready = threading.Semaphore(1)
        def questions():
            for piece in (b'a', b'b', b'c'):
                ready.acquire()
                yield piece
        answers = []
        for piece in channel.stream_stream('/t.T/Both')(questions()):
            answers.append(piece)
            ready.release()
        print('both', answers)
        for name, method in (('error', 'Fails'), ('unknown', 'Nothing')):
            try: channel.unary_unary('/t.T/' + method)(b'')
            except grpc.RpcError as error:
                print(name, error.code().name, *([error.details()] if name == 'error' else []))
        try: channel.unary_unary('/t.T/Slow')(b'', timeout=0.2)
        except grpc.RpcError as error: print('deadline', error.code().name)
        print('cancelled', cancelled.wait(5))
        calls = [channel.unary_unary('/t.T/Unary').future(str(i).encode()) for i in range(200)]
        print('many', sum(call.result() == b'echo:' + str(i).encode() for i, call in enumerate(calls)))
        channel.close()
        server.stop(0)
        """

    private static let refusal = """
        import grpc, sys
        channel = grpc.insecure_channel('127.0.0.1:' + sys.stdin.read().strip())
        try: channel.unary_unary('/t.T/Unary')(b'')
        except grpc.RpcError as error: print(error.code().name, error.details())
        """
}
