import DovetailCore
import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import DovetailGateway

private struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

@Suite struct BalancingTests {
    private func upstream(_ algorithm: Upstream.LoadBalancing, weights: [Int]) -> Upstream {
        Upstream(
            name: "u",
            servers: weights.enumerated().map { .init(host: "10.0.0.\($0)", port: 80, weight: $1) },
            loadBalancing: algorithm)
    }

    private func counts(
        _ balancer: inout Balancer, _ candidates: [Balancer.Candidate], of total: Int, keys: Bool = false
    ) -> [Int] {
        var random = SeededRandom(state: 7)
        var counts = Array(repeating: 0, count: candidates.count)
        for number in 0..<total {
            let key = keys ? Balancer.hash("key-\(number)".utf8) : 0
            if let index = balancer.choose(candidates, key: key, now: 0, random: &random) { counts[index] += 1 }
        }
        return counts
    }

    private func free(_ count: Int) -> [Balancer.Candidate] {
        Array(repeating: .init(isAvailable: true, active: 0), count: count)
    }

    @Test func inTurnByWeightEvenlySpread() {
        var balancer = Balancer(upstream(.roundRobin, weights: [5, 1, 1]))
        var random = SeededRandom(state: 1)
        let order = (0..<7).compactMap { _ in balancer.choose(free(3), key: 0, now: 0, random: &random) }
        #expect(order.filter { $0 == 0 }.count == 5)
        // The heavy one is not taken five times in a row.
        #expect(order != [0, 0, 0, 0, 0, 1, 2])
        #expect(counts(&balancer, free(3), of: 700) == [500, 100, 100])
        var candidates = free(3)
        candidates[0].isAvailable = false
        #expect(counts(&balancer, candidates, of: 100)[0] == 0)
        for index in candidates.indices { candidates[index].isAvailable = false }
        #expect(counts(&balancer, candidates, of: 10) == [0, 0, 0])
    }

    @Test func ofTwoTheOneWithLessInFlightByItsWeight() {
        var balancer = Balancer(upstream(.leastRequest, weights: [1, 1, 1]))
        let busy: [Balancer.Candidate] = [
            .init(isAvailable: true, active: 9), .init(isAvailable: true, active: 0),
            .init(isAvailable: true, active: 3),
        ]
        let chosen = counts(&balancer, busy, of: 3000)
        // The busiest loses against each other one, the freest wins against each.
        #expect(chosen[0] == 0)
        #expect(chosen[1] > 1800 && chosen[2] > 800)
        var heavy = Balancer(upstream(.leastRequest, weights: [10, 1]))
        let even: [Balancer.Candidate] = [.init(isAvailable: true, active: 4), .init(isAvailable: true, active: 1)]
        #expect(counts(&heavy, even, of: 100) == [100, 0])
    }

    @Test func aServerThatTurnsSlowIsAvoidedAtOnceAndTriedAgainLater() {
        var balancer = Balancer(upstream(.peakLatency, weights: [1, 1]))
        for server in 0...1 { balancer.observe(server, nanoseconds: 1_000_000, now: 0) }
        balancer.observe(0, nanoseconds: 500_000_000, now: 1)
        #expect(counts(&balancer, free(2), of: 100) == [0, 100])
        var random = SeededRandom(state: 3)
        // Two minutes later it is as good as forgotten; the other one has gone on answering.
        balancer.observe(1, nanoseconds: 1_000_000, now: 120_000_000_000)
        let later = (0..<100).compactMap { _ in
            balancer.choose(free(2), key: 0, now: 120_000_000_000, random: &random)
        }
        #expect(later.contains(0))
    }

