import DovetailCore
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/// What connections of HTTP/2 and streams of events go through while the gateway changes and ends.
@Suite(.timeLimit(.minutes(1))) struct DrainTests {
    private func head(_ path: String) -> [(String, String)] {
        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]
    }

    /// Answers all but `/slow` at once; that one in two parts, the second when the gate is open.
    private func backend(_ gate: Gate) async throws -> Backend {
        try await Backend { request in
            guard request.line.contains("/slow") else { return [.send(ok)] }
            return [
                .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"),
                .after {
                    await gate.wait()
                    return [.send("-last")]
                },
            ]
        }
    }

    @Test func aConnectionOfHTTP2IsToldOfTheEndAndItsStreamsEndInOrder() async throws {
        let gate = Gate()
        let backend = try await backend(gate)
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let busy = try await HTTP2Client(port: gateway.port)
            try await busy.send(.head(head("/slow"), ends: true))
            await busy.received.wait(for: 2)
            let idle = try await HTTP2Client(port: gateway.port)
            await gateway.group.triggerGracefulShutdown()
            await busy.goAways.wait(for: 1)
            await idle.goAways.wait(for: 1)
            #expect(busy.goAways.all.first == Int(Int32.max), "what is on its way is still taken")
            gate.open()
            await busy.ended.wait()
            #expect(busy.received.all.compactMap(\.text).joined() == "first-last")
            #expect(busy.received.all.last?.isLast == true)
            await busy.goAways.wait(for: 2)
            #expect(busy.goAways.all.last == 1, "then it is said which was the last stream")
            await busy.connectionEnds()
            await idle.connectionEnds()
        }
        await backend.stop()
    }

    @Test func streamsOfHTTP2GoOnWhileTheConfigurationChanges() async throws {
        let gate = Gate()
        let (backend, other) = (try await backend(gate), try await Backend { _ in [.send(ok)] })
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(.head(head("/slow"), ends: true))
            await client.received.wait(for: 2)
            // Neither the route nor the upstream is there any more.
            try await gateway.gateway.apply(configuration(other, routes: [try route("new", "/new")]))
            let sibling = try await client.sibling()
            try await sibling.send(.head(head("/new"), ends: true))
            await sibling.ended.wait()
            #expect(sibling.received.all.first?.fields?.first(name: ":status") == "200")
            #expect(other.requests.all.count == 1)
            let gone = try await client.sibling()
            try await gone.send(.head(head("/slow"), ends: true))
            await gone.ended.wait()
            #expect(gone.received.all.first?.fields?.first(name: ":status") == "404")
            gate.open()
            await client.ended.wait()
            #expect(client.received.all.compactMap(\.text).joined() == "first-last")
            #expect(client.received.all.last?.isLast == true)
            #expect(client.goAways.all.isEmpty)
            await client.close()
        }
        await backend.stop()
        await other.stop()
    }

    @Test func anEventIsThereBeforeTheNextOneIsMade() async throws {
        let gates = (0..<3).map { _ in Gate() }
        let backend = try await Backend { request in
            // The second client opens the gates again; they are open.
            [.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")]
                + gates.enumerated().map { index, gate in
                    .after {
                        if request.line.contains("/one") { await gate.wait() }
                        return [.send("9\r\ndata: \(index)\n\n\r\n")]
                    }
                } + [.send("0\r\n\r\n")]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await gateway.client()
            try await client.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
            var head = ""
            while !head.hasSuffix("\r\n\r\n") {
                guard await client.arrived(1) else { break }
                head += String(decoding: client.take(1), as: UTF8.self)
            }
            #expect(head.contains("text/event-stream"), "the head is there before any event")
            for (index, gate) in gates.enumerated() {
                gate.open()
                #expect(await client.arrived(14))
                #expect(String(decoding: client.take(14), as: UTF8.self) == "9\r\ndata: \(index)\n\n\r\n")
            }
            await client.close()
        }
        await backend.stop()
    }

    @Test func anEventIsThereBeforeTheNextOneIsMadeOverHTTP2() async throws {
        let gates = (0..<3).map { _ in Gate() }
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")]
                + gates.enumerated().map { index, gate in
                    .after {
                        await gate.wait()
                        return [.send("9\r\ndata: \(index)\n\n\r\n")]
                    }
                } + [.send("0\r\n\r\n")]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(.head(head("/x"), ends: true))
            await client.received.wait(for: 1)
            for (index, gate) in gates.enumerated() {
                gate.open()
                await client.received.wait(for: 2 + index)
                #expect(client.received.all[1 + index].text == "data: \(index)\n\n")
            }
            await client.ended.wait()
            await client.close()
        }
        await backend.stop()
    }

    @Test func aKeyComesToTheSameServerAndMovesOnlyWithIt() async throws {
        var backends: [Backend] = []
        for index in 0..<3 {
            backends.append(try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(index)")] })
        }
        let ports = backends.map(\.port)
        let configuration = configuration(backends[0], routes: [try route("all", "/**")]) {
            $0.servers = ports.map { .init(host: "127.0.0.1", port: $0) }
            $0.loadBalancing = .consistentHash(.header("X-Tenant"))
            $0.outlierEjection = .init(consecutiveFailures: 1, time: .seconds(60), longestTime: .seconds(60))
            $0.circuitBreaker = nil
        }
        try await withGateway(configuration, loops: 2) { gateway in
            func places() async throws -> [String] {
                var places: [String] = []
                for tenant in 0..<30 {
                    places.append(try await gateway.get("/", fields: ["X-Tenant: t\(tenant)"])?.text ?? "")
                }
                return places
            }
            let before = try await places()
            #expect(try await places() == before)
            #expect(Set(before) == ["0", "1", "2"])
            await backends[1].stop()
            // Connections of before are still open; new ones are not made.
            try await gateway.gateway.apply(configuration)
            for tenant in 0..<30 where before[tenant] == "1" {
                #expect(try await gateway.get("/", fields: ["X-Tenant: t\(tenant)"]) != nil)
            }
            let after = try await places()
            for tenant in 0..<30 where before[tenant] != "1" { #expect(after[tenant] == before[tenant]) }
        }
        for backend in backends { await backend.stop() }
    }
}
