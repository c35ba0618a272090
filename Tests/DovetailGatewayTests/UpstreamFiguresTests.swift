import DovetailCore
import Foundation
import NIOCore
import NIOHTTP2
import NIOPosix
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/// What is told of upstreams and their servers, and what a server's answers do to its share.
@Suite(.timeLimit(.minutes(1))) struct UpstreamFiguresTests {
    @Test func answersBytesAndEjectionsAreCounted() async throws {
        let good = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(30))
                    return [.send(ok)]
                }
            ]
        }
        let bad = try await Backend { _ in [.close] }
        let configuration = configuration(good, routes: [try route("all", "/**")]) {
            $0.servers = [.init(host: "127.0.0.1", port: good.port), .init(host: "127.0.0.1", port: bad.port)]
            $0.outlierEjection = .init(consecutiveFailures: 1, time: .seconds(60), longestTime: .seconds(60))
            $0.circuitBreaker = nil
        }
        try await withGateway(configuration, loops: 2) { gateway in
            for _ in 0..<10 {
                let answer = try await gateway.get("/")
                #expect(answer?.status == 200)
            }
            let metrics = await gateway.gateway.metrics()
            let upstream = try #require(metrics.upstreams["u"])
            #expect(upstream.latency.reduce(0, +) == 10, "answers, not attempts")
            #expect(upstream.latency[..<5].reduce(0, +) == 0, "none took less than 30 ms")
            #expect(upstream.latencySum >= 0.3 && upstream.latencySum < 10)
            #expect(upstream.bytesReceived == UInt64(10 * ok.utf8.count))
            let sent = (good.requests.all + bad.requests.all).map(\.head.utf8.count).reduce(0, +)
            #expect(upstream.bytesSent == UInt64(sent))
            let servers = try #require(metrics.servers["u"])
            #expect(servers.available == 1 && servers.ejected == 1 && servers.unwell == 0 && servers.ejections == 1)
            // A change of the configuration loses nothing.
            var next = configuration
            next.upstreams[0].poolSize = 7
            try await gateway.gateway.apply(next)
            let after = await gateway.gateway.metrics()
            #expect(after.upstreams["u"] == upstream)
        }
        await good.stop()
        await bad.stop()
    }

    @Test func aRecordTellsTheServerTheAttemptsTheHostAndTheClient() async throws {
        let good = try await Backend { _ in [.send(ok)] }
        let dead = try await Backend { _ in [] }
        await dead.stop()
        let configuration = configuration(good, routes: [try route("all", "/x/**")]) {
            $0.servers = [.init(host: "127.0.0.1", port: dead.port), .init(host: "127.0.0.1", port: good.port)]
        }
        try await withGateway(configuration) { gateway in
            _ = try await gateway.get("/x/y", fields: ["User-Agent: a tester/1"])
            _ = try await gateway.get("/none")
            await gateway.finished.wait(for: 2)
            let (one, two) = (gateway.finished.all[0], gateway.finished.all[1])
            #expect(one.upstream == "u" && one.server == "127.0.0.1:\(good.port)" && one.attempts == 2)
            #expect(one.host == "gateway.test" && one.userAgent == "a tester/1")
            #expect(two.upstream == nil && two.server == nil && two.userAgent == nil && two.status == 404)
        }
        await good.stop()
    }

    /// One who says at once that it has too much to do looks fast, and is not.
    @Test(arguments: ["429 Too Many Requests", "503 Service Unavailable"])
    func whoRefusesIsSlow(status: String) async throws {
        let busy = try await Backend { _ in
            [.send("HTTP/1.1 \(status)\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")]
        }
        let slow = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(20))
                    return [.send(ok)]
                }
            ]
        }
        let configuration = configuration(slow, routes: [try route("all", "/**")]) {
            $0.servers = [.init(host: "127.0.0.1", port: busy.port), .init(host: "127.0.0.1", port: slow.port)]
            $0.loadBalancing = .peakLatency
            $0.outlierEjection = nil
            $0.circuitBreaker = nil
            $0.retry = nil
        }
        try await withGateway(configuration) { gateway in
            for _ in 0..<20 { _ = try await gateway.get("/") }
            // The first of each is how they are known.
            #expect(busy.requests.all.count <= 2)
            #expect(slow.requests.all.count >= 18)
        }
        await busy.stop()
        await slow.stop()
    }

    /// A peer that is gone without a word takes one request with it, not all that come until their timeouts.
    @Test func aConnectionOfHTTP2ThatAnswersNothingIsLeftAfterItsFirstRequest() async throws {
        let backend = try await HTTP2Backend { _ in [.head([(":status", "204")], ends: true)] }
        let relay = try await Relay(to: backend.port)
        let configuration = try http2(relay.port) {
            $0.attemptTimeout = .milliseconds(300)
            $0.connectTimeout = .milliseconds(300)
            $0.circuitBreaker = nil
            $0.outlierEjection = nil
        }
        try await withGateway(configuration) { gateway in
            #expect(try await gateway.get("/")?.status == 204)
            relay.freeze()
            // Its second attempt goes to a connection of its own: no stream is opened where a PING waits for its answer.
            #expect(try await gateway.get("/")?.status == 204)
            #expect(backend.connections.all.count == 2)
            let start = ContinuousClock.now
            _ = try await gateway.get("/")
            #expect(ContinuousClock.now - start < .milliseconds(300))
            await relay.ended.wait(for: 1)
        }
        await relay.stop()
        await backend.stop()
    }

    @Test func aConnectionThatAnswersAPingGoesOn() async throws {
        let count = Recorded<Void>()
        let backend = try await HTTP2Backend { _ in
            count.append(())
            return count.all.count == 1 ? [] : [.head([(":status", "204")], ends: true)]
        }
        let configuration = try http2(backend.port) {
            $0.attemptTimeout = .milliseconds(200)
            $0.connectTimeout = .milliseconds(200)
            $0.retry = nil
        }
        try await withGateway(configuration) { gateway in
            let first = try await gateway.get("/")
            #expect(first?.status == 504)
            try await Task.sleep(for: .milliseconds(400))
            let second = try await gateway.get("/")
            #expect(second?.status == 204)
            #expect(backend.connections.all.count == 1)
            #expect(backend.ended.all.isEmpty)
        }
        await backend.stop()
    }
}

