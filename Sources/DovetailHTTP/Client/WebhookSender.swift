import AsyncHTTPClient
import Crypto
import DovetailCore
import Foundation
import NIOCore
import NIOHTTP1
import ServiceLifecycle

/// Posts messages to receivers outside, signed as Standard Webhooks asks (standardwebhooks.com, 1.0.0).
///
/// The signature is an HMAC-SHA256 over id, time and body, so a receiver knows that the message is the platform's, that it is whole, and that it is fresh.
/// As a `Service` it lives until graceful shutdown.
public final class WebhookSender: Service {
    /// A receiver that did not take a message.
    public struct Refused: ClassifiedFailure, CustomStringConvertible {
        /// The status that it answered with; nil: it did not answer.
        public let status: Int?
        /// What happened, in words.
        public let description: String
        public let failureKind: FailureKind
        public let retryAfter: Duration?
    }

    /// A message to be posted.
    public struct Message: Sendable {
        /// Its id: the same each time it is sent.
        public var id: String
        /// The body's media type.
        public var contentType: String
        /// The body.
        public var body: [UInt8]

        /// A message.
        public init(id: String, contentType: String, body: [UInt8]) {
            self.id = id
            self.contentType = contentType
            self.body = body
        }
    }

    private let client: HTTPClient

    /// A sender. Redirects are not followed: where messages go is the configuration's.
    public init() {
        var settings = HTTPClient.Configuration(redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)))
        settings.connectionPool.retryConnectionEstablishment = false
        settings.tracing.tracer = nil
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: settings)
    }

    /// Posts a message; returns when the receiver has taken it (2xx). Throws ``Refused``: permanent for a 3xx or 4xx that another attempt would not change.
    public func post(
        _ message: Message, to url: String, secret: String, timeout: Duration, headers: [(String, String)] = [],
        at date: Date = Date()
    ) async throws {
        let time = Int64(max(0, date.timeIntervalSince1970))
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: message.contentType)
        request.headers.add(name: "webhook-id", value: message.id)
        request.headers.add(name: "webhook-timestamp", value: String(time))
        request.headers.add(
            name: "webhook-signature", value: WebhookSender.signature(message, time: time, secret: secret))
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(bytes: message.body))
        let answer: HTTPClientResponse
        do {
            answer = try await client.execute(request, timeout: .nanoseconds(timeout.wholeNanoseconds))
            // An answer's text is of no use, but the connection is.
            for try await chunk in answer.body.prefix(16) where chunk.readableBytes > 65_536 { break }
        } catch {
            if Task.isCancelled { throw CancellationError() }
            throw Refused(
                status: nil, description: "\(WebhookSender.host(of: url)) did not answer: \(error)",
                failureKind: .inDoubt, retryAfter: nil)
        }
        guard !(200...299).contains(answer.status.code) else { return }
        throw WebhookSender.refusal(Int(answer.status.code), answer.headers.first(name: "retry-after"), url)
    }

    private static func refusal(_ status: Int, _ retryAfter: String?, _ url: String) -> Refused {
        let kind: FailureKind =
            switch status {
            case 408, 425, 429, 503: .transient
            case 500...599: .inDoubt
            default: .permanent
            }
        let pause = retryAfter.flatMap { Int($0) }.map { Duration.seconds(min(max($0, 0), 3600)) }
        return Refused(
            status: status, description: "\(host(of: url)) answered \(status)", failureKind: kind, retryAfter: pause)
    }

    /// Scheme, host and port: what stands behind them may be a secret.
    private static func host(of url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return "the receiver" }
        return String(url[..<scheme.upperBound]) + url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
    }

    /// `v1,` and the base64 of the HMAC. A secret that begins with `whsec_` is base64 behind it; any other is taken as it is.
    static func signature(_ message: Message, time: Int64, secret: String) -> String {
        var key = Data(secret.utf8)
        if secret.hasPrefix("whsec_"), let decoded = Data(base64Encoded: String(secret.dropFirst(6))) { key = decoded }
        var signed = Data("\(message.id).\(time).".utf8)
        signed.append(contentsOf: message.body)
        let code = HMAC<Crypto.SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: key))
        return "v1," + Data(code).base64EncodedString()
    }

    /// Waits for graceful shutdown, then lets the connections go.
    public func run() async throws {
        try? await gracefulShutdown()
        try await shutdown()
    }

    /// Lets all connections go; messages under way fail.
    public func shutdown() async throws { try await client.shutdown() }
}
