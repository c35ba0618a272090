import NIOCore
import NIOHPACK
import NIOHTTP2

/// One stream of an HTTP/2 connection, told to its ``ClientConnection`` as an HTTP/1.1 connection with one request (RFC 9113 8).
///
/// What comes is written as a head and a body and goes through the same validation, routing and filters as any other request; the answer's head and
/// body are read back into frames.
final class HTTP2Stream: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    private static let limits = HeadLimits(bytes: 61_440, fields: 512, target: 8192)

    private var isChunked = false
    private var hasHead = false
    private var method = Method.get
    // The answer.
    private var outbound = ByteBuffer()
    private var reader = HeadReader()
    private var head = ResponseHead()
    private var body: BodyDecoder?
    private var isOver = false

    // MARK: The request

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let frame) where !hasHead:
            guard let bytes = requestHead(frame) else { return reset(context, .protocolError) }
            hasHead = true
            context.fireChannelRead(wrapInboundOut(bytes))
        case .headers(let frame) where frame.endStream:
            // Trailers: the gateway forwards none.
            if isChunked { context.fireChannelRead(wrapInboundOut(ByteBuffer(staticString: "0\r\n\r\n"))) }
        case .headers: reset(context, .protocolError)
        case .data(let frame):
            guard case .byteBuffer(let bytes) = frame.data else { return }
            requestBody(bytes, isLast: frame.endStream, context)
        default: break
        }
    }

    private func requestBody(_ bytes: ByteBuffer, isLast: Bool, _ context: ChannelHandlerContext) {
        guard isChunked else {
            if bytes.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
            return
        }
        var chunk = context.channel.allocator.buffer(capacity: bytes.readableBytes + 24)
        if bytes.readableBytes > 0 {
            chunk.writeShortHex(bytes.readableBytes)
            chunk.writeStaticString("\r\n")
            chunk.writeImmutableBuffer(bytes)
            chunk.writeStaticString("\r\n")
        }
        if isLast { chunk.writeStaticString("0\r\n\r\n") }
        if chunk.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(chunk)) }
    }

    /// The head as HTTP/1.1 has it; nil if a field holds what no field may.
    private func requestHead(_ frame: HTTP2Frame.FramePayload.Headers) -> ByteBuffer? {
        guard let methodText = frame.headers.first(name: ":method"), let path = frame.headers.first(name: ":path"),
            methodText.utf8.allSatisfy(ByteClass.token.contains),
            !path.isEmpty, path.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else { return nil }
        method = Array(methodText.utf8).withUnsafeBytes { Method($0) } ?? .get
        let authority = frame.headers.first(name: ":authority")
        var bytes = ByteBuffer()
        bytes.writeString("\(methodText) \(path) HTTP/1.1\r\n")
        var hasLength = false
        var cookies: [String] = []
        if let authority {
            guard authority.utf8.allSatisfy(isFieldValueByte) else { return nil }
            bytes.writeString("host: \(authority)\r\n")
        }
        for (name, value, _) in frame.headers where !name.hasPrefix(":") {
            guard !name.isEmpty, name.utf8.allSatisfy({ ByteClass.token.contains($0) && !(0x41...0x5A).contains($0) }),
                value.utf8.allSatisfy(isFieldValueByte)
            else { return nil }
            switch name {
            case "host" where authority != nil: continue
            case "cookie":
                // RFC 9113 8.2.3: what was split to compress better is one field again.
                cookies.append(value)
                continue
            case "content-length": hasLength = true
            case "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade": return nil
            default: break
            }
            bytes.writeString("\(name): \(value)\r\n")
        }
        if !cookies.isEmpty { bytes.writeString("cookie: \(cookies.joined(separator: "; "))\r\n") }
        isChunked = !frame.endStream && !hasLength
        if isChunked { bytes.writeStaticString("transfer-encoding: chunked\r\n") }
        bytes.writeStaticString("\r\n")
        return bytes
    }

    private func reset(_ context: ChannelHandlerContext, _ code: HTTP2ErrorCode) {
        isOver = true
        context.writeAndFlush(wrapOutboundOut(.rstStream(code)), promise: nil)
        context.close(promise: nil)
    }

    // MARK: The answer

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var data = unwrapOutboundIn(data)
        // An empty write asks to be told when what came before has been handed on; behind the end nothing is sent.
        guard data.readableBytes > 0, !isOver else {
            promise?.succeed()
            return
        }
        if outbound.readableBytes == 0 { outbound = data } else { outbound.writeBuffer(&data) }
        do throws(CodecError) {
            while body == nil { guard try answerHead(context) else { break } }
            try answerBody(context)
        } catch {
            reset(context, .internalError)
        }
        promise?.succeed()
    }

    /// Sends a head on; false when more of it has to come.
    private func answerHead(_ context: ChannelHandlerContext) throws(CodecError) -> Bool {
        var failure: CodecError?
        let length = outbound.withUnsafeReadableBytes { bytes -> Int? in
            do throws(CodecError) {
                return try head.read(bytes, with: &reader, limits: HTTP2Stream.limits, method: method)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        guard let length else { return false }
        var headers = HPACKHeaders([(":status", String(head.status))])
        outbound.withUnsafeReadableBytes { bytes in
            for field in reader.fields {
                switch field.known {
                case .connection, .transferEncoding, .hopByHop: continue
                default: headers.add(name: bytes[field.name].text.lowercased(), value: bytes[field.value].text)
                }
            }
        }
        outbound.moveReaderIndex(forwardBy: length)
        reader.reset()
        let isFinal = head.status >= 200
        if isFinal { body = BodyDecoder(head.framing) }
        let ends = isFinal && (body?.isDone ?? false)
        context.write(wrapOutboundOut(.headers(.init(headers: headers, endStream: ends))), promise: nil)
        isOver = ends
        return true
    }

    private func answerBody(_ context: ChannelHandlerContext) throws(CodecError) {
        guard body != nil, !isOver else { return }
        while let slice = try body?.next(&outbound) {
            let ends = body?.isDone ?? false
            context.write(wrapOutboundOut(.data(.init(data: .byteBuffer(slice), endStream: ends))), promise: nil)
            isOver = ends
        }
        if !isOver, body?.isDone ?? false {
            isOver = true
            context.write(
                wrapOutboundOut(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true))), promise: nil)
        }
    }

    /// A stream has no half that closes by itself: the answer's end has closed it, or it is reset.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .output, !isOver, body?.endsWithConnection ?? false {
            isOver = true
            context.writeAndFlush(
                wrapOutboundOut(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true))), promise: nil)
        }
        context.close(mode: .all, promise: promise)
    }
}
