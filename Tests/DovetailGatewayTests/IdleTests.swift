import DovetailCore
import NIOCore
import NIOPosix
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/// Who is silent is not waited for without end, on any side and in any protocol.
@Suite(.timeLimit(.minutes(1))) struct IdleTests {
    private func patient(
        _ backend: Backend, stream: Duration? = .milliseconds(400), change: (inout Route) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var route = try route("all", "/**", timeout: nil)
        change(&route)
        var configuration = configuration(backend, routes: [route])
        configuration.timeouts.stream = stream
        return configuration
    }

    private func head(_ path: String, method: String = "GET") -> [(String, String)] {
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")]
    }

    @Test func aServiceThatIsSilentIsNotWaitedForAlsoWithoutATimeout() async throws {
        let backend = try await Backend { _ in [] }
        try await withGateway(try patient(backend)) { gateway in
            let start = ContinuousClock.now
            let answer = try await gateway.get("/")
            #expect(answer?.status == 504)
            #expect(answer?.text.contains("silent") == true)
            #expect(ContinuousClock.now - start >= .milliseconds(400))
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(.head(head("/"), ends: true))
            await client.received.wait(for: 1)
            #expect(client.received.all.first?.fields?.first(name: ":status") == "504")
            await client.close()
            #expect(await gateway.gateway.metrics().timeouts == 2)
        }
        await backend.stop()
    }

    @Test func aRoutesTimeoutIsPatienceWithItsService() async throws {
        let backend = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(900))
                    return [.send(ok)]
                }
            ]
        }
        let configuration = try patient(backend, stream: .milliseconds(200)) { $0.timeout = .seconds(20) }
        try await withGateway(configuration) { gateway in
            let answer = try await gateway.get("/")
            #expect(answer?.status == 200)
        }
        await backend.stop()
    }

    @Test func aBodyThatStopsInTheMiddleIsAnswered408() async throws {
        let backend = try await Backend(wantsBody: false) { _ in [] }
        try await withGateway(try patient(backend)) { gateway in
            let client = try await gateway.client()
            try await client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome")
            let answer = await client.response()
            #expect(answer?.status == 408)
            #expect(answer?.value("connection") == "close")
            #expect(await client.readToEnd().isEmpty)
            let other = try await HTTP2Client(port: gateway.port)
            try await other.send(.head(head("/", method: "PUT")))
            try await other.send(.body("some"))
            await other.received.wait(for: 1)
            #expect(other.received.all.first?.fields?.first(name: ":status") == "408")
            await other.ended.wait()
            await other.close()
            #expect(backend.requests.all.count == 2)
        }
        await backend.stop()
    }

    @Test func anAnswerThatStopsBreaksOffAndOneThatGoesOnDoesNot() async throws {
        let backend = try await Backend { request in
            let pauses = request.line.contains("/lively") ? 8 : 0
            return [.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")]
                + (0..<pauses).map { _ in
                    .after {
                        try? await Task.sleep(for: .milliseconds(150))
                        return [.send("9\r\ndata: a\n\n\r\n")]
                    }
                }
        }
        try await withGateway(try patient(backend)) { gateway in
            for path in ["/lively", "/dead"] {
                let client = try await gateway.client()
                let start = ContinuousClock.now
                try await client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                let text = String(decoding: await client.readToEnd(), as: UTF8.self)
                let time = ContinuousClock.now - start
                #expect(text.hasPrefix("HTTP/1.1 200"))
                #expect(text.components(of: "data: a") == (path == "/lively" ? 8 : 0))
                #expect(time >= .milliseconds(path == "/lively" ? 1500 : 400))
                let other = try await HTTP2Client(port: gateway.port)
                try await other.send(.head(head(path), ends: true))
                await other.ended.wait()
                #expect(
                    other.received.all.compactMap(\.text).joined().components(of: "data: a")
                        == (path == "/lively" ? 8 : 0))
                await other.close()
            }
            await gateway.finished.wait(for: 4)
            #expect(gateway.finished.all.allSatisfy { $0.brokeOff })
        }
        await backend.stop()
    }

    @Test func aWebSocketEndsWhenNothingGoesEitherWay() async throws {
        let backend = try await Backend(wantsBody: false) { _ in
            [.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")]
        }
        try await withGateway(try patient(backend) { $0.allowsWebSocket = true }) { gateway in
            let client = try await gateway.client()
            let start = ContinuousClock.now
            try await client.send(
                "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
            )
            #expect(await client.response()?.status == 101)
            for _ in 0..<6 {
                try await Task.sleep(for: .milliseconds(150))
                try await client.send("ping")
            }
            _ = await client.readToEnd()
            #expect(ContinuousClock.now - start >= .milliseconds(1300))
            let other = try await HTTP2Client(port: gateway.port)
            try await other.send(
                .head([
                    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
                    (":authority", "a"),
                ]))
            await other.received.wait(for: 1)
            #expect(other.received.all.first?.fields?.first(name: ":status") == "200")
            await other.ended.wait()
            await other.close()
        }
        await backend.stop()
    }

    @Test func withoutTheTimeoutAStreamIsForEver() async throws {
        let backend = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(900))
                    return [.send(ok)]
                }
            ]
        }
        var configuration = try patient(backend, stream: nil)
        configuration.timeouts.idle = .milliseconds(200)
        configuration.timeouts.head = .milliseconds(200)
        try await withGateway(configuration) { gateway in
            let answer = try await gateway.get("/")
            #expect(answer?.status == 200)
        }
        await backend.stop()
    }

    @Test func aClientThatAsksNothingOrAsksTooSlowlyIsLetGo() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        var configuration = try patient(backend)
        configuration.timeouts.idle = .milliseconds(300)
        configuration.timeouts.head = .milliseconds(300)
        try await withGateway(configuration) { gateway in
            let idle = try await gateway.client()
            try await idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await idle.response()?.status == 200)
            #expect(await idle.readToEnd().isEmpty, "between requests it is closed without a word")
            for before in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
                let slow = try await gateway.client()
                if !before.isEmpty {
                    try await slow.send(before)
                    #expect(await slow.response()?.status == 200)
                }
                try await slow.send("GET / HTTP/1.1\r\nHo")
                #expect(await slow.response()?.status == 408)
                #expect(await slow.readToEnd().isEmpty)
            }
            let silent = try await gateway.client()
            #expect(await silent.readToEnd().isEmpty)
        }
        await backend.stop()
    }

    @Test func aConnectionToAServerIsNotKeptBeyondItsTime() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        var configuration = try patient(backend)
        configuration.upstreams[0].idleTimeout = .milliseconds(200)
        try await withGateway(configuration) { gateway in
            for _ in 0..<2 { #expect(try await gateway.get("/")?.status == 200) }
            try await Task.sleep(for: .milliseconds(1500))
            #expect(try await gateway.get("/")?.status == 200)
            #expect(backend.requests.all.map(\.numberOnConnection) == [1, 2, 1])
        }
        await backend.stop()
    }

    #if os(Linux)
        /// A listener whose queue is full answers no more attempts to connect, as a host that is away does.
        @Test func aServerThatDoesNotAcceptIsGivenUpInTime() async throws {
            let deaf = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.backlog, value: 1)
                .serverChannelOption(.autoRead, value: false)
                .bind(host: "127.0.0.1", port: 0).get()
            let port = deaf.localAddress?.port ?? 0
            let fillers = (0..<4).map { _ in
                ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(.seconds(30))
                    .connect(host: "127.0.0.1", port: port)
            }
            try await Task.sleep(for: .milliseconds(300))
            let good = try await Backend { _ in [.send(ok)] }
            var configuration = try patient(good, stream: nil)
            configuration.upstreams[0].servers = [.init(host: "127.0.0.1", port: port)]
            configuration.upstreams[0].connectTimeout = .milliseconds(300)
            configuration.upstreams[0].retry = nil
            try await withGateway(configuration) { gateway in
                let start = ContinuousClock.now
                let answer = try await gateway.get("/")
                #expect(answer?.status == 502)
                #expect(answer?.text.contains("upstream-unreachable") == true)
                #expect(ContinuousClock.now - start >= .milliseconds(300))
            }
            for filler in fillers { filler.whenSuccess { $0.close(promise: nil) } }
            try await deaf.close()
            await good.stop()
        }
    #endif
}

extension String {
    fileprivate func components(of part: String) -> Int { ranges(of: part).count }
}
