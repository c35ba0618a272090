import DovetailCore
import DovetailResilience
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

@Suite(.timeLimit(.minutes(1)))
struct MirrorTests {
    private func configuration(
        _ backend: Backend, _ mirror: Backend, _ change: (inout MirrorPolicy) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var policy = MirrorPolicy(to: "next", maximumBodyBytes: 100)
        change(&policy)
        var route = Route(
            id: "all", path: try PathPattern("/api/**"), authentication: .none, timeout: .seconds(10),
            rewrite: .stripPrefix("/api"), destination: .http("u"))
        route.mirror = policy
        route.requestHeaders = HeaderEdits(set: ["x-edge": "a"])
        return GatewayConfiguration(
            listen: .init(port: 0), routes: [route],
            upstreams: [
                Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: backend.port)]),
                Upstream(name: "next", servers: [.init(host: "127.0.0.1", port: mirror.port)]),
            ])
    }

    @Test func copiesWhatIsIdempotentWithItsBodyAndThrowsTheAnswersAway() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let next = try await Backend { _ in
            [.send("HTTP/1.1 500 Broken\r\nContent-Length: 5\r\nX-Next: 1\r\n\r\nother")]
        }
        try await withGateway(try configuration(backend, next)) { gateway in
            let get = try await gateway.get("/api/a?b=c", fields: ["X-Own: 1"])
            #expect(get?.status == 200 && get?.text == "ok" && get?.value("x-next") == nil)
            let put = try await gateway.send(
                "PUT /api/b HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            )
            #expect(put?.status == 200)
            let length = try await gateway.send(
                "PUT /api/c HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 3\r\n\r\nxyz")
            #expect(length?.status == 200)
            await next.requests.wait(for: 3)
            let post = try await gateway.send("POST /api/d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            #expect(post?.status == 200)
            await gateway.finished.wait(for: 4)
            let copies = next.requests.all
            #expect(copies.map(\.line).sorted() == ["GET /a?b=c HTTP/1.1", "PUT /b HTTP/1.1", "PUT /c HTTP/1.1"])
            let originals = backend.requests.all
            for copy in copies {
                let original = try #require(originals.first { $0.line == copy.line })
                #expect(copy.body == original.body)
                for name in ["host", "x-edge", "x-own", "x-correlation-id", "x-forwarded-for"] {
                    #expect(copy.value(name) == original.value(name), "\(name)")
                }
                #expect(
                    copy.value("traceparent")?.dropFirst(3).prefix(32)
                        == original.value("traceparent")?.dropFirst(3).prefix(32))
            }
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.mirrored["next"] == 3)
            #expect(metrics.routes["all"]?.requests.reduce(0, +) == 4, "copies are no requests of the route")
            #expect(gateway.finished.all.count == 4)
        }
        await backend.stop()
        await next.stop()
    }

    @Test func aMirrorThatHangsOrIsAwayNeitherSlowsNorFailsTheOriginal() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let hanging = try await Backend { _ in [] }
        let hung = try configuration(backend, hanging) { $0.maximumInFlight = 2 }
        try await withGateway(hung) { gateway in
            let client = try await gateway.client()
            for _ in 0..<10 {
                try await client.send("GET /api/a HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response()?.status == 200)
            }
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.mirrored["next"] == 2)
            #expect(metrics.unmirrored["next"] == 8)
            await client.close()
        }
        await hanging.stop()
        try await withGateway(try configuration(backend, hanging)) { gateway in
            for _ in 0..<10 {
                let response = try await gateway.get("/api/a")
                #expect(response?.status == 200)
            }
            #expect(await gateway.gateway.metrics().rejected.isEmpty)
        }
        await backend.stop()
    }

    @Test func bodiesBeyondTheBoundAreNotCopiedAndCounted() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let next = try await Backend { _ in [.send(ok)] }
        try await withGateway(try configuration(backend, next)) { gateway in
            let large = String(repeating: "x", count: 101)
            let declared = try await gateway.send(
                "PUT /api/b HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n\(large)")
            #expect(declared?.status == 200)
            let chunked = try await gateway.send(
                "PUT /api/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n\(large)\r\n0\r\n\r\n")
            #expect(chunked?.status == 200)
            #expect(backend.requests.all.map(\.body.count) == [101, 101])
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.unmirrored["next"] == 2 && metrics.mirrored["next"] == nil)
            #expect(next.requests.all.isEmpty)
        }
        await backend.stop()
        await next.stop()
    }

    @Test func copiesAShareAndAllMethodsWhereTheRouteSaysSo() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let next = try await Backend { _ in [.send(ok)] }
        try await withGateway(try configuration(backend, next) { $0.share = 0.25 }) { gateway in
            let client = try await gateway.client()
            for _ in 0..<400 {
                try await client.send("GET /api/a HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = await client.response()
            }
            await client.close()
            let mirrored = await gateway.gateway.metrics().mirrored["next", default: 0]
            #expect((50...150).contains(mirrored), "\(mirrored)")
        }
        try await withGateway(try configuration(backend, next) { $0.allMethods = true }) { gateway in
            let before = next.requests.all.count { $0.line.hasPrefix("POST") }
            _ = try await gateway.send("POST /api/d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            while next.requests.all.count(where: { $0.line.hasPrefix("POST") }) == before {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        await backend.stop()
        await next.stop()
    }
}

@Suite(.timeLimit(.minutes(1)))
struct HedgeTests {
    private func configuration(
        _ backends: [Backend], _ change: (inout Upstream) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var upstream = Upstream(
            name: "u", servers: backends.map { .init(host: "127.0.0.1", port: $0.port) }, circuitBreaker: nil)
        upstream.hedge = HedgePolicy(after: .milliseconds(30))
        change(&upstream)
        return GatewayConfiguration(
            listen: .init(port: 0),
            routes: [
                Route(id: "all", path: try PathPattern("/**"), authentication: .none, destination: .http("u"))
            ], upstreams: [upstream])
    }

    private func fast() async throws -> Backend {
        try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast")] }
    }

    @Test func aSlowServerIsOvertakenByAnother() async throws {
        let slow = try await Backend { _ in [] }
        let fast = try await fast()
        try await withGateway(try configuration([slow, fast])) { gateway in
            // In turn: half of them begin with the slow one.
            for _ in 0..<8 {
                let response = try await gateway.get("/x")
                #expect(response?.status == 200 && response?.text == "fast")
            }
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.hedges["u"] == 4)
            #expect(metrics.hedgesWon["u"] == 4)
            #expect(slow.requests.all.count == 4)
            #expect(metrics.routes["all"]?.requests[1] == 8, "each is one request")
            await gateway.finished.wait(for: 8)
            #expect(gateway.finished.all.map(\.attempts).sorted() == [1, 1, 1, 1, 2, 2, 2, 2])
        }
        await slow.stop()
        await fast.stop()
    }

    @Test func theFirstServersAnswerCountsWhereItIsFirst() async throws {
        let gate = Gate()
        let late = try await Backend { _ in
            [
                .after {
                    await gate.wait()
                    return [.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")]
                }
            ]
        }
        let silent = try await Backend { _ in
            gate.open()
            return []
        }
        try await withGateway(try configuration([late, silent])) { gateway in
            let response = try await gateway.get("/x")
            #expect(response?.text == "late")
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.hedges["u"] == 1 && metrics.hedgesWon["u"] == nil)
        }
        await late.stop()
        await silent.stop()
    }

    @Test func whatIsNoReadOrHasABodyIsNeverHedged() async throws {
        let slow = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(120))
                    return [.send(ok)]
                }
            ]
        }
        let other = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(120))
                    return [.send(ok)]
                }
            ]
        }
        try await withGateway(try configuration([slow, other])) { gateway in
            for method in ["POST", "PUT", "DELETE"] {
                _ = try await gateway.send("\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            }
            _ = try await gateway.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            #expect(await gateway.gateway.metrics().hedges.isEmpty)
            #expect(slow.requests.all.count + other.requests.all.count == 4)
        }
        await slow.stop()
        await other.stop()
    }

    @Test func hedgesComeOutOfTheBudgetOfRetries() async throws {
        let slow = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(100))
                    return [.send(ok)]
                }
            ]
        }
        let twin = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(100))
                    return [.send(ok)]
                }
            ]
        }
        let configuration = try configuration([slow, twin]) {
            $0.retry = UpstreamRetry(budget: .init(ratio: 0, minimumPerSecond: 0))
        }
        try await withGateway(configuration) { gateway in
            for _ in 0..<3 {
                let response = try await gateway.get("/")
                #expect(response?.status == 200)
            }
            let metrics = await gateway.gateway.metrics()
            #expect(metrics.hedges.isEmpty)
            #expect(metrics.hedgesRefused["u"] == 3)
        }
        await slow.stop()
        await twin.stop()
    }

    @Test func oneOfTheTwoMayFailAndNobodyNotices() async throws {
        let failing = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(80))
                    return [.close]
                }
            ]
        }
        let answering = try await Backend { _ in
            [
                .after {
                    try? await Task.sleep(for: .milliseconds(160))
                    return [.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")]
                }
            ]
        }
        let configuration = try configuration([failing, answering]) {
            $0.outlierEjection = nil
            $0.retry = UpstreamRetry(policy: .init(maximumAttempts: 1))
        }
        try await withGateway(configuration) { gateway in
            for _ in 0..<4 {
                let response = try await gateway.get("/x")
                #expect(response?.status == 200 && response?.text == "good")
            }
            #expect(await gateway.gateway.metrics().hedges["u"] == 4)
        }
        await failing.stop()
        await answering.stop()
    }

    @Test func overHTTP2TheOvertakenStreamIsReset() async throws {
        let slow = try await HTTP2Backend { _ in [] }
        let fast = try await HTTP2Backend { _ in [.head([(":status", "200")]), .body("fast", ends: true)] }
        var upstream = Upstream(
            name: "u",
            servers: [.init(host: "127.0.0.1", port: slow.port), .init(host: "127.0.0.1", port: fast.port)])
        upstream.protocol = .http2
        upstream.hedge = HedgePolicy(after: .milliseconds(30))
        let configuration = GatewayConfiguration(
            listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
        try await withGateway(configuration) { gateway in
            for _ in 0..<4 {
                let response = try await gateway.get("/x")
                #expect(response?.status == 200 && response?.text == "fast")
            }
            await slow.resets.wait(for: 2)
            #expect(await gateway.gateway.metrics().hedgesWon["u"] == 2)
            #expect(slow.connections.all.count == 1, "only the stream is ended")
        }
        await slow.stop()
        await fast.stop()
    }

    @Test func whenBothFailTheClientIsToldOnce() async throws {
        func failing(after milliseconds: Int) async throws -> Backend {
            try await Backend { _ in
                [
                    .after {
                        try? await Task.sleep(for: .milliseconds(milliseconds))
                        return [.close]
                    }
                ]
            }
        }
        let (one, two) = (try await failing(after: 80), try await failing(after: 100))
        let configuration = try configuration([one, two]) {
            $0.outlierEjection = nil
            $0.retry = UpstreamRetry(policy: .init(maximumAttempts: 1))
        }
        try await withGateway(configuration) { gateway in
            let client = try await gateway.client()
            for _ in 0..<4 {
                try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(await client.response()?.status == 502)
            }
            await client.close()
            #expect(await gateway.gateway.metrics().rejected[.upstream] == 4)
        }
        await one.stop()
        await two.stop()
    }
}
