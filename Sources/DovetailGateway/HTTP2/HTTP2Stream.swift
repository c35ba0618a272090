import Foundation
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

    /// The client gets a 502 in place of the answer that was written.
    struct AnswerRefused {}

    private var isChunked = false
    private var hasHead = false
    private var requestIsOver = false
    private var method = Method.get
    /// Whether the client asks for a WebSocket (RFC 8441), and whether it has one.
    private var wantsTunnel = false
    private var isTunnel = false
    // The answer.
    private var outbound = ByteBuffer()
    private var reader = HeadReader()
    private var head = ResponseHead()
    private var body: BodyFrames?
    private var isOver = false
    /// When the frame that ends our half has gone out.
    private var lastFrame: EventLoopFuture<Void>?

    // MARK: The request

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let payload = unwrapInboundIn(data)
        let wasOver = isOver
        read(payload, context)
        guard payload.endsStream else { return }
        requestIsOver = true
        // What was answered at once is not out yet, and ends the stream by itself.
        if wasOver { context.close(promise: nil) }
    }

    private func read(_ payload: HTTP2Frame.FramePayload, _ context: ChannelHandlerContext) {
        switch payload {
        case .headers(let frame) where !hasHead:
            guard let bytes = requestHead(frame, context) else { return reset(context, .protocolError) }
            hasHead = true
            context.fireChannelRead(wrapInboundOut(bytes))
        case .headers(let frame) where frame.endStream:
            guard isChunked else { return }
            var last = ByteBuffer()
            guard HTTP2Fields.writeLastChunk(frame.headers, into: &last) else { return reset(context, .protocolError) }
            context.fireChannelRead(wrapInboundOut(last))
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
            // A WebSocket has ended when its client says no more.
            if wantsTunnel, isLast { close(context: context, mode: .all, promise: nil) }
            return
        }
        var chunk = context.channel.allocator.buffer(capacity: bytes.readableBytes + 24)
        HTTP2Fields.writeChunk(bytes, into: &chunk)
        if isLast { _ = HTTP2Fields.writeLastChunk(nil, into: &chunk) }
        if chunk.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(chunk)) }
    }

    /// The head as HTTP/1.1 has it; nil if a field holds what no field may.
    private func requestHead(_ frame: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) -> ByteBuffer?
    {
        guard var methodText = frame.headers.first(name: ":method"), let path = frame.headers.first(name: ":path"),
            methodText.utf8.allSatisfy(ByteClass.token.contains),
            !path.isEmpty, path.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else { return nil }
        if let wanted = frame.headers.first(name: ":protocol") {
            guard methodText == "CONNECT", wanted == "websocket", !frame.endStream else { return nil }
            wantsTunnel = true
            methodText = "GET"
        }
        method = Array(methodText.utf8).withUnsafeBytes { Method($0) } ?? .other
        let authority = frame.headers.first(name: ":authority")
        var bytes = context.channel.allocator.buffer(capacity: 512)
        bytes.writeString(methodText)
        bytes.writeLiteral(" ")
        bytes.writeString(path)
        bytes.writeLiteral(" HTTP/1.1\r\n")
        var hasLength = false
        var cookies: [String] = []
        if let authority {
            guard authority.utf8.allSatisfy(isFieldValueByte) else { return nil }
            HTTP2Fields.writeLine("host", authority, into: &bytes)
        }
        for (name, value, _) in frame.headers where name.utf8.first != UInt8(ascii: ":") {
            guard HTTP2Fields.isValid(name, value) else { return nil }
            switch name {
            case "host" where authority != nil: continue
            case "cookie":
                // RFC 9113 8.2.3: what was split to compress better is one field again.
                cookies.append(value)
                continue
            case "content-length": hasLength = true
            case "sec-websocket-key" where wantsTunnel: continue
            case "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade": return nil
            default: break
            }
            HTTP2Fields.writeLine(name, value, into: &bytes)
        }
        if !cookies.isEmpty { bytes.writeString("cookie: \(cookies.joined(separator: "; "))\r\n") }
        if wantsTunnel {
            // HTTP/2 has no use for the key, HTTP/1.1 wants one (RFC 8441 5).
            let key = Data((0..<16).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
            bytes.writeString("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: \(key)\r\n")
        }
        isChunked = !frame.endStream && !hasLength && !wantsTunnel
        if isChunked { bytes.writeLiteral("transfer-encoding: chunked\r\n") }
        bytes.writeLiteral("\r\n")
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
            if let lastFrame { lastFrame.cascade(to: promise) } else { promise?.succeed() }
            return
        }
        if outbound.readableBytes == 0 { outbound = data } else { outbound.writeBuffer(&data) }
        do throws(CodecError) {
            while body == nil, !isTunnel { guard try answerHead(context) else { break } }
            if isTunnel, outbound.readableBytes > 0 {
                send(outbound, isLast: false, context)
                outbound = ByteBuffer()
            }
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
                return try head.read(bytes, with: &reader, limits: .written, method: method)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        guard let length else { return false }
        let isTunnel = head.status == 101
        var headers = HPACKHeaders([(":status", String(isTunnel ? 200 : head.status))])
        outbound.withUnsafeReadableBytes { bytes in
            for field in reader.fields {
                switch field.known {
                case .connection, .transferEncoding, .hopByHop: continue
                case .other where isTunnel && bytes[field.name].equalsIgnoringCase("sec-websocket-accept"): continue
                default:
                    headers.add(
                        name: HTTP2Fields.name(bytes[field.name]), value: bytes[field.value].text,
                        indexing: HTTP2Fields.indexing(of: field.known))
                }
            }
        }
        outbound.moveReaderIndex(forwardBy: length)
        reader.reset()
        let isFinal = head.status >= 200
        guard HTTP2Fields.fitFrame(headers) else {
            if isFinal || isTunnel { refuseAnswer(context) }
            return !isOver
        }
        self.isTunnel = isTunnel
        if isFinal { body = BodyFrames(head.framing) }
        let ends = body?.isOver ?? false
        send(.headers(.init(headers: headers, endStream: ends)), context)
        isOver = ends
        return true
    }

    /// An answer whose head cannot be sent is none.
    private func refuseAnswer(_ context: ChannelHandlerContext) {
        isOver = true
        outbound = ByteBuffer()
        context.fireUserInboundEventTriggered(AnswerRefused())
        send(.headers(.init(headers: HPACKHeaders([(":status", "502")]), endStream: true)), context)
    }

    private func answerBody(_ context: ChannelHandlerContext) throws(CodecError) {
        guard !isOver else { return }
        while let frame = try body?.next(&outbound) { send(frame, context) }
        isOver = body?.isOver ?? false
    }

    private func send(_ bytes: ByteBuffer, isLast: Bool, _ context: ChannelHandlerContext) {
        send(.data(.init(data: .byteBuffer(bytes), endStream: isLast)), context)
        isOver = isLast
    }

    private func send(_ frame: HTTP2Frame.FramePayload, _ context: ChannelHandlerContext) {
        guard frame.endsStream else { return context.write(wrapOutboundOut(frame), promise: nil) }
        let sent = context.eventLoop.makePromise(of: Void.self)
        lastFrame = sent.futureResult
        context.write(wrapOutboundOut(frame), promise: sent)
    }

    /// Our half ends with the answer; the stream itself when the client's half has ended too, or is waited for no longer.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if !isOver, isTunnel || (mode == .output && body?.endsWithConnection ?? false) {
            send(ByteBuffer(), isLast: true, context)
            context.flush()
        }
        guard mode == .output, isOver, !requestIsOver else { return context.close(mode: .all, promise: promise) }
        promise?.succeed()
    }
}

extension HTTP2Frame.FramePayload {
    /// Whether its sender says no more in this stream.
    fileprivate var endsStream: Bool {
        switch self {
        case .headers(let frame): frame.endStream
        case .data(let frame): frame.endStream
        default: false
        }
    }
}
