import DovetailCore
import DovetailResilience
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/// How long an attempt may take, and how many there are.
@Suite struct AttemptTests {
    @Test func aServerThatIsSilentForTheTimeOfAnAttemptHasFailedAndAnotherIsAsked() async throws {
        let silent = try await Backend { _ in [] }
        let good = try await Backend { _ in [.send(ok)] }
        let configuration = configuration(good, routes: [try route("all", "/**", timeout: nil)]) {
            $0.servers = [.init(host: "127.0.0.1", port: silent.port), .init(host: "127.0.0.1", port: good.port)]
            $0.attemptTimeout = .milliseconds(200)
            $0.circuitBreaker = nil
            $0.outlierEjection = .init(consecutiveFailures: 2, time: .seconds(60), longestTime: .seconds(60))
        }
        try await withGateway(configuration) { gateway in
            for _ in 0..<10 {
                let answer = try await gateway.get("/")
                #expect(answer?.status == 200)
            }
            await gateway.finished.wait(for: 10)
            #expect(gateway.finished.all.map(\.attempts).max() == 2)
            #expect(silent.requests.all.count == 2, "it counts against the server's health")
            #expect(await gateway.gateway.metrics().upstreamErrors["u"] == 2)
        }
        await silent.stop()
        await good.stop()
    }

    @Test func whatMayHaveBeenDoneIsNotSentAgain() async throws {
        let silent = try await Backend { _ in [] }
        let configuration = configuration(silent, routes: [try route("all", "/**", timeout: nil)]) {
            $0.attemptTimeout = .milliseconds(100)
        }
        try await withGateway(configuration) { gateway in
            let answer = try await gateway.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            #expect(answer?.status == 504)
            #expect(answer?.text.contains("attempt-timed-out") == true)
            #expect(silent.requests.all.count == 1)
            #expect(await gateway.gateway.metrics().rejected[.timeout] == 1)
        }
        await silent.stop()
    }

    /// A client may take its time with a body, and a server with what follows the head of its answer.
    @Test func anAttemptIsOnlyTheWaitForTheAnswersHead() async throws {
        let backend = try await Backend { _ in
            [
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"),
                .after {
                    try? await Task.sleep(for: .milliseconds(400))
                    return [.send("k")]
                },
            ]
        }
        let configuration = configuration(backend, routes: [try route("all", "/**")]) {
            $0.attemptTimeout = .milliseconds(200)
        }
        try await withGateway(configuration) { gateway in
            let client = try await gateway.client()
            for _ in 0..<2 {
                try await client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
                try await Task.sleep(for: .milliseconds(400))
                try await client.send("b")
                #expect(await client.response()?.text == "ok")
            }
            #expect(backend.requests.all.count == 2)
            await client.close()
        }
        await backend.stop()
    }

    @Test func aStreamOfHTTP2ThatIsSilentIsResetAndSentAgain() async throws {
        let count = Recorded<Void>()
        let backend = try await HTTP2Backend { _ in
            count.append(())
            return count.all.count == 1 ? [] : [.head([(":status", "204")], ends: true)]
        }
        let configuration = try http2(backend.port) { $0.attemptTimeout = .milliseconds(200) }
        try await withGateway(configuration) { gateway in
            let answer = try await gateway.get("/")
            #expect(answer?.status == 204)
            await backend.resets.wait(for: 1)
            #expect(backend.ended.all.isEmpty, "the connection is well and goes on")
        }
        await backend.stop()
    }

    @Test func retriesEndWithTheirBudgetOrWithoutOneWithTheRequest() async throws {
        let backend = try await Backend { _ in
            [.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno")]
        }
        for (budget, requests) in [
            (RetryBudgetPolicy(ratio: 0.2, minimumPerSecond: 0), 10 + 2), (nil, 10 * 3),
        ] {
            let before = backend.requests.all.count
            let configuration = configuration(backend, routes: [try route("all", "/**")]) {
                $0.circuitBreaker = nil
                $0.outlierEjection = nil
                $0.retry = UpstreamRetry(
                    policy: .init(maximumAttempts: 3, baseDelay: .milliseconds(1), maximumDelay: .milliseconds(1)),
                    budget: budget)
            }
            try await withGateway(configuration, loops: 2) { gateway in
                for _ in 0..<10 {
                    let answer = try await gateway.get("/")
                    #expect(answer?.text == "no")
                }
            }
            #expect(backend.requests.all.count - before == requests)
        }
        await backend.stop()
    }

    @Test func aBodyBeyondWhatIsKeptIsNotSentAgain() async throws {
        let count = Recorded<Void>()
        let backend = try await Backend { _ in
            count.append(())
            return count.all.count % 2 == 1 ? [.close] : [.send(ok)]
        }
        let configuration = configuration(backend, routes: [try route("all", "/**")]) {
            $0.circuitBreaker = nil
            $0.outlierEjection = nil
            $0.retry = UpstreamRetry(replayBytes: 1000)
        }
        try await withGateway(configuration) { gateway in
            for (size, status) in [(1000, 200), (1001, 502)] {
                let body = String(repeating: "x", count: size)
                let answer = try await gateway.send(
                    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n\(body)")
                #expect(answer?.status == status)
            }
            #expect(backend.requests.all.map(\.body.count) == [1000, 1000, 1001])
        }
        await backend.stop()
    }
}
