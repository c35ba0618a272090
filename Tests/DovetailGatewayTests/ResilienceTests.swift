import DovetailCore
import DovetailResilience
import HTTPTypes
import NIOCore
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

private func everything(timeout: Duration? = .seconds(15)) throws -> Route {
    Route(
        id: "all", path: try PathPattern("/**"), authentication: .none, timeout: timeout, destination: .http("u"),
        maximumBodyBytes: 100_000_000)
}

@Suite(.timeLimit(.minutes(1)))
struct ResilienceTests {
    @Test func answersAtTheDeadlineWhateverTheUpstreamDoes() async throws {
        let backend = try await Backend { _ in [] }
        try await withGateway(configuration(backend, routes: [try everything(timeout: .milliseconds(100))])) {
            gateway in
            let start = ContinuousClock.now
            let response = try await gateway.get("/")
            #expect(response?.status == 504)
            #expect(ContinuousClock.now - start >= .milliseconds(100))
            #expect(await gateway.gateway.metrics().timeouts == 1)
            #expect(try await gateway.get("/")?.status == 504, "the gateway goes on")
        }
        await backend.stop()
    }

    @Test func breaksOffAnAnswerThatOutlivesTheDeadline() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")] }
        try await withGateway(configuration(backend, routes: [try everything(timeout: .seconds(1))])) { gateway in
            let client = try await gateway.client()
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(await client.response() == nil)
        }
        await backend.stop()
    }

    @Test func answersForAServiceThatCannotBeReached() async throws {
        let backend = try await Backend { _ in [] }
        await backend.stop()
        let configuration = configuration(backend, routes: [try everything()]) { $0.retry = nil }
        try await withGateway(configuration) { gateway in
            let response = try await gateway.get("/")
            #expect(response?.status == 502)
            #expect(response?.text.contains("upstream-unreachable") == true)
            #expect(response?.text.contains("\(backend.port)") == false, "nothing of the inside is told")
        }
    }

    @Test func retriesOnAnotherServerWhatWasNeverSent() async throws {
        let dead = try await Backend { _ in [] }
        await dead.stop()
        let alive = try await Backend { _ in [.send(ok)] }
        let configuration = configuration(alive, routes: [try everything()]) {
            $0.servers = [.init(host: "127.0.0.1", port: dead.port), .init(host: "127.0.0.1", port: alive.port)]
            $0.circuitBreaker = nil
        }
        try await withGateway(configuration) { gateway in
            for _ in 0..<8 {
                let response = try await gateway.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                #expect(response?.status == 200)
            }
            #expect(alive.requests.all.count == 8)
            #expect(alive.requests.all.allSatisfy { $0.body == Array("abc".utf8) })
            #expect(await gateway.gateway.metrics().retries["u", default: 0] >= 3)
        }
        await alive.stop()
    }

    /// A server that closes a pooled connection just when a request comes (lesson: the classic random 502).
    @Test func retriesFreelyOnAConnectionThatWentStale() async throws {
        let backend = try await Backend { request in request.numberOnConnection == 1 ? [.send(ok)] : [.close] }
        let configuration = configuration(backend, routes: [try everything()]) {
            $0.retry = UpstreamRetry(policy: .init(maximumAttempts: 1))
        }
        try await withGateway(configuration) { gateway in
            for _ in 0..<4 {
                let response = try await gateway.get("/")
                #expect(response?.status == 200)
            }
            let put = try await gateway.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            #expect(put?.status == 200)
            #expect(backend.requests.all.last?.body == Array("abc".utf8), "the body was kept and sent again")
        }
        await backend.stop()
    }

    @Test func neverSendsAPostTwice() async throws {
        let backend = try await Backend { request in request.line.hasPrefix("GET") ? [.send(ok)] : [.close] }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            #expect(try await gateway.get("/")?.status == 200)
            let response = try await gateway.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            #expect(response?.status == 502)
            #expect(backend.requests.all.filter { $0.line.hasPrefix("POST") }.count == 1)
        }
        await backend.stop()
    }

    @Test func retriesIdempotentRequestsOnAStatusThatMayPass() async throws {
        let count = Recorded<Void>()
        let backend = try await Backend { _ in
            count.append(())
            return count.all.count % 3 == 0
                ? [.send(ok)] : [.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno")]
        }
        let configuration = configuration(backend, routes: [try everything()]) { $0.circuitBreaker = nil }
        try await withGateway(configuration) { gateway in
            #expect(try await gateway.get("/")?.status == 200)
            #expect(backend.requests.all.count == 3)
            let post = try await gateway.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            #expect(post?.status == 503)
            #expect(post?.text == "no", "the upstream's own answer is passed on")
            await gateway.finished.wait(for: 2)
            #expect(gateway.finished.all.map(\.attempts) == [3, 1])
        }
        await backend.stop()
    }

    /// On a route without a timeout nothing else would end the wait.
    @Test func aServerThatAsksForMuchPatienceIsNotAskedAgain() async throws {
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 86400\r\nContent-Length: 2\r\n\r\nno")]
        }
        try await withGateway(configuration(backend, routes: [try everything(timeout: nil)])) { gateway in
            let response = try await gateway.get("/")
            #expect(response?.status == 503)
            #expect(response?.value("retry-after") == "86400", "the client is told what the server says")
            #expect(backend.requests.all.count == 1)
        }
        await backend.stop()
    }

    @Test func opensTheBreakerAndSaysWhenToComeBack() async throws {
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")]
        }
        let configuration = configuration(backend, routes: [try everything()]) {
            var policy = CircuitBreakerPolicy()
            policy.minimumNumberOfCalls = 5
            policy.openDuration = .seconds(60)
            $0.circuitBreaker = policy
        }
        // Two loops: the breaker counts for the process.
        try await withGateway(configuration, loops: 2) { gateway in
            for _ in 0..<5 {
                let response = try await gateway.get("/")
                #expect(response?.status == 500)
            }
            let refused = try await gateway.get("/")
            #expect(refused?.status == 503)
            #expect(refused?.text.contains("circuit-open") == true)
            #expect((refused?.value("retry-after").flatMap(Int.init) ?? 0) > 30)
            #expect(backend.requests.all.count == 5)
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.breakerOpenings["u"] == 1)
            #expect(metrics.rejected[.circuitOpen] == 1)
        }
        await backend.stop()
    }

    @Test func showsTheClientAnAnswerThatBrokeOff() async throws {
        let backend = try await Backend { request in
            request.line.contains("chunked")
                ? [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), .close]
                : [.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), .close]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            for path in ["/chunked", "/length"] {
                let client = try await gateway.client()
                try await client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                let text = String(decoding: await client.readToEnd(), as: UTF8.self)
                #expect(text.contains("abc"))
                #expect(!text.hasSuffix("0\r\n\r\n"))
            }
            await gateway.finished.wait(for: 2)
            #expect(gateway.finished.all.allSatisfy { $0.brokeOff })
        }
        await backend.stop()
    }

    /// The head of an answer whose body breaks off at once was not written yet: it must not come before another's.
    @Test func nothingIsLeftOfAnAnswerThatBreaksOffAtOnce() async throws {
        let backend = try await Backend { request in
            [
                .send(
                    request.line.contains("/bad")
                        ? "HTTP/1.1 200 OK\r\nX-Bad: 1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n" : ok)
            ]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            #expect(try await gateway.get("/bad") == nil)
            #expect(try await gateway.get("/none/../x")?.value("x-bad") == nil)
            #expect(try await gateway.get("/bad") == nil)
            let answer = try await gateway.get("/good")
            #expect(answer?.text == "ok" && answer?.value("x-bad") == nil)
            #expect(backend.requests.all.map(\.line).last == "GET /good HTTP/1.1")
        }
        await backend.stop()
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab", "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
    ])
    func passesNoInvalidAnswerOn(text: String) async throws {
        let backend = try await Backend { _ in [.send(text)] }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let response = try await gateway.get("/")
            #expect(response?.status == 502)
            #expect(response?.text.contains("invalid-answer") == true)
        }
        await backend.stop()
    }

    @Test func usesNoConnectionWithBytesNobodyAskedFor() async throws {
        let backend = try await Backend { _ in [.send(ok + ok)] }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            for _ in 0..<3 {
                let response = try await gateway.get("/")
                #expect(response?.text == "ok")
            }
            #expect(backend.requests.all.allSatisfy { $0.numberOnConnection == 1 })
        }
        await backend.stop()
    }

    @Test func letsRequestsWaitForAConnection() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send(ok)]
                }
            ]
        }
        let configuration = configuration(backend, routes: [try everything()]) {
            $0.poolSize = 2
            $0.maximumWaiting = 4
        }
        try await withGateway(configuration) { gateway in
            try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<8 { group.addTask { try await gateway.get("/")?.status } }
                await backend.requests.wait(for: 2)
                // Two are served, four wait, two are too many; those are answered at once.
                #expect(try await group.next() == 503)
                #expect(try await group.next() == 503)
                gate.open()
                for try await status in group { #expect(status == 200) }
            }
            #expect(backend.requests.all.count == 6)
        }
        await backend.stop()
    }

    /// Memory stays bounded: what a slow client does not take is not read from the upstream.
    @Test func holdsTheUpstreamBackForASlowClient() async throws {
        let size = 64_000_000
        let backend = try await Backend { _ in
            let chunk = [UInt8](repeating: 65, count: 1_000_000)
            return [.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")]
                + (0..<64).map { _ in .sendBytes(chunk) }
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await RawClient(port: gateway.port, reads: false, receiveBuffer: 65_536)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await backend.requests.wait(for: 1)
            // The metrics are asked on the loop: each answer shows that it is not stuck, and lets it take a turn.
            for _ in 0..<200 { _ = await gateway.gateway.metrics() }
            // What the kernel's buffers on both ways hold, and little more, has left the backend.
            #expect(backend.sent.all.reduce(0, +) <= 32_000_000)
            try await client.startReading()
            let response = await client.response()
            #expect(response?.body.count == size)
            await client.close()
        }
        await backend.stop()
    }

    @Test func holdsTheClientBackForASlowUpstream() async throws {
        let gate = Gate()
        let backend = try await Backend(wantsBody: false, receiveBuffer: 65_536) { _ in
            [
                .after {
                    await gate.wait()
                    return [.send(ok), .close]
                }
            ]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let client = try await gateway.client()
            try await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
            try await client.send([UInt8](repeating: 65, count: 50_000_000))
            await backend.requests.wait(for: 1)
            gate.open()
            #expect(await client.response()?.text == "ok")
            await client.close()
        }
        await backend.stop()
    }

    @Test func drainsWithoutCuttingARequestOff() async throws {
        let gate = Gate()
        let backend = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send(ok)]
                }
            ]
        }
        try await withGateway(configuration(backend, routes: [try everything()])) { gateway in
            let busy = try await gateway.client()
            let idle = try await gateway.client()
            try await busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await backend.requests.wait(for: 1)
            await gateway.group.triggerGracefulShutdown()
            #expect(await idle.readToEnd().isEmpty, "an idle connection is closed")
            gate.open()
            let response = await busy.response()
            #expect(response?.text == "ok")
            #expect(response?.value("connection") == "close")
            #expect(await busy.readToEnd().isEmpty)
        }
        await backend.stop()
    }

    @Test func changesUnderLoadWithoutAFailedRequest() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let first = configuration(backend, routes: [try everything()])
        try await withGateway(first, loops: 2) { gateway in
            let listen = GatewayConfiguration.Listen(port: 0)
            let done = Recorded<Void>()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let client = try await gateway.client()
                        var failed = 0
                        var count = 0
                        while count < 50 || done.all.isEmpty {
                            count += 1
                            try await client.send("GET /\(count) HTTP/1.1\r\nHost: a\r\n\r\n")
                            if await client.response()?.status != 200 { failed += 1 }
                        }
                        await client.close()
                        return failed
                    }
                }
                for round in 0..<30 {
                    var next = first
                    next.listen = listen
                    next.routes = [try everything(), try route("extra-\(round)", "/extra/\(round)")]
                    next.upstreams[0].poolSize = 100 + round % 3
                    try await gateway.gateway.apply(next)
                }
                done.append(())
                for try await failed in group { #expect(failed == 0) }
            }
            await #expect(throws: GatewayConfigurationError.self) {
                var bad = first
                bad.routes.append(try everything())
                try await gateway.gateway.apply(bad)
            }
            #expect(try await gateway.get("/")?.status == 200, "a bad change leaves the running configuration")
        }
        await backend.stop()
    }

    @Test func saysWhichAddressIsTaken() async throws {
        let backend = try await Backend { _ in [] }
        var taken = configuration(backend, routes: [])
        taken.listen.port = backend.port
        let gateway = try Gateway(taken, eventLoops: 1)
        do {
            try await gateway.run()
            Issue.record("the port is in use")
        } catch let error as GatewayListenError {
            #expect(error.description.contains("127.0.0.1:\(backend.port)"))
            #expect(error.description.contains("in use"))
        }
        await backend.stop()
    }
}

