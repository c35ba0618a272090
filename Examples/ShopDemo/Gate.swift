import Dovetail
import Foundation
import HTTPTypes

/// The gateway as its clients see it: requests over a socket, JSON in and out.
struct Gate: Sendable {
    let address: HTTPAddress
    private let transport: HTTPTransport

    init(address: HTTPAddress) {
        self.address = address
        transport = HTTPTransport(to: address, callee: "gateway")
    }

    func close() async { try? await transport.shutdown() }

    /// Sends a request and returns the answer, whatever its status.
    func send(
        _ method: HTTPRequest.Method, _ path: String, query: String? = nil, token: String? = nil, key: String? = nil,
        after: String? = nil, body: [UInt8] = []
    ) async throws -> RawResponse {
        var request = RawRequest(method: method, path: path, query: query, body: body)
        if let token { request.headers[.authorization] = "Bearer \(token)" }
        if let key { request.headers[.idempotencyKey] = key }
        if let after { request.headers[.dovetailAfter] = after }
        if !body.isEmpty { request.headers[.contentType] = "application/json" }
        return try await transport.send(request, deadline: .now + .seconds(20))
    }

    /// The JSON of a successful answer.
    func get<Value: Decodable>(
        _ type: Value.Type, _ path: String, query: String? = nil, token: String, after: String? = nil
    ) async throws -> Value {
        let response = try await send(.get, path, query: query, token: token, after: after)
        guard case .bytes(let bytes) = response.body else { throw DemoError("\(path) answered with a stream") }
        guard response.status == .ok else {
            throw DemoError("\(path) answered \(response.status.code): \(String(decoding: bytes, as: UTF8.self))")
        }
        return try JSON.decode(Value.self, from: bytes)
    }
}
