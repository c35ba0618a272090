import DovetailCore
import DovetailResilience
import Testing

@testable import DovetailGateway

/// Connections stay on the loop that the kernel gave them to, and it may give nearly all of them to one: what is counted is counted for the process.
@Suite(.timeLimit(.minutes(1)), .serialized) struct SkewTests {
    /// Fifteen connections on one loop of a gateway that has two, and one on the other.
    ///
    /// Which loop a connection is on is seen in the loops' own counts; those that come to be where there are enough already are closed again.
    private struct Skewed {
        static let most = 15
        private(set) var crowded: [RawClient] = []
        private(set) var lone: [RawClient] = []
        var all: [RawClient] { crowded + lone }

        init(_ gateway: RunningGateway) async throws {
            while crowded.count < Skewed.most || lone.isEmpty {
                let client = try await gateway.client()
                let counts = try await Skewed.counts(gateway, sum: crowded.count + lone.count + 1)
                if counts[0] > crowded.count, crowded.count < Skewed.most {
                    crowded.append(client)
                } else if counts[1] > lone.count, lone.isEmpty {
                    lone.append(client)
                } else {
                    await client.close()
                    _ = try await Skewed.counts(gateway, sum: crowded.count + lone.count)
                }
            }
        }

        /// How many connections each loop has, once there are so many.
        private static func counts(_ gateway: RunningGateway, sum: Int) async throws -> [Int] {
            while true {
                let counts = await gateway.gateway.loopMetrics().map(\.openClientConnections)
                if counts.reduce(0, +) == sum { return counts }
                try await Task.sleep(for: .milliseconds(2))
            }
        }

        func close() async { for client in all { await client.close() } }
    }

    private func limited(_ limit: RateLimit, _ backend: Backend) throws -> GatewayConfiguration {
        var route = try route("all", "/**")
        route.rateLimits = [Route.Limit(limit, by: .address)]
        return configuration(backend, routes: [route])
    }

    /// The statuses of what each client gets for as long as `goesOn` says, all of them at once.
    private func statuses(
        of clients: [RawClient], while goesOn: @escaping @Sendable (Int) -> Bool
    ) async throws -> [Int: Int] {
        try await withThrowingTaskGroup(of: [Int: Int].self) { group in
            for client in clients {
                group.addTask {
                    var statuses: [Int: Int] = [:]
                    var count = 0
                    while goesOn(count) {
                        count += 1
                        try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                        statuses[await client.response()?.status ?? 0, default: 0] += 1
                    }
                    return statuses
                }
            }
            return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
        }
    }

    @Test func aLimitAdmitsWhatItSaysWhereverConnectionsAre() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        try await withGateway(try limited(RateLimit(100, per: .seconds(3600)), backend), loops: 2) { gateway in
            let clients = try await Skewed(gateway)
            let statuses = try await statuses(of: clients.all) { $0 < 20 }
            #expect(statuses == [200: 100, 429: 220])
            #expect(backend.requests.all.count == 100)
            let requests = await gateway.gateway.loopMetrics().map { $0.routes["all"]?.requests[1...].reduce(0, +) }
            #expect(requests == [300, 20], "each loop has served its connections")
            await clients.close()
        }
        await backend.stop()
    }

    /// In a second of asking without end, a hundred of a hundred a second, and its burst.
    @Test func aRateIsTheProcessesWhereverConnectionsAre() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        let limit = RateLimit(100, per: .seconds(1), burst: 20)
        try await withGateway(try limited(limit, backend), loops: 2) { gateway in
            let clients = try await Skewed(gateway)
            let start = MonotonicTime.now
            let statuses = try await statuses(of: clients.all) { _ in MonotonicTime.now - start < .seconds(1) }
            let seconds = (MonotonicTime.now - start).inSeconds
            let admitted = Double(statuses[200] ?? 0)
            #expect(admitted <= seconds * 100 + 20 + 1, "\(statuses) in \(seconds) s")
            // While nobody asked for longer than it takes to fill up again, nothing could be admitted.
            let starts = ([start] + gateway.finished.all.map(\.start).sorted()).map { ($0 - start).inSeconds }
            let unused = zip(starts, starts.dropFirst()).reduce(0) { $0 + max(0, $1.1 - $1.0 - 0.2) }
            #expect(admitted >= (1 - unused) * 100 - 20, "\(statuses), \(unused) s without a request")
            #expect(statuses.keys.sorted() == [200, 429])
            await clients.close()
        }
        await backend.stop()
    }

    @Test(arguments: [1, 10]) func aBreakerOpensAtItsThresholdCountedOverAllLoops(ofTheLone: Int) async throws {
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")]
        }
        let configuration = configuration(backend, routes: [try route("all", "/**")]) {
            var policy = CircuitBreakerPolicy()
            policy.minimumNumberOfCalls = 20
            policy.openDuration = .seconds(60)
            $0.circuitBreaker = policy
        }
        try await withGateway(configuration, loops: 2) { gateway in
            let clients = try await Skewed(gateway)
            func status(_ client: RawClient) async throws -> Int? {
                try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                return await client.response()?.status
            }
            // Neither loop has seen enough by itself when the last one fails, on the one that has few.
            for number in 0..<(20 - ofTheLone) {
                #expect(try await status(clients.crowded[number % clients.crowded.count]) == 500)
            }
            for _ in 0..<ofTheLone { #expect(try await status(clients.lone[0]) == 500) }
            #expect(await gateway.gateway.metrics().breakerOpenings["u"] == 1)
            for client in clients.all { #expect(try await status(client) == 503) }
            #expect(backend.requests.all.count == 20)
            await clients.close()
        }
        await backend.stop()
    }
}
