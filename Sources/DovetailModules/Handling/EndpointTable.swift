import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailResilience
import HTTPTypes
import Logging
import Tracing

/// A node's endpoints: finds the one a request is for, and answers with bytes. No socket is near.
///
/// The same table serves a listener of its own, an existing Hummingbird application, the gateway in the same process, and tests.
public struct EndpointTable: RawHandler {
    /// An endpoint with the module it belongs to.
    package struct Served: Sendable {
        package let entry: HandlerEntry
        package let runtime: ModuleRuntime
    }

    private let router: EndpointRouter<Served>
    private let byKey: [String: Served]
    private let nodeToken: String?
    private let vault: (any PersonalVault)?
    private let logger = Logger(label: "dovetail.modules")

    /// The endpoints of `modules`. With a token, requests from outside the process are believed only with it. Personal values are sealed and opened with `vault`.
    ///
    /// Throws ``TableError`` if two endpoints have the same method and path, and ``SchemaError`` for an input that has no schema.
    package init(_ modules: [ModuleRuntime], nodeToken: String? = nil, vault: (any PersonalVault)? = nil) throws {
        var router = EndpointRouter<Served>()
        var byKey: [String: Served] = [:]
        for runtime in modules {
            for entry in runtime.parts.handlers {
                if let error = entry.schemaError { throw error }
                let served = Served(entry: entry, runtime: runtime)
                if let other = router.insert(served, entry.endpoint.method, entry.endpoint.versionedPath) {
                    throw TableError(
                        path: "\(entry.endpoint.method.rawValue) \(entry.endpoint.versionedPath)",
                        modules: [other.runtime.module, runtime.module])
                }
                byKey[Self.key(entry.endpoint)] = served
            }
        }
        self.router = router
        self.byKey = byKey
        self.nodeToken = nodeToken
        self.vault = vault
    }

    private static func key(_ endpoint: EndpointDescription) -> String {
        "\(endpoint.contract.name)@\(endpoint.contract.version) \(endpoint.key)"
    }

    /// What serves an endpoint; nil if this node does not.
    package func entry(for endpoint: EndpointDescription) -> Served? { byKey[Self.key(endpoint)] }

    public func respond(to request: RawRequest) async -> RawResponse {
        let isTrusted = request.context != nil || nodeToken.map { request.headers[.dovetailNodeToken] == $0 } ?? true
        let context =
            request.context
            ?? CallContext(headers: request.headers, trustingPrincipal: isTrusted, now: .now)
        var response: RawResponse
        if isTrusted {
            // A task that an event loop began knows of no vault.
            response = await PersonalData.$vault.withValue(vault ?? PersonalData.vault) {
                await answer(request, context)
            }
        } else {
            response = .problem(
                Problem("unauthenticated-node", status: 401).callAsFunction(
                    "this listener is for the platform's own nodes, which say so with their token"))
        }
        response.headers[.correlationID] = context.correlationID
        if request.method == .head { response.body = .bytes([]) }
        return response
    }

    private func answer(_ request: RawRequest, _ context: CallContext) async -> RawResponse {
        switch router.match(request.method, request.path) {
        case .none:
            return .problem(named(Problem("not-found", status: 404)("nothing is at \(request.path)"), context))
        case .otherMethods(let allowed):
            var response = RawResponse.problem(
                named(
                    Problem("method-not-allowed", status: 405)(
                        "\(request.path) does not take \(request.method.rawValue)"), context))
            response.headers[.allow] = allowed.joined(separator: ", ")
            return response
        case .found(let served, let parameters):
            return await answer(request, served, parameters, context)
        }
    }

    private func answer(
        _ request: RawRequest, _ served: Served, _ parameters: [JSON.Field], _ context: CallContext
    ) async -> RawResponse {
        let endpoint = served.entry.endpoint
        let operation = "\(endpoint.contract.name).\(endpoint.name)"
        return await withSpan(operation, context: context.trace, ofKind: .server) { span in
            span.attributes["http.request.method"] = request.method.rawValue
            span.attributes["http.route"] = endpoint.versionedPath.description
            var call = context.limited(to: endpoint.timeout.map { .now + $0 })
            call.trace = span.context
            do {
                let response = try await perform(request, served, parameters, call)
                span.attributes["http.response.status_code"] = Int(response.status.code)
                return response
            } catch {
                var problem = named(problem(error, operation: operation, call), call)
                problem.contract = "\(endpoint.contract.name)@\(endpoint.contract.version)"
                span.attributes["http.response.status_code"] = problem.status
                if problem.status >= 500 { span.setStatus(.init(code: .error, message: problem.type)) }
                return .problem(problem)
            }
        }
    }

