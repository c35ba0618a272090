import DovetailCore
import NIOCore
import NIOHTTP2
import NIOPosix
import Testing

@testable import DovetailGateway

/// Connections to upstreams that speak HTTP/2: when they are made, how many streams they carry, and when they end.
@Suite(.timeLimit(.minutes(1)), .serialized) struct HTTP2ConnectionTests {
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
}
