import DovetailCore
import DovetailHTTP
import HTTPTypes
import Hummingbird
import Logging
import ServiceLifecycle
import Testing

@testable import DovetailHTTP

@Suite struct MountingTests {
    /// A Hummingbird application with a route of its own and the handler under `/api`.
    private func withApplication(
        _ handler: any RawHandler, _ body: @escaping @Sendable (HTTPTransport) async throws -> Void
    ) async throws {
        let router = Router()
        router.get("hello") { _, _ in "hello" }
        router.group("outer").mount(handler, at: "api", maximumBodyBytes: 1000)
        let port = Outcome<Int>()
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in port.succeed(channel.localAddress?.port ?? 0) }, logger: quiet)
        let group = ServiceGroup(services: [application], logger: quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let address = HTTPAddress.tcp(host: "127.0.0.1", port: try await port.value)
            try await withTransport(to: address) { try await body($0) }
            await group.triggerGracefulShutdown()
        }
    }

    @Test func answersBelowItsPathAndSeesTheRest() async throws {
        try await withApplication(Answering.echo) { transport in
            let answer = try await transport.send(
                RawRequest(method: .put, path: "/outer/api/v1/a%2Fb", query: "x=%20", body: [1]), deadline: nil)
            #expect(answer.headers[.echoMethod] == "PUT")
            #expect(answer.headers[.echoTarget] == "/v1/a%2Fb?x=%20")
            #expect(answer.bytes == [1])
            let root = try await transport.send(.get("/outer/api"), deadline: nil)
            #expect(root.headers[.echoTarget] == "/")
        }
    }

    @Test func leavesTheApplicationsOwnRoutesAlone() async throws {
        try await withApplication(Answering.echo) { transport in
            let own = try await transport.send(.get("/hello"), deadline: nil)
            #expect(own.bytes == Array("hello".utf8))
            let other = try await transport.send(.get("/other"), deadline: nil)
            #expect(other.status == .notFound)
        }
    }

    @Test func keepsToTheLimitAndStreams() async throws {
        try await withApplication(Answering.streaming(Chunks([[1], [2]]))) { transport in
            let long = try await transport.send(
                .post("/outer/api/x", [UInt8](repeating: 0, count: 1001)), deadline: nil)
            #expect(long.status == .contentTooLarge)
            let stream = try await transport.send(.get("/outer/api/x"), deadline: nil).whole
            #expect(stream == [1, 2])
            let head = try await transport.send(RawRequest(method: .head, path: "/outer/api/x"), deadline: nil)
            #expect(head.bytes == [])
        }
    }
}
