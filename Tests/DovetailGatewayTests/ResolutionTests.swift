import DovetailCore
import Foundation
import Logging
import NIOConcurrencyHelpers
import Testing

@testable import DovetailGateway

private struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

@Suite struct SlowStartTests {
    private let second: Int64 = 1_000_000_000

    @Test func aShareGrowsEvenlyToTheWhole() {
        func warmth(_ seconds: Int64) -> Int { SlowStart.warmth(since: 0, now: seconds * second, over: 30 * second) }
        #expect([0, 3, 15, 27, 30, 300].map(warmth) == [50, 100, 500, 900, 1000, 1000])
        #expect(SlowStart.warmth(since: 10, now: 5, over: 100) == 50, "a clock that was read before")
        #expect(SlowStart.warmth(since: .min, now: 0, over: 100) == 1000)
    }

    @Test(arguments: [
        Upstream.LoadBalancing.roundRobin, .leastRequest, .peakLatency, .consistentHash(.path),
    ]) func oneThatWarmsUpGetsItsPart(_ algorithm: Upstream.LoadBalancing) {
        let upstream = Upstream(
            name: "u", servers: (0..<3).map { .init(host: "10.0.0.\($0)", port: 80) }, loadBalancing: algorithm)
        var balancer = Balancer(upstream)
        var random = SeededRandom(state: 11)
        func share(_ warmths: [Int]) -> [Double] {
            var counts = [0, 0, 0]
            for number in 0..<9000 {
                let candidates = warmths.map { Balancer.Candidate(isAvailable: true, active: 0, warmth: $0) }
                let key = Balancer.hash("key-\(number)".utf8)
                if let index = balancer.choose(candidates, key: key, now: 0, random: &random) { counts[index] += 1 }
            }
            return counts.map { Double($0) / 3000 }
        }
        let quarter = share([1000, 1000, 250])
        #expect((0.15...0.42).contains(quarter[2]), "\(quarter)")
        let all = share([300, 300, 300])
        #expect(all.allSatisfy { (0.85...1.15).contains($0) }, "where all are new none is spared: \(all)")
        var alone = [Balancer.Candidate](repeating: .init(isAvailable: false, active: 0), count: 3)
        alone[2] = .init(isAvailable: true, active: 0, warmth: 50)
        for _ in 0..<100 {
            let chosen = balancer.choose(alone, key: 5, now: 0, random: &random)
            #expect(chosen == 2)
        }
    }

    @Test func aKeyComesToANewServerOnce() {
        let upstream = Upstream(
            name: "u", servers: (0..<3).map { .init(host: "10.0.0.\($0)", port: 80) },
            loadBalancing: .consistentHash(.path))
        var balancer = Balancer(upstream)
        var random = SeededRandom(state: 11)
        for number in 0..<500 {
            let key = Balancer.hash("key-\(number)".utf8)
            let chosen = stride(from: 50, through: 1000, by: 50).map { warmth in
                balancer.choose(
                    [1000, 1000, warmth].map { .init(isAvailable: true, active: 0, warmth: $0) }, key: key, now: 0,
                    random: &random)
            }
            let firstNew = chosen.firstIndex(of: 2) ?? chosen.count
            #expect(chosen[firstNew...].allSatisfy { $0 == 2 } && Set(chosen[..<firstNew]).count <= 1, "\(chosen)")
        }
    }