@Suite(.timeLimit(.minutes(2))) struct ReloadTests {
    /// Routes, upstreams and limits change a hundred times while clients go on asking: nobody notices.
    @Test func noRequestFailsWhileTheConfigurationChanges() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        func variant(_ number: Int) throws -> GatewayConfiguration {
            var routes = [try route("all", "/**")]
            for extra in 0..<(number % 7) { routes.append(try route("extra-\(extra)", "/extra-\(extra)/{id}")) }
            routes[0].rateLimits =
                number % 3 == 0 ? [.init(.init(1_000_000, per: .seconds(1)), by: .address)] : []
            routes[0].responseHeaders = number % 2 == 0 ? HeaderEdits(set: ["X-Variant": "\(number)"]) : nil
            return configuration(backend, routes: routes) { upstream in upstream.poolSize = 64 + number % 5 }
        }
        var start = try variant(0)
        start.listen = .init(port: 0)
        try await withGateway(start, loops: 2) { gateway in
            let isOver = Recorded<Void>()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let client = try await gateway.client()
                        var count = 0
                        while isOver.all.isEmpty {
                            try await client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                            let response = await client.response()
                            #expect(response?.status == 200)
                            if response?.status != 200 { break }
                            count += 1
                        }
                        await client.close()
                        return count
                    }
                }
                for number in 1...100 {
                    try await gateway.gateway.apply(try variant(number))
                    try await Task.sleep(for: .milliseconds(3))
                }
                isOver.append(())
                var total = 0
                for try await count in group { total += count }
                #expect(total > 100)
            }
        }
        await backend.stop()
    }
}