    private func perform(
        _ request: RawRequest, _ served: Served, _ parameters: [JSON.Field], _ call: CallContext
    ) async throws -> RawResponse {
        let endpoint = served.entry.endpoint
        if let principal = call.principal {
            let missing = endpoint.scopes.filter { !principal.scopes.contains($0) }
            guard missing.isEmpty else {
                throw Problem("forbidden", status: 403)("the scope \(missing.joined(separator: " ")) is needed")
            }
        }
        if !request.body.isEmpty, !endpoint.takesQuery { try requireJSON(request.headers[.contentType]) }
        var fields = parameters
        if endpoint.takesQuery { fields += try Self.fields(ofQuery: request.query) }
        // No body is an empty object: what is missing in it is then named field by field.
        let body = endpoint.takesQuery || request.body.isEmpty ? Array("{}".utf8) : request.body
        let given = fields
        let context = HandlerContext(call: call, runtime: served.runtime, endpoint: endpoint) {
            InputFingerprint.of(body, given)
        }
        let answer = try await supervised(call, endpoint) {
            try await served.entry.bytes(body, given, context)
        }
        var response = RawResponse(status: .ok, body: answer)
        if case .stream(let chunks) = answer, let vault {
            response.body = .stream(VaultedChunks(base: chunks, vault: vault))
        }
        if let contentType = endpoint.contentType {
            response.headers[.contentType] = contentType
        } else {
            response.status = .noContent
        }
        if let position = context.position { response.headers[.dovetailPosition] = position.description }
        return response
    }

    /// Runs the handler so that the caller has its answer at the deadline even if the handler hangs.
    private func supervised<Value: Sendable>(
        _ call: CallContext, _ endpoint: EndpointDescription, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let deadline = call.deadline else {
            return try await CallContext.$current.withValue(call, operation: body)
        }
        return try await CallContext.$current.withValue(call) {
            try await withDeadline(deadline, callee: endpoint.contract.name, operation: body)
        }
    }

    private func requireJSON(_ contentType: String?) throws {
        guard let contentType else { return }
        let type = contentType.split(separator: ";").first.map { $0.trimmingSpaces().lowercased() } ?? ""
        guard type == "application/json" || type.hasSuffix("+json") else {
            throw Problem("unsupported-media-type", status: 415)("the body has to be application/json, and is \(type)")
        }
    }

    private static func fields(ofQuery query: String?) throws -> [JSON.Field] {
        guard let query else { return [] }
        return try query.split(separator: "&").map { part in
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let text = pair.map { $0.replacing("+", with: " ").percentDecoded }
            guard let name = text[0], let value = text.count > 1 ? text[1] : "" else {
                throw Problem.invalidInput([
                    .init(pointer: "query:\(part.prefix(40))", expected: "expected percent-encoded UTF-8")
                ])
            }
            return JSON.Field(name: name, value: value, origin: "query")
        }
    }

    /// The problem that an error is to the caller. What is nobody's declared problem is logged and told without internals.
    private func problem(_ error: any Error, operation: String, _ call: CallContext) -> Problem {
        if let problem = error as? Problem { return problem }
        if let error = error as? CallError {
            var problem: Problem =
                switch error.code {
                case .deadlineExceeded: Problem("deadline-exceeded", status: 504)
                case .circuitOpen, .bulkheadFull, .rateLimited: Problem("unavailable", status: 503)
                case .unreachable, .answerLost, .invalidAnswer: Problem("bad-gateway", status: 502)
                }
            problem.detail = "the module \(error.callee) could not be asked (\(error.code.rawValue))"
            problem.retryAfter = error.retryAfter
            return problem
        }
        if let error = error as? PersonalDataError, error.code == .subjectForgotten {
            return Problem("subject-forgotten", status: 410)("\(error)")
        }
        if let error = error as? LogError, error.code == .streamDeleted || error.code == .streamTombstoned {
            return Problem("deleted", status: 410)("\(error.subject): \(error.message)")
        }
        if let error = error as? CommandConflict { return Problem("version-conflict", status: 409)("\(error)") }
        logger.error(
            "a handler failed",
            metadata: [
                "operation": "\(operation)", "correlation": "\(call.correlationID)", "error": "\(error)",
            ])
        if let error = error as? any ClassifiedFailure, error.failureKind == .transient {
            var problem = Problem("unavailable", status: 503)("try again later")
            problem.retryAfter = .seconds(1)
            return problem
        }
        return Problem("internal-error", status: 500)("the operator finds more under the correlation id")
    }

    private func named(_ problem: Problem, _ context: CallContext) -> Problem {
        var copy = problem
        if copy.instance == nil { copy.instance = context.correlationID }
        return copy
    }
}

/// Two endpoints of one node that nothing tells apart.
public struct TableError: Error, CustomStringConvertible {
    /// Method and path.
    public let path: String
    /// The modules that both have it.
    public let modules: [String]

    public var description: String {
        "\(path) is served by two modules of this node, \(modules.joined(separator: " and ")): rename one, or place them on two nodes"
    }
}

extension StringProtocol {
    fileprivate func trimmingSpaces() -> String {
        String(drop(while: { $0 == " " }).reversed().drop(while: { $0 == " " }).reversed())
    }
}