    @Test func serversWarmUpAfterProbesAndEjectionsAndWhenTheyAreNew() {
        let health = ServerHealth(
            servers: 2, policy: .init(consecutiveFailures: 1, time: .seconds(10)), slowStart: .seconds(20))
        #expect(health.standings(at: 0).map(\.warmth) == [1000, 1000], "those of the beginning are not new")
        health.failed(0, at: 0)
        #expect(health.standings(at: 5 * second)[0].isAvailable == false)
        #expect(health.standings(at: 20 * second).map(\.warmth) == [500, 1000])
        #expect(!health.isFine)
        #expect(health.standings(at: 30 * second).map(\.warmth) == [1000, 1000])
        let check = Upstream.HealthCheck(path: "/", healthyAfter: 1, unhealthyAfter: 1)
        _ = health.probed(1, isWell: false, check: check, at: 40 * second)
        _ = health.probed(1, isWell: true, check: check, at: 50 * second)
        #expect(health.standings(at: 55 * second).map(\.warmth) == [1000, 250])
        let next = ServerHealth(
            continuing: health, places: [1, nil], policy: nil, slowStart: .seconds(20), at: 60 * second)
        #expect(next.standings(at: 61 * second).map(\.warmth) == [550, 50])
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ResolutionTests {
    @Test func eachAddressOfANameIsAServerAndAFailureChangesNothing() {
        var servers = ResolvedServers()
        func learn(_ addresses: [String]) -> Bool { servers.learn(addresses, of: "api.test") }
        var upstream = Upstream(
            name: "u",
            servers: [.init(host: "api.test", port: 80, weight: 3), .init(host: "10.0.0.9", port: 81)])
        #expect(servers.applied(to: upstream).servers == upstream.servers)
        upstream.resolveInterval = .seconds(30)
        #expect(ResolvedServers.names(of: upstream) == ["api.test"])
        #expect(servers.applied(to: upstream).servers == upstream.servers, "until it is known, it is as it stands")
        #expect(learn(["10.0.0.2", "10.0.0.1", "10.0.0.2", "::5"]))
        let resolved = servers.applied(to: upstream).servers
        #expect(resolved.map(\.host) == ["10.0.0.1", "10.0.0.2", "10.0.0.9"])
        #expect(resolved.map(\.weight) == [3, 3, 1])
        #expect(resolved.map(\.authority) == ["api.test:80", "api.test:80", "10.0.0.9:81"])
        #expect(!learn(["10.0.0.1", "10.0.0.2"]), "the same in another order")
        #expect(!learn([]))
        #expect(servers.applied(to: upstream).servers == resolved)
        #expect(learn(["::5"]))
        servers.keepOnly([])
        #expect(servers.applied(to: upstream).servers == upstream.servers)
    }

    private struct Unknown: Error {}

    @Test func namesAreResolvedAnewWhileRequestsGoOn() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        let answers = NIOLockedValueBox<Result<[String], Unknown>>(.success(["127.0.0.1"]))
        let lookups = Recorded<String>()
        var upstream = Upstream(
            name: "u", servers: [.init(host: "orders.test", port: backend.port)], retry: nil)
        upstream.resolveInterval = .milliseconds(20)
        upstream.maximumInFlight = .init(maximum: 100)
        let configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let gateway = try Gateway(
            configuration, eventLoops: 2, logger: logger,
            resolve: { name in
                lookups.append(name)
                return try answers.withLockedValue { $0 }.get()
            })
        let task = Task { try await gateway.run() }
        let port = try await gateway.boundPort
        func status(_ fields: String = "Host: a\r\n", version: String = "1.1") async throws -> Int? {
            let client = try await RawClient(port: port)
            try await client.send("GET / HTTP/\(version)\r\n\(fields)\r\n")
            let status = await client.response()?.status
            await client.close()
            return status
        }
        while try await status() != 200 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(Set(lookups.all) == ["orders.test"])
        _ = try await status("", version: "1.0")
        #expect(backend.requests.all.last?.value("host") == "orders.test:\(backend.port)", "its name goes along")

        // It cannot be resolved for a while: nothing changes.
        answers.withLockedValue { $0 = .failure(Unknown()) }
        await lookups.wait(for: lookups.all.count + 3)
        for _ in 0..<5 { #expect(try await status() == 200) }
        answers.withLockedValue { $0 = .success([]) }
        await lookups.wait(for: lookups.all.count + 3)
        for _ in 0..<5 { #expect(try await status() == 200) }

        // It moves to where nobody listens, and back.
        answers.withLockedValue { $0 = .success(["127.0.0.2"]) }
        let nobody = try await Backend { _ in [] }
        await nobody.stop()
        await lookups.wait(for: lookups.all.count + 2)
        while try await status() == 200 { try await Task.sleep(for: .milliseconds(5)) }
        answers.withLockedValue { $0 = .success(["127.0.0.1"]) }
        while try await status() != 200 { try await Task.sleep(for: .milliseconds(5)) }

        // A configuration without the name ends the lookups.
        upstream.servers = [.init(host: "127.0.0.1", port: backend.port)]
        try await gateway.apply(
            GatewayConfiguration(listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream]))
        let count = lookups.all.count
        for _ in 0..<10 { #expect(try await status() == 200) }
        try await Task.sleep(for: .milliseconds(100))
        #expect(lookups.all.count <= count + 1)
        task.cancel()
        _ = await task.result
        await backend.stop()
    }

    @Test func theSystemKnowsThisMachine() async throws {
        let addresses = try await NameResolution.system("localhost")
        #expect(addresses.contains("127.0.0.1") || addresses.contains("::1"))
        await #expect(throws: (any Error).self) { try await NameResolution.system("no-such-name.invalid") }
    }
}
