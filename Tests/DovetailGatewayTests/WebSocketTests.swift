import DovetailCore
import Testing

@testable import DovetailGateway

@Suite(.timeLimit(.minutes(1))) struct WebSocketTests {
    private static let ask =
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"

    /// Agrees, and says hello; then it ends when it is told to.
    private func chat(_ gate: Gate) async throws -> Backend {
        try await Backend(wantsBody: false) { _ in
            [
                .send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nhello"
                ),
                .after {
                    await gate.wait()
                    return [.send("bye"), .close]
                },
            ]
        }
    }

    private func chatting() throws -> Route {
        var route = try route("chat", "/chat")
        route.allowsWebSocket = true
        route.timeout = .milliseconds(300)
        return route
    }

    @Test func goesBothWaysLongerThanTheRoutesTimeoutUntilOneSideEnds() async throws {
        let gate = Gate()
        let backend = try await chat(gate)
        try await withGateway(configuration(backend, routes: [try chatting()])) { gateway in
            let client = try await gateway.client()
            try await client.send(Self.ask)
            let agreed = await client.response()
            #expect(agreed?.status == 101)
            #expect(agreed?.value("upgrade") == "websocket")
            #expect(agreed?.value("connection") == "upgrade")
            #expect(agreed?.value("sec-websocket-accept") == "y")
            let seen = try #require(backend.requests.all.first)
            #expect(seen.values("connection") == ["upgrade"])
            #expect(seen.values("upgrade") == ["websocket"])
            #expect(seen.values("sec-websocket-key") == ["x"])
            // A route that goes takes no connection with it.
            try await gateway.gateway.apply(configuration(backend, routes: [try route("other", "/other")]))
            let gone = try await gateway.get("/chat")
            #expect(gone?.status == 404)
            try await Task.sleep(for: .milliseconds(600))
            try await client.send("something from the client")
            gate.open()
            let rest = String(decoding: await client.readToEnd(), as: UTF8.self)
            #expect(rest.hasSuffix("hellobye") || (agreed?.text == "hello" && rest == "bye"), "\(rest)")
            // The request that met no route was over before.
            await gateway.finished.wait(for: 2)
            let record = try #require(gateway.finished.all.last)
            #expect(record.status == 101)
            #expect(record.brokeOff == false)
        }
        await backend.stop()
    }

    @Test func aCacheOnTheSameRouteHoldsNobodyUp() async throws {
        let gate = Gate()
        let backend = try await chat(gate)
        var route = try chatting()
        route.cache = CachePolicy(freshFor: .seconds(60))
        route.timeout = .seconds(5)
        try await withGateway(configuration(backend, routes: [route])) { gateway in
            var clients: [RawClient] = []
            for _ in 0..<3 {
                let client = try await gateway.client()
                try await client.send(Self.ask)
                #expect(await client.response()?.status == 101)
                clients.append(client)
            }
            for client in clients { await client.close() }
        }
        gate.open()
        await backend.stop()
    }

    @Test func withoutTheRoutesLeaveItIsAnOrdinaryRequest() async throws {
        let backend = try await Backend { request in
            request.value("upgrade") == nil
                ? [.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")]
                : [.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")]
        }
        try await withGateway(configuration(backend, routes: [try route("chat", "/chat")])) { gateway in
            let answer = try await gateway.send(Self.ask)
            #expect(answer?.status == 426)
        }
        await backend.stop()
    }

    @Test func whoSwitchesUnaskedBreaksHTTP() async throws {
        let gate = Gate()
        let backend = try await chat(gate)
        try await withGateway(configuration(backend, routes: [try chatting()])) { gateway in
            let plain = try await gateway.get("/chat")
            let half = try await gateway.send("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")
            #expect(plain?.status == 502)
            #expect(half?.status == 502)
        }
        gate.open()
        await backend.stop()
    }

    @Test func aClientThatLeavesEndsIt() async throws {
        let gate = Gate()
        let backend = try await chat(gate)
        try await withGateway(configuration(backend, routes: [try chatting()])) { gateway in
            let client = try await gateway.client()
            try await client.send(Self.ask)
            #expect(await client.response()?.status == 101)
            await client.close()
            await gateway.finished.wait(for: 1)
        }
        gate.open()
        await backend.stop()
    }

    @Test func aStreamOfHTTP2BecomesOneToo() async throws {
        let gate = Gate()
        let backend = try await chat(gate)
        try await withGateway(configuration(backend, routes: [try chatting()])) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(
                .head([
                    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
                    (":authority", "a"), ("sec-websocket-version", "13"),
                ]))
            await client.received.wait(for: 2)
            let answer = client.received.all
            #expect(answer[0].fields?.first(name: ":status") == "200")
            #expect(answer[0].fields?["sec-websocket-accept"] == [])
            #expect(answer[1].text == "hello")
            let seen = try #require(backend.requests.all.first)
            #expect(seen.line == "GET /chat HTTP/1.1")
            #expect(seen.values("upgrade") == ["websocket"])
            #expect(seen.values("sec-websocket-key").first?.count == 24)
            try await client.send(.body("something from the client"))
            gate.open()
            await client.received.wait(for: 4)
            #expect(client.received.all.compactMap(\.text).joined() == "hellobye")
            #expect(client.received.all[3].isLast)
            try await client.send(.body("", ends: true))
            await client.ended.wait()
            #expect(client.received.all.count == 4, "a stream that ended in order is not reset")
            await client.close()
        }
        await backend.stop()
    }
}