/// Passes bytes on, until it is frozen: then its connections stay open and nothing goes through, as where a host is gone. Those made later are fine.
private final class Relay: Sendable {
    let port: Int
    /// Connections of clients that have ended.
    let ended = Recorded<Void>()
    private let channel: any Channel
    private let pipes: Pipes

    final class Pipes: Sendable {
        let all = Recorded<Pipe>()
    }

    init(to target: Int) async throws {
        let (pipes, ended) = (Pipes(), ended)
        self.pipes = pipes
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { client in
                client.closeFuture.whenComplete { _ in ended.append(()) }
                return ClientBootstrap(group: client.eventLoop).connect(host: "127.0.0.1", port: target).flatMapThrowing
                {
                    server in
                    let (one, two) = (Pipe(to: server), Pipe(to: client))
                    pipes.all.append(one)
                    pipes.all.append(two)
                    try client.pipeline.syncOperations.addHandler(PipeHandler(one))
                    try server.pipeline.syncOperations.addHandler(PipeHandler(two))
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func freeze() { for pipe in pipes.all.all { pipe.isFrozen.append(()) } }

    func stop() async { try? await channel.close() }

    final class Pipe: Sendable {
        let target: any Channel
        let isFrozen = Recorded<Void>()

        init(to target: any Channel) { self.target = target }
    }
}

private final class PipeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let pipe: Relay.Pipe

    init(_ pipe: Relay.Pipe) { self.pipe = pipe }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if pipe.isFrozen.all.isEmpty { pipe.target.writeAndFlush(unwrapInboundIn(data), promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { pipe.target.close(promise: nil) }
}
