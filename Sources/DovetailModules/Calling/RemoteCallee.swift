import DovetailContracts
import DovetailCore
import DovetailResilience
import HTTPTypes
import Tracing

/// A module on another node: a request over a transport, under the policy towards it.
package struct RemoteCallee: Callee {
    package let name: String
    private let transport: any RawTransport
    private let policies: PolicyExecutor
    private let nodeToken: String?

    package init(name: String, transport: any RawTransport, policies: PolicyExecutor, nodeToken: String?) {
        self.name = name
        self.transport = transport
        self.policies = policies
        self.nodeToken = nodeToken
    }

    package func call<Input: Wire, Output: Sendable>(
        _ endpoint: Endpoint<Input, Output>, _ description: EndpointDescription, _ input: Input, context: CallContext
    ) async throws -> Output {
        let prepared = try CallRequest(description, body: try JSON.encode(input, personal: .plain), callee: name)
        return try await policies.run(
            safety: description.safety(context), deadline: description.deadline(context)
        ) { attempt in
            try await withSpan(
                "\(description.method.rawValue) \(description.versionedPath)", context: context.trace, ofKind: .client
            ) { span in
                span.attributes["peer.service"] = name
                span.attributes["http.request.resend_count"] = attempt.number - 1
                var call = context.limited(to: attempt.deadline)
                call.trace = span.context
                var request = prepared.request
                call.write(to: &request.headers, now: .now)
                if let nodeToken { request.headers[.dovetailNodeToken] = nodeToken }
                let response = try await transport.send(request, deadline: attempt.deadline)
                span.attributes["http.response.status_code"] = Int(response.status.code)
                return try await answer(endpoint, response)
            }
        }
    }

    private func answer<Input, Output>(_ endpoint: Endpoint<Input, Output>, _ response: RawResponse) async throws
        -> Output
    {
        guard response.status.kind == .successful else {
            throw await problem(response)
        }
        do {
            return try await endpoint.answer.decode(response.body)
        } catch let error as JSONError {
            throw CallError(
                .invalidAnswer, callee: name, message: "the answer does not fit the contract: \(error)", wasSent: true)
        }
    }

    /// What the callee says went wrong; a problem made of the status if it does not say it in problem details.
    private func problem(_ response: RawResponse) async -> Problem {
        let status = Int(response.status.code)
        var problem = Problem("about:blank", status: status, title: response.status.reasonPhrase)
        if let body = try? await response.body.collect(upTo: 1 << 20),
            let told = try? JSON.decode(Problem.self, from: body)
        {
            problem = told
            problem.status = status
        }
        if problem.retryAfter == nil, let seconds = response.headers[.retryAfter].flatMap({ Int($0) }), seconds >= 0 {
            problem.retryAfter = .seconds(seconds)
        }
        return problem
    }
}

/// A call as a request: the input's fields dealt out to path, query and body.
struct CallRequest {
    let request: RawRequest

    /// Deals out an encoded input. Throws ``CallError`` if the path cannot be filled from it.
    init(_ endpoint: EndpointDescription, body: [UInt8], callee: String) throws {
        let places = Set(endpoint.path.parameters)
        var named: [String: String] = [:]
        var query: [String] = []
        var rest: [UInt8] = [UInt8(ascii: "{")]
        for (name, range) in try JSON.members(of: body) {
            if places.contains(name) {
                named[name] = try Self.scalars(body[range]).first
            } else if endpoint.takesQuery {
                query += try Self.scalars(body[range]).map { "\(name.percentEncoded)=\($0.percentEncoded)" }
            } else {
                if rest.count > 1 { rest.append(UInt8(ascii: ",")) }
                rest += try JSON.encode(name) + [UInt8(ascii: ":")] + body[range]
            }
        }
        rest.append(UInt8(ascii: "}"))
        guard let path = endpoint.versionedPath.filled({ named[$0] }) else {
            throw CallError(
                .unreachable, callee: callee,
                message: "the input has no text or number for every parameter of the path \(endpoint.path)",
                wasSent: false)
        }
        var request = RawRequest(method: endpoint.method, path: path)
        request.headers[.accept] = "\(endpoint.contentType ?? "application/json"), application/problem+json"
        if endpoint.takesQuery {
            request.query = query.isEmpty ? nil : query.joined(separator: "&")
        } else {
            request.headers[.contentType] = "application/json"
            request.body = rest
        }
        self.request = request
    }

    /// A JSON value as the text of parameters: a scalar is one, an array of scalars several, null none.
    private static func scalars(_ json: ArraySlice<UInt8>) throws -> [String] {
        switch try JSON.decode(JSONValue.self, from: Array(json)) {
        case .null: []
        case .string(let text): [text]
        case .array(let elements): try elements.map(text)
        // A number keeps the digits it was written with.
        case .bool, .integer, .number, .object: [String(decoding: json, as: UTF8.self)]
        }
    }

    private static func text(_ element: JSONValue) throws -> String {
        if case .string(let text) = element { return text }
        return String(decoding: try JSON.encode(element), as: UTF8.self)
    }
}
