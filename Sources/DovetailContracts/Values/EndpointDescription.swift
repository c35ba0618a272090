import DovetailCore
import HTTPTypes

/// What a router, a gateway, a document or a check needs to know of an endpoint.
public struct EndpointDescription: Sendable {
    /// The property's name in the contract: the operation's name in documents, metrics and traces.
    public let name: String
    /// The contract's name and version.
    public let contract: (name: String, version: Int)
    /// The method.
    public let method: HTTPRequest.Method
    /// The path below the version.
    public let path: PathTemplate
    /// How often it may be carried out.
    public let idempotency: Idempotency
    /// The scopes a principal needs.
    public let scopes: [String]
    /// The problems it declares.
    public let problems: [Problem]
    /// How long a caller should wait at most.
    public let timeout: Duration?
    /// How long its answers may be kept at the edge.
    public let caching: AnswerCaching?
    /// The type of the input.
    public let input: any Wire.Type
    /// The type of the answer, or of its items; nil when there is none.
    public let output: (any Wire.Type)?
    /// The answer's media type; nil when there is none.
    public let contentType: String?
    /// Whether the answer comes item by item.
    public let isStream: Bool

    /// `POST /orders`: what tells an endpoint from the others of its contract.
    public var key: String { "\(method.rawValue) \(path)" }

    /// The path on a node, as `/v1/orders/{id}`.
    public var versionedPath: PathTemplate { PathTemplate("/v\(contract.version)\(path)") }

    /// Whether its input comes from the query rather than from a body.
    public var takesQuery: Bool { method == .get || method == .head || method == .delete }

    /// Whether the same call may be sent again when it is in doubt. With ``Idempotency/key``, only if it carries one.
    public func isRetriable(hasKey: Bool) -> Bool {
        switch idempotency {
        case .none: false
        case .byNature: true
        case .key: hasKey
        }
    }
}

/// An ``Endpoint`` whose types are not known here.
public protocol AnyEndpoint: Sendable {
    /// What a document needs to know of it, as the property `name` of `contract`.
    func describe(as name: String, in contract: any Contract) -> EndpointDescription
}

extension Endpoint: AnyEndpoint {
    public func describe(as name: String, in contract: any Contract) -> EndpointDescription {
        EndpointDescription(
            name: name, contract: (contract.name, contract.version), method: method, path: path,
            idempotency: idempotency, scopes: scopes, problems: problems, timeout: timeout,
            caching: caching, input: Input.self,
            output: answer.schemaType, contentType: answer.contentType, isStream: answer.isStream)
    }

    /// `POST /orders`: what tells the endpoint from the others of its contract.
    public var key: String { "\(method.rawValue) \(path)" }
}
