import DovetailCore
import DovetailHTTP
import HTTPTypes
import Logging
import ServiceLifecycle
import Testing

/// A handler made of a closure.
struct Answering: RawHandler {
    let answer: @Sendable (RawRequest) async -> RawResponse

    func respond(to request: RawRequest) async -> RawResponse { await answer(request) }

    /// Answers with what it was asked: the request's line in fields, its body as the body.
    static let echo = Answering { request in
        RawResponse(
            status: .ok,
            headers: [
                .contentType: "application/octet-stream", .echoMethod: request.method.rawValue,
                .echoTarget: request.path + (request.query.map { "?\($0)" } ?? ""),
            ], body: .bytes(request.body))
    }

    /// Answers with these chunks.
    static func streaming(
        _ chunks: any AsyncSequence<[UInt8], any Error> & Sendable, as type: String = "application/x-ndjson"
    ) -> Answering {
        Answering { _ in RawResponse(status: .ok, headers: [.contentType: type], body: .stream(chunks)) }
    }
}

extension HTTPField.Name {
    static let echoMethod = HTTPField.Name("X-Method") ?? .origin
    static let hostField = HTTPField.Name("Host") ?? .origin
    static let echoTarget = HTTPField.Name("X-Target") ?? .origin
}

/// Runs a server for as long as `body` takes, and shuts it down gracefully.
func withServer<Result: Sendable>(
    _ handler: any RawHandler, at address: HTTPAddress = .tcp(host: "127.0.0.1", port: 0),
    configuration: HTTPServer.Configuration = .init(),
    _ body: @escaping @Sendable (HTTPAddress, ServiceGroup) async throws -> Result
) async throws -> Result {
    let server = HTTPServer(address, configuration: configuration, handler: handler)
    let group = ServiceGroup(services: [server], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    async let running: Void = group.run()
    let result: Swift.Result<Result, any Error>
    do {
        result = .success(try await body(try await server.boundAddress, group))
    } catch {
        result = .failure(error)
    }
    await group.triggerGracefulShutdown()
    try await running
    return try result.get()
}

/// A transport to `address` for as long as `body` takes.
func withTransport<Result: Sendable>(
    to address: HTTPAddress, configuration: HTTPTransport.Configuration = .init(),
    _ body: @Sendable (HTTPTransport) async throws -> Result
) async throws -> Result {
    let transport = HTTPTransport(to: address, callee: "inventory", configuration: configuration)
    do {
        let result = try await body(transport)
        try await transport.shutdown()
        return result
    } catch {
        try await transport.shutdown()
        throw error
    }
}

/// A server and a transport to it.
func withExchange<Result: Sendable>(
    _ handler: any RawHandler, configuration: HTTPServer.Configuration = .init(),
    _ body: @escaping @Sendable (HTTPTransport) async throws -> Result
) async throws -> Result {
    try await withServer(handler, configuration: configuration) { address, _ in
        try await withTransport(to: address) { try await body($0) }
    }
}

extension RawRequest {
    static func get(_ path: String, query: String? = nil) -> RawRequest {
        RawRequest(method: .get, path: path, query: query)
    }

    static func post(_ path: String, _ body: [UInt8] = Array("{}".utf8)) -> RawRequest {
        RawRequest(method: .post, path: path, headers: [.contentType: "application/json"], body: body)
    }
}

extension RawResponse {
    /// The body, where it came whole.
    var bytes: [UInt8]? {
        if case .bytes(let bytes) = body { bytes } else { nil }
    }

    /// The body's chunks, where it came as a stream.
    var chunks: (any AsyncSequence<[UInt8], any Error> & Sendable)? {
        if case .stream(let chunks) = body { chunks } else { nil }
    }

    /// The whole body as text, however it came.
    var text: String {
        get async throws { String(decoding: try await whole, as: UTF8.self) }
    }

    /// The whole body, however it came.
    var whole: [UInt8] {
        get async throws {
            switch body {
            case .bytes(let bytes): return bytes
            case .stream(let chunks):
                var all: [UInt8] = []
                for try await chunk in chunks { all += chunk }
                return all
            }
        }
    }
}

/// The error that `body` throws, as a call's.
func callError(_ body: () async throws -> Void) async throws -> CallError {
    let error = await #expect(throws: CallError.self) { try await body() }
    return try #require(error)
}
