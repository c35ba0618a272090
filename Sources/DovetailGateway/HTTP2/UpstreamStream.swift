import NIOCore
import NIOHPACK
import NIOHTTP2

/// One stream of an HTTP/2 connection to a server, told to its ``UpstreamConnection`` as an HTTP/1.1 connection that serves one request
/// (RFC 9113 8).
///
/// The request that is written is read back into frames; the answer's frames are told as a head and a body, which go through the same
/// validation as any other answer.
final class UpstreamStream: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    /// The server has not looked at the request, and another attempt is safe (RFC 9113 8.7).
    struct Refused {}

    /// Nothing has come for too long.
    struct Suspicion {}

    private let scheme: String
    private weak var session: UpstreamSession?
    // The request.
    private var outbound = ByteBuffer()
    private var reader = HeadReader()
    private var head = RequestHead()
    private var body: BodyFrames?
    // The answer.
    private var hasAnswer = false
    private var isChunked = false

    /// A stream to a server that is spoken to in this scheme, `http` or `https`.
    init(scheme: String, of session: UpstreamSession? = nil) {
        self.scheme = scheme
        self.session = session
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is Suspicion else { return context.triggerUserOutboundEvent(event, promise: promise) }
        session?.suspect()
        promise?.succeed()
    }

    // MARK: The request

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var data = unwrapOutboundIn(data)
        if outbound.readableBytes == 0 { outbound = data } else { outbound.writeBuffer(&data) }
        do throws(CodecError) {
            if body == nil { try sendHead(context) }
            try sendBody(context)
            promise?.succeed()
        } catch {
            promise?.fail(error)
            context.fireErrorCaught(error)
        }
    }

    private func sendHead(_ context: ChannelHandlerContext) throws(CodecError) {
        var failure: CodecError?
        let length = outbound.withUnsafeMutableReadableBytes { bytes -> Int? in
            do throws(CodecError) {
                return try head.read(bytes, with: &reader, limits: .written)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        guard let length else { return }
        let headers = outbound.withUnsafeReadableBytes { self.headers($0) }
        guard HTTP2Fields.fitFrame(headers) else { throw .headTooLarge }
        outbound.moveReaderIndex(forwardBy: length)
        let body = BodyFrames(head.framing)
        self.body = body
        context.write(wrapOutboundOut(.headers(.init(headers: headers, endStream: body.isOver))), promise: nil)
    }

    private func headers(_ bytes: UnsafeRawBufferPointer) -> HPACKHeaders {
        var path = bytes[head.path].text
        if let query = head.query { path += "?\(bytes[query].text)" }
        var headers = HPACKHeaders([
            (":method", bytes[head.methodName].text), (":scheme", scheme), (":authority", bytes[head.host].text),
            (":path", path),
        ])
        for field in reader.fields {
            switch field.known {
            case .host, .connection, .transferEncoding: continue
            case .hopByHop:
                if head.acceptsTrailers, bytes[field.name].equalsIgnoringCase("te") {
                    headers.add(name: "te", value: "trailers")
                }
            default:
                headers.add(
                    name: HTTP2Fields.name(bytes[field.name]), value: bytes[field.value].text,
                    indexing: HTTP2Fields.indexing(of: field.known))
            }
        }
        return headers
    }

    private func sendBody(_ context: ChannelHandlerContext) throws(CodecError) {
        while let frame = try body?.next(&outbound) { context.write(wrapOutboundOut(frame), promise: nil) }
        if outbound.readableBytes == 0 { outbound = ByteBuffer() }
    }

    // MARK: The answer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = ByteBuffer()
        var isValid = true
        switch unwrapInboundIn(data) {
        case .headers(let frame) where !hasAnswer: isValid = writeAnswerHead(frame, into: &bytes)
        case .headers(let frame) where frame.endStream && isChunked:
            isValid = HTTP2Fields.writeLastChunk(frame.headers, into: &bytes)
        case .headers(let frame) where frame.endStream: break
        case .headers: isValid = false
        case .data(let frame):
            guard case .byteBuffer(let data) = frame.data else { return }
            if isChunked {
                HTTP2Fields.writeChunk(data, into: &bytes)
                if frame.endStream { _ = HTTP2Fields.writeLastChunk(nil, into: &bytes) }
            } else {
                bytes = data
            }
        default: return
        }
        guard isValid else { return context.fireErrorCaught(CodecError.bad("the answer's fields are malformed")) }
        if bytes.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
    }

    /// Writes an answer's head as HTTP/1.1 has it; false if it is not valid.
    private func writeAnswerHead(_ frame: HTTP2Frame.FramePayload.Headers, into bytes: inout ByteBuffer) -> Bool {
        guard let status = frame.headers.first(name: ":status").flatMap({ Int($0) }), (100...599).contains(status),
            status != 101
        else { return false }
        bytes.writeString("HTTP/1.1 \(status) \r\n")
        var hasLength = false
        for (name, value, _) in frame.headers where name.utf8.first != UInt8(ascii: ":") {
            guard HTTP2Fields.isValid(name, value) else { return false }
            switch name {
            case "connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection": return false
            case "content-length": hasLength = true
            default: break
            }
            HTTP2Fields.writeLine(name, value, into: &bytes)
        }
        if status >= 200 {
            hasAnswer = true
            let hasBody = head.method != .head && status != 204 && status != 304
            if frame.endStream {
                if hasBody, !hasLength { bytes.writeLiteral("content-length: 0\r\n") }
            } else if hasBody, !hasLength {
                isChunked = true
                bytes.writeLiteral("transfer-encoding: chunked\r\n")
            }
        } else if frame.endStream {
            return false
        }
        bytes.writeLiteral("\r\n")
        return true
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let closed = error as? NIOHTTP2Errors.StreamClosed, closed.errorCode == .refusedStream {
            context.fireUserInboundEventTriggered(Refused())
        }
        context.fireErrorCaught(error)
    }
}
