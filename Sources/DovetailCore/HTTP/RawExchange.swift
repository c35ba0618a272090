import HTTPTypes

/// A request as bytes, free of any server or client library: what a gateway, a provider and a typed client agree on.
public struct RawRequest: Sendable {
    /// The method.
    public var method: HTTPRequest.Method
    /// The path as sent, percent-encoded, without the query.
    public var path: String
    /// The query as sent, without the question mark; nil when there was none.
    public var query: String?
    /// The header fields.
    public var headers: HTTPFields
    /// The whole body.
    public var body: [UInt8]
    /// The call's context where the caller is in the same process; otherwise it is read from the headers.
    public var context: CallContext?

    /// A request.
    public init(
        method: HTTPRequest.Method, path: String, query: String? = nil, headers: HTTPFields = [:], body: [UInt8] = [],
        context: CallContext? = nil
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.context = context
    }
}

/// An answer as bytes.
public struct RawResponse: Sendable {
    /// A body that is there, or one that comes in chunks.
    public enum Body: Sendable {
        /// All of it.
        case bytes([UInt8])
        /// Chunks in order, pulled by the reader; ends when the sequence ends, breaks off when it throws.
        case stream(any AsyncSequence<[UInt8], any Error> & Sendable)
    }

    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields; framing fields are the transport's.
    public var headers: HTTPFields
    /// The body.
    public var body: Body

    /// An answer.
    public init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Answers raw requests: a node's table of endpoints, as a server or the gateway mounts it.
public protocol RawHandler: Sendable {
    /// Answers `request`. Failures are answers too: problem details with their status.
    func respond(to request: RawRequest) async -> RawResponse
}

/// Sends raw requests to one place: another node, over HTTP.
public protocol RawTransport: Sendable {
    /// Sends `request` and returns the answer, whatever its status.
    ///
    /// Throws ``CallError`` when there is none: `unreachable` if it was never sent, `answerLost` if it may have been,
    /// `deadlineExceeded` when `deadline` passes first.
    func send(_ request: RawRequest, deadline: MonotonicTime?) async throws -> RawResponse
}

extension RawResponse {
    /// A problem as `application/problem+json`, with Retry-After where the problem has one (RFC 9457, RFC 9110 10.2.3).
    ///
    /// A status that no final answer can have, as another program may have sent it, becomes 500.
    public static func problem(_ problem: Problem) -> RawResponse {
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if let retryAfter = problem.retryAfter {
            headers[.retryAfter] = String(max(1, Int(retryAfter.inSeconds.rounded(.up))))
        }
        let body = (try? JSON.encode(problem)) ?? []
        let status = 200...599 ~= problem.status ? problem.status : 500
        return RawResponse(status: HTTPResponse.Status(code: status), headers: headers, body: .bytes(body))
    }
}
