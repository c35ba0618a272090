import DovetailCore
import HTTPTypes
import Testing

@testable import DovetailHTTP

@Suite struct TransportFailureTests {
    private let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    @Test func aRefusedConnectionWasNotSent() async throws {
        // A port that was just free: bound, and let go.
        let address = try await withServer(Answering.echo) { address, _ in address }
        let start = MonotonicTime.now
        let error = try await callError {
            _ = try await withTransport(to: address) { try await $0.send(.post("/"), deadline: nil) }
        }
        #expect(error.code == .unreachable)
        #expect(!error.wasSent)
        #expect(error.failureKind == .notSent)
        #expect(error.callee == "inventory")
        #expect(error.message.contains("refused"))
        #expect(.now - start < .milliseconds(900), "it waits for no timeout")
    }

    @Test func aSocketThatIsNotThereWasNotSent() async throws {
        let error = try await callError {
            _ = try await withTransport(to: .unix(path: temporarySocketPath())) {
                try await $0.send(.get("/"), deadline: nil)
            }
        }
        #expect(error.code == .unreachable)
        #expect(!error.wasSent)
    }

    @Test func aHostWithoutAddressWasNotSent() async throws {
        let error = try await callError {
            _ = try await withTransport(to: .tcp(host: "nowhere.invalid", port: 80)) {
                try await $0.send(.get("/"), deadline: nil)
            }
        }
        #expect(error.code == .unreachable)
        #expect(!error.wasSent)
    }

    @Test func aTransportThatIsShutDownSendsNothing() async throws {
        let transport = HTTPTransport(to: .tcp(host: "127.0.0.1", port: 9), callee: "inventory")
        try await transport.shutdown()
        let error = try await callError { _ = try await transport.send(.get("/"), deadline: nil) }
        #expect(error.code == .unreachable)
    }

    @Test func aDeadlineCutsASlowAnswerShort() async throws {
        let gate = Outcome<Void>()
        let slow = Answering { _ in
            _ = try? await gate.value
            return RawResponse(status: .ok)
        }
        try await withExchange(slow) { transport in
            let error = try await callError {
                _ = try await transport.send(.get("/"), deadline: .now + .milliseconds(100))
            }
            #expect(error.code == .deadlineExceeded)
            #expect(error.wasSent)
            gate.succeed(())
        }
    }

    @Test func aDeadlineCutsASlowBodyShort() async throws {
        try await ScriptedServer.with({ _, _ in [.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")] }) {
            address, _ in
            let error = try await callError {
                _ = try await withTransport(to: address) {
                    try await $0.send(.get("/"), deadline: .now + .milliseconds(200))
                }
            }
            #expect(error.code == .deadlineExceeded)
        }
    }

    @Test func afterItsDeadlineNothingIsSent() async throws {
        try await ScriptedServer.with({ [ok] _, _ in [.say(ok)] }) { address, log in
            let error = try await callError {
                _ = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: .now) }
            }
            #expect(error.code == .deadlineExceeded)
            #expect(!error.wasSent)
            #expect(log.requests.isEmpty)
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 O",
        "",
    ])
    func aServerDyingMidAnswerLosesIt(said: String) async throws {
        try await ScriptedServer.with({ _, _ in [.say(said), .close] }) { address, log in
            let error = try await callError {
                _ = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: .now + .seconds(60)) }
            }
            #expect(error.code == .answerLost)
            #expect(error.wasSent)
            #expect(log.requests.count == 1, "on a new connection nothing was to be retried")
        }
    }

    @Test func anAnswerThatIsNotHTTPIsInvalid() async throws {
        try await ScriptedServer.with({ _, _ in [.say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), .close] }) { address, _ in
            let error = try await callError {
                _ = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: .now + .seconds(60)) }
            }
            #expect(error.code == .invalidAnswer)
        }
    }

    /// The first connection answers once and closes on the second request, as a server does that is about to close.
    private var closingWhenReused: ScriptedServer.Script {
        { [ok] connection, request in connection == 0 && request == 1 ? [.close] : [.say(ok)] }
    }

    @Test func aReusedConnectionThatWasClosedIsReplacedForAnIdempotentRequest() async throws {
        try await ScriptedServer.with(closingWhenReused) { address, log in
            try await withTransport(to: address) { transport in
                _ = try await transport.send(.get("/1"), deadline: nil)
                let answer = try await transport.send(.get("/2"), deadline: nil)
                #expect(try await answer.text == "ok")
            }
            #expect(log.requests == ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /2 HTTP/1.1"])
        }
    }

    /// The callee has died over the request: that nobody listens any more does not say that nothing was done.
    @Test func aReusedConnectionThatWasClosedByADyingServerLosesTheAnswer() async throws {
        try await ScriptedServer.with { [ok] _, request in
            request == 0 ? [.say(ok)] : [.stopListening, .close]
        } _: { address, log in
            try await withTransport(to: address) { transport in
                _ = try await transport.send(.get("/1"), deadline: nil)
                let error = try await callError { _ = try await transport.send(.get("/2"), deadline: nil) }
                #expect(error.failureKind == .inDoubt)
            }
            #expect(log.requests.count == 2)
        }
    }

    @Test func aReusedConnectionThatWasClosedLosesTheAnswerOfAnother() async throws {
        try await ScriptedServer.with(closingWhenReused) { address, log in
            try await withTransport(to: address) { transport in
                _ = try await transport.send(.get("/1"), deadline: nil)
                let error = try await callError { _ = try await transport.send(.post("/2", []), deadline: nil) }
                #expect(error.code == .answerLost)
            }
            #expect(log.requests == ["GET /1 HTTP/1.1", "POST /2 HTTP/1.1"])
        }
    }

    @Test func cancellingACallEndsTheExchange() async throws {
        let arrived = Outcome<Void>()
        let gate = Outcome<Void>()
        let slow = Answering { _ in
            arrived.succeed(())
            _ = try? await gate.value
            return RawResponse(status: .ok)
        }
        try await withExchange(slow) { transport in
            let call = Task { try await transport.send(.post("/"), deadline: nil) }
            try await arrived.value
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            gate.succeed(())
        }
    }
}
