import DovetailCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

extension Request {
    /// Whether the head says that the body is longer than `limit`.
    func announcesMore(than limit: Int) -> Bool {
        guard let length = headers[.contentLength].flatMap(Int.init) else { return false }
        return length > limit
    }

    /// The whole body, or nil if it is longer than `limit`; of one that says so itself nothing is read.
    ///
    /// Throws if the client goes away before the body's end, or the task is cancelled.
    func collect(_ body: inout RequestBody.AsyncIterator, upTo limit: Int) async throws -> [UInt8]? {
        guard !announcesMore(than: limit) else { return nil }
        var bytes: [UInt8] = []
        while let buffer = try await body.next() {
            guard bytes.count + buffer.readableBytes <= limit else { return nil }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        // A connection that is closed by this side ends the sequence as the body's end does.
        try Task.checkCancellation()
        guard headers[.contentLength].flatMap(Int.init).map({ $0 == bytes.count }) ?? true else {
            throw ChannelError.eof
        }
        return bytes
    }
}

extension RawRequest {
    /// The request as it came, with the Host field back among the headers.
    init(_ request: Request, body: [UInt8]) {
        let target = request.head.path ?? "/"
        let mark = target.firstIndex(of: "?")
        var headers = request.headers
        if let host = request.head.authority { headers[.host] = host }
        self.init(
            method: request.method, path: String(target[..<(mark ?? target.endIndex)]),
            query: mark.map { String(target[target.index(after: $0)...]) }, headers: headers, body: body)
    }
}

extension RawResponse {
    /// The answer to a request whose body is longer than `limit` bytes (RFC 9110 15.5.14).
    static func bodyTooLarge(limit: Int) -> RawResponse {
        .problem(Problem("body-too-large", status: 413)("the request's body is longer than \(limit) bytes"))
    }
}

extension HTTPField.Name {
    /// `Host`, which HTTPTypes keeps apart from the fields.
    static let host = HTTPField.Name("Host") ?? .origin
    private static let keepAlive = HTTPField.Name("Keep-Alive") ?? .connection

    /// Fields that speak of the connection or of the message's frame, not of the message.
    fileprivate static let framing: Set<HTTPField.Name> = [
        .connection, .contentLength, .transferEncoding, .upgrade, .te, .trailer, keepAlive,
    ]
}

extension HTTPFields {
    /// The fields without those that are the transport's own.
    var withoutFraming: HTTPFields {
        contains { HTTPField.Name.framing.contains($0.name) }
            ? HTTPFields(filter { !HTTPField.Name.framing.contains($0.name) }) : self
    }
}
