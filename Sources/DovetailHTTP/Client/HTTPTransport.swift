import AsyncHTTPClient
import DovetailContracts
import DovetailCore
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import ServiceLifecycle
import Synchronization

/// Sends a typed client's calls to one node over HTTP/1.1, on connections that are kept and reused.
///
/// A call is one attempt; who retries is the policy above. The one exception is invisible to it: an idempotent request
/// whose reused connection turns out to have been closed in the meantime, before any of the answer, goes out once more
/// (RFC 9112 9.3.1).
///
/// As a `Service` it lives until graceful shutdown and then lets its connections go; elsewhere call ``shutdown()``.
public final class HTTPTransport: RawTransport, Service {
    /// How connections are made and kept.
    public struct Configuration: Sendable {
        /// How long making a connection, or waiting for one of the pool, may take.
        public var connectTimeout: Duration
        /// How long an idle connection is kept. Shorter than servers keep theirs, lest a request meet a closed one.
        public var idleTimeout: Duration
        /// The most connections at a time; calls beyond wait for one.
        public var maximumConnections: Int

        /// Values that suit calls between the nodes of a platform.
        public init(
            connectTimeout: Duration = .seconds(1), idleTimeout: Duration = .seconds(30), maximumConnections: Int = 128
        ) {
            self.connectTimeout = connectTimeout
            self.idleTimeout = idleTimeout
            self.maximumConnections = maximumConnections
        }
    }

    private let base: String
    private let callee: String
    private let client: HTTPClient
    private let connectionsMade: ConnectionCount

    /// A transport to the node at `address`; `callee` is the name that errors give it.
    public init(to address: HTTPAddress, callee: String, configuration: Configuration = Configuration()) {
        self.callee = callee
        switch address {
        case .tcp: base = "http://\(address)"
        case .unix(let path): base = "http+unix://\(path.percentEncoded)"
        }
        let made = ConnectionCount()
        connectionsMade = made
        var settings = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .nanoseconds(configuration.connectTimeout.wholeNanoseconds)))
        settings.connectionPool.idleTimeout = .nanoseconds(configuration.idleTimeout.wholeNanoseconds)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.maximumConnections
        // A refused connection is told at once; whether to try again is the caller's policy.
        settings.connectionPool.retryConnectionEstablishment = false
        // Trace headers are the call context's, which the platform writes.
        settings.tracing.tracer = nil
        settings.http1_1ConnectionDebugInitializer = { channel in
            made.increment()
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: settings)
    }

    /// Sends `request` and returns the answer, whatever its status; redirects are answers.
    ///
    /// An answer of up to 1 MiB comes as bytes, within `deadline`. A longer one and `application/x-ndjson` come as a
    /// stream once the head is there; the deadline has been kept then. The stream's failure is `answerLost`; to stop
    /// reading it ends the exchange, and so does cancelling the task, which throws `CancellationError`.
    public func send(_ request: RawRequest, deadline: MonotonicTime?) async throws -> RawResponse {
        let known = connectionsMade.value
        let closed: any Error
        do {
            return try await attempt(request, deadline: deadline)
        } catch {
            closed = CallError.of(error, callee: callee)
            guard request.method.isIdempotent, error.isClosedConnection, !Task.isCancelled,
                connectionsMade.value == known
            else { throw closed }
        }
        do {
            return try await attempt(request, deadline: deadline)
        } catch {
            let error = CallError.of(error, callee: callee)
            // The connection may have been closed by a callee that died over the request: it counts as sent.
            throw FailureKind.of(error) == .notSent ? closed : error
        }
    }

    /// Waits for graceful shutdown, then lets the connections go.
    public func run() async throws {
        try? await gracefulShutdown()
        try await shutdown()
    }

    /// Lets all connections go; calls under way fail, and so do later ones.
    public func shutdown() async throws {
        try await client.shutdown()
    }

    private func attempt(_ request: RawRequest, deadline: MonotonicTime?) async throws -> RawResponse {
        var outgoing = HTTPClientRequest(url: base + request.path + (request.query.map { "?\($0)" } ?? ""))
        outgoing.method = HTTPMethod(request.method)
        outgoing.headers = HTTPHeaders(request.headers.withoutFraming)
        if !request.body.isEmpty { outgoing.body = .bytes(ByteBuffer(bytes: request.body)) }

        let left = deadline.map { $0 - .now } ?? .seconds(365 * 86_400)
        guard left > .zero else {
            throw CallError(
                .deadlineExceeded, callee: callee, message: "the deadline had passed before the call", wasSent: false)
        }
        let answer = try await client.execute(outgoing, deadline: .now() + .nanoseconds(left.wholeNanoseconds))
        let status = HTTPResponse.Status(code: Int(answer.status.code), reasonPhrase: answer.status.reasonPhrase)
        let fields = HTTPFields(answer.headers, splitCookie: false)
        var headers = fields.withoutFraming
        if request.method == .head { headers[.contentLength] = fields[.contentLength] }
        let body = AnswerBody(answer.body, callee: callee)
        let length = fields[.contentLength].flatMap(Int.init)
        guard request.method == .head || !fields.announceStream(length: length) else {
            return RawResponse(status: status, headers: headers, body: body.stream)
        }
        return RawResponse(
            status: status, headers: headers,
            body: request.method == .head || length == 0 ? .bytes([]) : try await body.collect(until: deadline))
    }
}

/// How many connections were made. A request during which there were none ran on one that was reused.
private final class ConnectionCount: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .acquiring) }

    func increment() { count.add(1, ordering: .acquiringAndReleasing) }
}

extension HTTPFields {
    /// Whether an answer of this head is read as it comes rather than whole.
    fileprivate func announceStream(length: Int?) -> Bool {
        if let length, length > AnswerBody.longestCollected { return true }
        return self[.contentType]?.lowercased().hasPrefix("application/x-ndjson") == true
    }
}

extension HTTPRequest.Method {
    /// Whether carrying a request out twice is carrying it out once (RFC 9110 9.2.2).
    fileprivate var isIdempotent: Bool {
        [.get, .head, .put, .delete, .options, .trace].contains(self)
    }
}
