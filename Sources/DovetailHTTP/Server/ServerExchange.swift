import DovetailCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Synchronization

/// One request and its answer on a connection, from bytes to bytes.
final class ServerExchange: Sendable {
    private let handler: any RawHandler
    private let maximumBodyBytes: Int
    private let isDraining = Atomic(false)
    private let date = HTTPDate()

    init(handler: any RawHandler, maximumBodyBytes: Int) {
        self.handler = handler
        self.maximumBodyBytes = maximumBodyBytes
    }

    /// From now on, each answer is the last of its connection.
    func drain() {
        isDraining.store(true, ordering: .relaxed)
    }

    /// Answers `request`. Throwing breaks the connection off, which tells the client that the answer is not whole.
    func answer(_ request: Request, with writer: consuming ResponseWriter, on channel: any Channel) async throws {
        if request.headers[.expect]?.lowercased() == "100-continue", !request.announcesMore(than: maximumBodyBytes) {
            try await writer.writeInformationalHead(HTTPResponse(status: .continue))
        }
        var body = request.body.makeAsyncIterator()
        guard let bytes = try await request.collect(&body, upTo: maximumBodyBytes) else {
            let answer = RawResponse.bodyTooLarge(limit: maximumBodyBytes)
            try await write(answer, to: writer, for: request.method, on: channel, isLast: true)
            await linger(reading: &body)
            channel.close(promise: nil)
            return
        }
        let answer = await handler.respond(to: RawRequest(request, body: bytes))
        try await write(answer, to: writer, for: request.method, on: channel, isLast: false)
    }

    private func write(
        _ answer: RawResponse, to writer: consuming ResponseWriter, for method: HTTPRequest.Method,
        on channel: any Channel, isLast: Bool
    ) async throws {
        var head = HTTPResponse(status: answer.status, headerFields: answer.headers.withoutFraming)
        if head.headerFields[.date] == nil { head.headerFields[.date] = date.now }
        if isLast || isDraining.load(ordering: .relaxed) { head.headerFields[.connection] = "close" }
        switch answer.body {
        case .bytes(let bytes):
            head.headerFields[.contentLength] = String(bytes.count)
            guard method != .head else {
                // An answer made for HEAD may say what GET would have had (RFC 9110 9.3.2).
                if bytes.isEmpty, let length = answer.headers[.contentLength] {
                    head.headerFields[.contentLength] = length
                }
                return try await writer.writeResponse(head)
            }
            guard !bytes.isEmpty else { return try await writer.writeResponse(head) }
            try await writer.write(response: head, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        case .stream(let chunks):
            guard method != .head else {
                // The head promises chunks that HEAD must not have, so the connection has to end with it.
                head.headerFields[.connection] = "close"
                _ = try await writer.writeHead(head)
                return channel.close(promise: nil)
            }
            // A client that only ended its own direction now counts as gone too: until one writes, the two look the same.
            try await channel.setOption(.allowRemoteHalfClosure, value: false).get()
            let gone = channel.gone
            let writing = Handover(try await writer.writeHead(head))
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask {
                    for await _ in gone {}
                    throw ChannelError.eof
                }
                group.addTask {
                    guard var body = writing.take() else { return }
                    for try await chunk in chunks where !chunk.isEmpty {
                        try await body.write(ByteBuffer(bytes: chunk))
                    }
                    try await body.finish(nil)
                }
                try await group.next()
            }
            try await channel.setOption(.allowRemoteHalfClosure, value: true).get()
        }
    }

    /// Reads on for a while after an answer that came before the request's end: closing with bytes unread resets the
    /// connection, and the client might lose the answer (RFC 9112 9.6).
    private func linger(reading body: inout RequestBody.AsyncIterator) async {
        var left = max(maximumBodyBytes, 1 << 20)
        while left > 0, let buffer = try? await body.next() { left -= buffer.readableBytes }
    }
}

extension Channel {
    /// Ends when the connection is closed.
    fileprivate var gone: AsyncStream<Never> {
        let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
        closeFuture.whenComplete { _ in continuation.finish() }
        return stream
    }
}