    @Test func aKeyStaysWhereItIsAndOnlyThoseOfALostServerMove() {
        var balancer = Balancer(upstream(.consistentHash(.path), weights: [1, 1, 2]))
        let spread = counts(&balancer, free(3), of: 8000, keys: true)
        #expect(zip(spread, [2000, 2000, 4000]).allSatisfy { abs($0 - $1) < 250 }, "\(spread)")
        var without = free(3)
        without[1].isAvailable = false
        var random = SeededRandom(state: 1)
        for number in 0..<1000 {
            let key = Balancer.hash("key-\(number)".utf8)
            let before = balancer.choose(free(3), key: key, now: 0, random: &random)
            #expect(before == balancer.choose(free(3), key: key, now: 0, random: &random))
            let after = balancer.choose(without, key: key, now: 0, random: &random)
            if before != 1 { #expect(before == after) } else { #expect(after != 1) }
        }
    }

    // MARK: Health

    private let second: Int64 = 1_000_000_000

    @Test func aServerThatFailsIsLeftOutLongerEachTimeButNeverTheLastOne() {
        let health = ServerHealth(servers: 2, policy: .init(consecutiveFailures: 3, time: .seconds(10)))
        #expect(health.isFine)
        for _ in 0..<2 { health.failed(0, at: 0) }
        #expect(health.available(at: 0) == [true, true])
        health.succeeded(0)
        for _ in 0..<2 { health.failed(0, at: 0) }
        #expect(health.available(at: 0) == [true, true], "in a row, it says")
        health.failed(0, at: 0)
        #expect(health.available(at: second) == [false, true])
        for _ in 0..<9 { health.failed(1, at: second) }
        #expect(health.available(at: second) == [false, true], "the last one stays")
        let figures = health.figures(at: second)
        #expect(figures.available == 1 && figures.unwell == 0 && figures.ejected == 1 && figures.ejections == 1)
        #expect(health.available(at: 11 * second) == [true, true])
        for _ in 0..<3 { health.failed(0, at: 11 * second) }
        #expect(health.available(at: 30 * second) == [false, true], "the second time twice as long")
        #expect(health.available(at: 32 * second) == [true, true])
        for _ in 0..<3 { health.failed(0, at: 400 * second) }
        #expect(health.available(at: 411 * second) == [true, true], "after a good while it begins anew")
    }

    @Test(arguments: [(0.5, 1, 0), (0.5, 2, 1), (0.5, 3, 2), (0.5, 10, 5), (0.1, 10, 1), (0.1, 4, 1), (1, 4, 3)])
    func noMoreThanAShareIsLeftOut(share: Double, servers: Int, ejected: Int) {
        var policy = Upstream.OutlierEjection(consecutiveFailures: 1, time: .seconds(10))
        policy.maximumShare = share
        let health = ServerHealth(servers: servers, policy: policy)
        for server in 0..<servers { health.failed(server, at: 0) }
        #expect(health.figures(at: second).ejected == ejected)
        #expect(health.figures(at: second).available == servers - ejected)
        // Whose time is over makes room for the next one.
        for server in (0..<servers).reversed() { health.failed(server, at: 20 * second) }
        #expect(health.available(at: 21 * second).last == (ejected == 0))
    }

    @Test func probesTellAfterSeveralOfAKind() {
        let health = ServerHealth(servers: 2, policy: nil)
        let check = Upstream.HealthCheck(path: "/", healthyAfter: 2, unhealthyAfter: 3)
        #expect(!health.probed(0, isWell: false, check: check))
        #expect(!health.probed(0, isWell: false, check: check))
        #expect(!health.probed(0, isWell: true, check: check))
        for _ in 0..<2 { #expect(!health.probed(0, isWell: false, check: check)) }
        #expect(health.probed(0, isWell: false, check: check))
        #expect(!health.isFine)
        #expect(health.available(at: 0) == [false, true])
        for _ in 0..<3 { _ = health.probed(1, isWell: false, check: check) }
        #expect(health.available(at: 0) == [true, true], "if none is well, a bad answer is better than none")
        #expect(!health.probed(0, isWell: true, check: check))
        #expect(health.probed(0, isWell: true, check: check))
        #expect(health.available(at: 0) == [true, false])
    }

    @Test(.timeLimit(.minutes(1))) func aGatewayEndsInTheMiddleOfAProbe() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        // Whoever connects waits: nobody accepts, and no more may queue.
        let full = try await ServerBootstrap(group: group).serverChannelOption(.backlog, value: 1)
            .serverChannelOption(.autoRead, value: false).bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(full.localAddress?.port)
        for _ in 0..<3 {
            _ = try? await ClientBootstrap(group: group).connectTimeout(.milliseconds(100))
                .connect(host: "127.0.0.1", port: port).get()
        }
        let upstreams = (0..<16).map { number in
            Upstream(
                name: "u\(number == 0 ? "" : "\(number)")", servers: [.init(host: "127.0.0.1", port: port)],
                healthCheck: .init(path: "/health", interval: .milliseconds(5), timeout: .milliseconds(300)))
        }
        let configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: upstreams)
        for _ in 0..<20 {
            try await withGateway(configuration) { _ in try await Task.sleep(for: .milliseconds(10)) }
        }
        // They end by themselves, and the process lives.
        try await Task.sleep(for: .milliseconds(500))
        try await full.close()
    }

    @Test(.timeLimit(.minutes(1))) func requestsGoToServersThatAreWell() async throws {
        let isWell = Recorded<Bool>()
        let good = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")] }
        let bad = try await Backend { request in
            if request.line.hasPrefix("GET /health") {
                let status = isWell.all.last ?? false ? "200 OK" : "503 Unavailable"
                return [.send("HTTP/1.1 \(status)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), .close]
            }
            return [.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")]
        }
        let upstream = Upstream(
            name: "u",
            servers: [.init(host: "127.0.0.1", port: bad.port), .init(host: "127.0.0.1", port: good.port)],
            healthCheck: .init(
                path: "/health", interval: .milliseconds(20), healthyAfter: 1, unhealthyAfter: 1))
        let configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
        try await withGateway(configuration) { gateway in
            func answers(_ count: Int) async throws -> Set<String> {
                var answers: Set<String> = []
                for _ in 0..<count { answers.insert(try await gateway.get("/x")?.text ?? "") }
                return answers
            }
            while try await answers(4) != ["good"] { try await Task.sleep(for: .milliseconds(10)) }
            isWell.append(true)
            while try await answers(4) != ["good", "bad"] { try await Task.sleep(for: .milliseconds(10)) }
        }
        await good.stop()
        await bad.stop()
    }

    @Test(.timeLimit(.minutes(1))) func aServerThatFailsInARowGetsNoRequestsForAWhile() async throws {
        let good = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")] }
        let bad = try await Backend { _ in [.send("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad")] }
        let upstream = Upstream(
            name: "u",
            servers: [.init(host: "127.0.0.1", port: bad.port), .init(host: "127.0.0.1", port: good.port)],
            outlierEjection: .init(consecutiveFailures: 3, time: .seconds(60)), circuitBreaker: nil, retry: nil)
        let configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
        try await withGateway(configuration) { gateway in
            for _ in 0..<20 { _ = try await gateway.get("/x") }
            #expect(bad.requests.all.count == 3)
            #expect(good.requests.all.count == 17)
        }
        await good.stop()
        await bad.stop()
    }
}
