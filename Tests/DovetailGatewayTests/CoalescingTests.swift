import DovetailCore
import Testing

@testable import DovetailGateway

private let kept = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ngood"

/// Many who ask for the same, and what becomes of them when the one that asks for all brings nothing.
@Suite(.timeLimit(.minutes(1))) struct CoalescingTests {
    /// Does to the request of each number what `act` says.
    private func backend(_ act: @escaping @Sendable (Int) -> [BackendAction]) async throws -> Backend {
        let count = Recorded<Void>()
        return try await Backend { _ in
            count.append(())
            return act(count.all.count)
        }
    }

    private func configuration(_ backend: Backend) throws -> GatewayConfiguration {
        var route = try route("all", "/**")
        route.cache = CachePolicy()
        return DovetailGatewayTests.configuration(backend, routes: [route]) {
            $0.retry = nil
            $0.circuitBreaker = nil
            $0.outlierEjection = nil
        }
    }

    /// Lets `count` clients ask, one after the other.
    private func ask(_ count: Int, _ gateway: RunningGateway) async throws -> [RawClient] {
        var clients: [RawClient] = []
        for _ in 0..<count {
            let client = try await gateway.client()
            try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            clients.append(client)
        }
        // They wait once their bytes have been read.
        try await Task.sleep(for: .milliseconds(200))
        return clients
    }

    @Test func whereTheOneThatAsksLeavesTheNextOneAsksForAll() async throws {
        let gate = Gate()
        let backend = try await backend { number in
            number == 1
                ? []
                : [
                    .after {
                        await gate.wait()
                        return [.send(kept)]
                    }
                ]
        }
        try await withGateway(try configuration(backend), loops: 2) { gateway in
            let leader = try await ask(1, gateway)[0]
            await backend.requests.wait(for: 1)
            let others = try await ask(20, gateway)
            await leader.close()
            await backend.requests.wait(for: 2)
            try await Task.sleep(for: .milliseconds(200))
            gate.open()
            for client in others { #expect(await client.response()?.text == "good") }
            #expect(backend.requests.all.count == 2)
            for client in others { await client.close() }
        }
        await backend.stop()
    }

    @Test(arguments: ["HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown", ""])
    func whereItsRequestFailsTheNextOneAsksForAll(answer: String) async throws {
        let gate = Gate()
        let backend = try await backend { number in
            guard number == 1 else { return [.send(kept)] }
            return [
                .after {
                    await gate.wait()
                    return answer.isEmpty ? [.close] : [.send(answer)]
                }
            ]
        }
        try await withGateway(try configuration(backend), loops: 2) { gateway in
            let leader = try await ask(1, gateway)[0]
            await backend.requests.wait(for: 1)
            let others = try await ask(20, gateway)
            gate.open()
            #expect(await leader.response()?.status == (answer.isEmpty ? 502 : 503))
            for client in others { #expect(await client.response()?.text == "good") }
            #expect(backend.requests.all.count == 2)
            for client in others + [leader] { await client.close() }
        }
        await backend.stop()
    }

    @Test func whoHasLeftIsPassedOver() async throws {
        let backend = try await backend { number in number == 1 ? [] : [.send(kept)] }
        try await withGateway(try configuration(backend)) { gateway in
            let leader = try await ask(1, gateway)[0]
            await backend.requests.wait(for: 1)
            let leaving = try await ask(3, gateway)
            let staying = try await ask(2, gateway)
            for client in leaving { await client.close() }
            await gateway.finished.wait(for: 3)
            await leader.close()
            for client in staying { #expect(await client.response()?.text == "good") }
            #expect(backend.requests.all.count == 2)
            // Whoever asks later is served from what is kept, and nothing is left of the wait.
            #expect(try await ask(1, gateway)[0].response()?.value("cache-status")?.contains("hit") == true)
            for client in staying { await client.close() }
        }
        await backend.stop()
    }

    @Test func whereTheUpstreamGoesOnFailingNobodyIsHeldBackForLong() async throws {
        let gate = Gate()
        let backend = try await backend { _ in
            [
                .after {
                    await gate.wait()
                    try? await Task.sleep(for: .milliseconds(100))
                    return [.send("HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown")]
                }
            ]
        }
        try await withGateway(try configuration(backend), loops: 2) { gateway in
            let clients = try await ask(20, gateway)
            #expect(backend.requests.all.count == 1)
            let start = ContinuousClock.now
            gate.open()
            for client in clients { #expect(await client.response()?.text == "down") }
            #expect(backend.requests.all.count == 20)
            #expect(ContinuousClock.now - start < .milliseconds(1900), "twenty times 100 ms one after the other")
            for client in clients { await client.close() }
        }
        await backend.stop()
    }
}
