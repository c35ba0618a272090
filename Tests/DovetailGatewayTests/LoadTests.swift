import DovetailCore
import DovetailResilience
import Foundation
import Synchronization
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

private func everything() throws -> Route {
    Route(id: "all", path: try PathPattern("/**"), authentication: .none, destination: .http("u"))
}

@Suite(.timeLimit(.minutes(1)))
struct LoadTests {
    /// Sends `count` requests at once, each on a connection of its own, waits until `held` of them are at the backend, lets `release` happen, and returns all
    /// answers.
    private func burst(
        _ gateway: RunningGateway, _ count: Int, until held: () async -> Void, then release: () -> Void
    ) async throws -> [ReceivedResponse?] {
        try await withThrowingTaskGroup(of: ReceivedResponse?.self) { group in
            for _ in 0..<count { group.addTask { try await gateway.get("/") } }
            await held()
            release()
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    @Test(arguments: [true, false]) func aLimitOnRequestsInFlightIsExactOverAllLoops(ofRoute: Bool) async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send(ok)]
                }
            ]
        }
        var route = try everything()
        if ofRoute { route.maximumInFlight = .init(maximum: 3) }
        let configuration = configuration(backend, routes: [route]) {
            if !ofRoute { $0.maximumInFlight = .init(maximum: 3) }
        }
        try await withGateway(configuration, loops: 3) { gateway in
            let answers = try await burst(gateway, 20) {
                // Those beyond are answered at once: seventeen are finished while three wait.
                await gateway.finished.wait(for: 17)
                await backend.requests.wait(for: 3)
            } then: {
                gate.open()
            }
            #expect(answers.count { $0?.status == 200 } == 3)
            let refused = answers.compactMap { $0 }.filter { $0.status == 503 }
            #expect(refused.count == 17)
            #expect(refused.allSatisfy { $0.value("retry-after") == "1" && $0.text.contains("overloaded") })
            #expect(try await gateway.get("/")?.status == 200, "places are free again")
            #expect(await gateway.gateway.metrics().rejected[.overloaded] == 17)
            if !ofRoute {
                let metrics = await gateway.gateway.metrics()
                #expect(metrics.inFlight["u"] == 0 && metrics.inFlightLimits["u"] == 3)
            }
        }
        await backend.stop()
    }

    @Test func whoMayWaitGetsItsTurnOrIsRefusedInTime() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send(ok)]
                }
            ]
        }
        let patient = configuration(backend, routes: [try everything()]) {
            $0.maximumInFlight = .init(maximum: 1, maximumWaiting: 4, longestWait: .seconds(30))
        }
        try await withGateway(patient, loops: 2) { gateway in
            let answers = try await burst(gateway, 8) {
                await gateway.finished.wait(for: 3)
            } then: {
                gate.open()
            }
            #expect(answers.count { $0?.status == 200 } == 5, "one and the four that waited")
            #expect(answers.count { $0?.status == 503 } == 3)
        }
        let closed = Gate()
        let slow = try await Backend { _ in
            [
                .after {
                    await closed.wait()
                    return [.send(ok)]
                }
            ]
        }
        let impatient = configuration(slow, routes: [try everything()]) {
            $0.maximumInFlight = .init(maximum: 1, maximumWaiting: 4, longestWait: .milliseconds(50))
        }
        try await withGateway(impatient) { gateway in
            let answers = try await burst(gateway, 3) {
                await gateway.finished.wait(for: 2)
            } then: {
                closed.open()
            }
            #expect(answers.map { $0?.status ?? 0 }.sorted() == [200, 503, 503])
            #expect(try await gateway.get("/")?.status == 200, "who has left the queue takes no place")
        }
        await backend.stop()
        await slow.stop()
    }

    @Test func requestsThatBreakOffGiveTheirPlacesBack() async throws {
        let backend = try await Backend { request in
            request.line.contains("/slow") ? [] : request.line.contains("/lost") ? [.close] : [.send(ok)]
        }
        var route = try everything()
        route.timeout = .milliseconds(100)
        let configuration = configuration(backend, routes: [route]) {
            $0.maximumInFlight = .init(maximum: 2)
            $0.circuitBreaker = nil
        }
        try await withGateway(configuration) { gateway in
            for _ in 1...4 {
                async let one = gateway.get("/slow")
                async let two = gateway.get("/slow")
                let answers = [try await one, try await two]
                #expect(answers.allSatisfy { $0?.status == 504 })
                for _ in 1...3 {
                    let lost = try await gateway.get("/lost")
                    #expect(lost?.status == 502)
                }
                let next = try await gateway.get("/")
                #expect(next?.status == 200)
            }
        }
        await backend.stop()
    }

    @Test func anAdaptiveLimitSinksWhenTheUpstreamIsOverloaded() async throws {
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")]
        }
        for isEnforced in [true, false] {
            let configuration = configuration(backend, routes: [try everything()]) {
                $0.retry = nil
                $0.circuitBreaker = nil
                $0.adaptiveInFlight = .init(
                    .init(initial: 20, minimum: 2, window: .milliseconds(1), minimumSamples: 2), isEnforced: isEnforced)
            }
            try await withGateway(configuration) { gateway in
                for _ in 0..<200 where await gateway.gateway.metrics().inFlightLimits["u"] != 2 {
                    for _ in 0..<5 { _ = try await gateway.get("/") }
                }
                #expect(await gateway.gateway.metrics().inFlightLimits["u"] == 2)
                #expect(await gateway.gateway.metrics().inFlight["u"] == 0)
            }
        }
        await backend.stop()
    }

    // MARK: The gateway's own

    @Test func theGatewayShedsWhatItDoesNotTakeOnButForEssentialRoutes() async throws {
        let gate = Gate()
        let backend = try await Backend { request in
            guard request.line.hasPrefix("GET /slow") else { return [.send(ok)] }
            return [
                .after {
                    await gate.wait()
                    return [.send(ok)]
                }
            ]
        }
        var health = Route(
            id: "health", path: try PathPattern("/health"), authentication: .none, destination: .http("u"))
        health.isEssential = true
        var configuration = configuration(backend, routes: [try everything(), health])
        configuration.load = .init(maximumInFlight: 2)
        try await withGateway(configuration, loops: 2) { gateway in
            async let one = gateway.get("/slow")
            async let two = gateway.get("/slow")
            await backend.requests.wait(for: 2)
            let refused = try await gateway.get("/x")
            #expect(refused?.status == 503)
            #expect(refused?.value("retry-after") == "1")
            #expect(try await gateway.get("/health")?.status == 200)
            gate.open()
            let answers = [try await one, try await two]
            #expect(answers.allSatisfy { $0?.status == 200 })
            #expect(try await gateway.get("/x")?.status == 200)
            #expect(await gateway.gateway.metrics().rejected[.shed] == 1)
        }
        await backend.stop()
    }

    @Test func connectionsBeyondTheLimitAreClosedAndOthersUnaffected() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        var configuration = configuration(backend, routes: [try everything()])
        configuration.load = .init(maximumConnections: 3)
        try await withGateway(configuration, loops: 2) { gateway in
            var clients: [RawClient] = []
            for _ in 0..<3 {
                let client = try await gateway.client()
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response()?.status == 200)
                clients.append(client)
            }
            for _ in 0..<5 {
                guard let client = try? await gateway.client() else { continue }
                try? await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response() == nil)
            }
            #expect(await gateway.gateway.metrics().refusedConnections == 5)
            try await clients[0].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await clients[0].response()?.status == 200)
            await clients[0].close()
            // The place of one that has ended is free in a moment.
            var status: Int?
            while status != 200 { status = try? await gateway.get("/")?.status }
        }
        await backend.stop()
    }

    @Test func aLoopThatIsLateTakesNothingOnUntilItHasCaughtUp() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        var configuration = configuration(backend, routes: [try everything()])
        configuration.load = .init(maximumLoopLag: .milliseconds(50))
        let isBlocking = Atomic<Bool>(true)
        // What is told of requests runs on their loop: here it takes its time.
        let gateway = try Gateway(configuration, eventLoops: 1) { _ in
            if isBlocking.load(ordering: .relaxed) { Thread.sleep(forTimeInterval: 0.4) }
        }
        let task = Task { try await gateway.run() }
        let port = try await gateway.boundPort
        let client = try await RawClient(port: port)
        func status() async throws -> Int? {
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return await client.response()?.status
        }
        var statuses: [Int?] = []
        for _ in 0..<4 { statuses.append(try await status()) }
        #expect(statuses.contains(503), "\(statuses)")
        isBlocking.store(false, ordering: .relaxed)
        while try await status() != 200 { try await Task.sleep(for: .milliseconds(5)) }
        await client.close()
        task.cancel()
        _ = await task.result
        await backend.stop()
    }

    @Test func lagIsRememberedForAMoment() {
        var lag = LoopLag()
        for tick in 0..<100 { lag.ticked(due: Int64(tick), now: Int64(tick)) }
        #expect(lag.nanoseconds == 0)
        lag.ticked(due: 0, now: 1_000_000_000)
        #expect(lag.nanoseconds > 200_000_000)
        for _ in 0..<30 { lag.ticked(due: 0, now: 0) }
        #expect(lag.nanoseconds < 100_000)
    }
}
