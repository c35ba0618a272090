import NIOCore

/// A connection to one server of an upstream: carries one exchange at a time, and lies in its pool between them.
final class UpstreamConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let limits = HeadLimits(bytes: 61_440, fields: 256, target: 8192)

    private let worker: Worker
    private let counters: UpstreamCounters
    /// Held until the connection has ended, which over TLS takes a while: a pool that was retired goes with its last one.
    let pool: UpstreamPool
    /// The server's index in the pool.
    let server: Int
    /// The server's host and port.
    let authority: String
    private var context: ChannelHandlerContext?
    private(set) var exchange: Exchange?
    private var inbound = ByteBuffer()
    private var reader = HeadReader()
    private var head = ResponseHead()
    private var body: BodyDecoder?
    private var isReading = false
    private var needsFlush = false
    private var hasServed = false
    private var answerHasBegun = false
    /// Whether it is on its way to its end, and serves nobody any more.
    private(set) var isClosing = false
    private var brokeOff = false
    /// Whether it is one stream of an HTTP/2 connection, which serves one request.
    private let isStream: Bool
    /// Whether the server has said that it did not look at the request.
    private var isRefused = false
    /// Whether the request's fields are more than can be sent.
    private var isTooLong = false
    /// Whether the connection has become a WebSocket's.
    private var isTunnel = false
    /// Whether the present request has gone out whole.
    var requestIsSent = false
    /// When it was put into the pool, in nanoseconds.
    var idleSince: Int64 = 0

    init(pool: UpstreamPool, server: Int, authority: String) {
        worker = pool.worker
        counters = pool.counters
        isStream = pool.upstream.protocol == .http2
        self.pool = pool
        self.server = server
        self.authority = authority
    }

    /// Carries `exchange` from now on.
    func serve(_ exchange: Exchange) {
        self.exchange = exchange
        requestIsSent = false
        answerHasBegun = false
        body = nil
        reader.reset()
        exchange.attached(to: self)
    }

    /// Carries `exchange` in place of the one that it has sent for, whose answer has begun.
    func handOver(to exchange: Exchange) {
        self.exchange = exchange
    }

    /// Its server has been silent for too long: where it is one stream of many, the connection is asked whether it still is one.
    func suspect() {
        if isStream { context?.triggerUserOutboundEvent(UpstreamStream.Suspicion(), promise: nil) }
    }

    /// Ends without telling the exchange, which has left.
    func abandon() {
        exchange = nil
        close()
    }

    func close() {
        isClosing = true
        context?.close(promise: nil)
    }

    /// Whether what is written goes out soon.
    private(set) var isWritable = false

    func write(_ buffer: ByteBuffer) {
        needsFlush = true
        counters.bytesSent &+= UInt64(truncatingIfNeeded: buffer.readableBytes)
        context?.write(wrapOutboundOut(buffer), promise: nil)
    }

    func flush() {
        guard needsFlush else { return }
        needsFlush = false
        context?.flush()
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        isWritable = context.channel.isWritable
    }

    /// Begins to read: answers, and the end of the connection while it lies idle.
    func read() {
        guard !isReading, let context else { return }
        // An answer that is kept is read on: others wait for it, and its size is bounded.
        if let exchange, !exchange.client.isWritable, exchange.fill?.response == nil { return }
        isReading = true
        context.read()
    }

    func clientWritabilityChanged() {
        read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var data = unwrapInboundIn(data)
        guard let exchange else {
            // Bytes that nobody asked for: whatever they are, they are not the answer to the next request.
            close()
            return
        }
        exchange.client.touch()
        counters.bytesReceived &+= UInt64(truncatingIfNeeded: data.readableBytes)
        if isTunnel { return exchange.client.write(data) }
        if inbound.readableBytes == 0 { inbound = data } else { inbound.writeBuffer(&data) }
        process()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        exchange?.client.flush()
        read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        guard isWritable, let exchange else { return }
        exchange.client.touch()
        exchange.client.pumpBody()
        flush()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is UpstreamStream.Refused { isRefused = true }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        brokeOff = true
        if let error = error as? CodecError, error.status == CodecError.headTooLarge.status { isTooLong = true }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        isWritable = false
        pool.closed(self)
        guard let exchange else { return }
        self.exchange = nil
        if isTunnel {
            exchange.tunnelEnded()
        } else if let body, body.endsWithConnection, !brokeOff {
            exchange.responseEnd()
            exchange.finish()
        } else {
            fail(exchange, isTooLong ? .tooLong : isRefused ? .refused : answerHasBegun || !hasServed ? .lost : .stale)
        }
    }

    private func fail(_ exchange: Exchange, _ failure: AttemptFailure) {
        exchange.attemptFailed(failure, pool: pool, server: server)
    }

    // MARK: Answers

    private func process() {
        answerHasBegun = true
        do throws(CodecError) {
            while body == nil {
                guard try readHead() else { return }
            }
            try readBody()
        } catch {
            guard let exchange else { return }
            self.exchange = nil
            exchange.dropComposed()
            close()
            fail(exchange, .invalid(error))
        }
    }

    /// Reads a head; false when more bytes are needed, or when the exchange has gone on without this connection.
    private func readHead() throws(CodecError) -> Bool {
        guard let exchange else { return false }
        var failure: CodecError?
        let length = inbound.withUnsafeReadableBytes { bytes -> Int? in
            do throws(CodecError) {
                return try head.read(
                    bytes, with: &reader, limits: UpstreamConnection.limits, method: exchange.head.method)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        guard let length else { return false }
        if head.status == 101 {
            guard exchange.wantsWebSocket else { throw .bad("the protocol was switched unasked") }
            isTunnel = true
            inbound.withUnsafeReadableBytes { bytes in
                let bytes = UnsafeRawBufferPointer(rebasing: bytes[0..<length])
                exchange.becomeTunnel(head, fields: reader.fields, bytes: bytes)
            }
            inbound.moveReaderIndex(forwardBy: length)
            if inbound.readableBytes > 0 { exchange.client.write(inbound) }
            inbound = ByteBuffer()
            return false
        }
        let isInterim = head.status < 200
        if head.status >= 500, exchange.retriesAnswer(status: head.status, retryAfter: retryAfter, from: self) {
            return false
        }
        inbound.withUnsafeReadableBytes { bytes in
            let bytes = UnsafeRawBufferPointer(rebasing: bytes[0..<length])
            if isInterim {
                exchange.interimHead(head, fields: reader.fields, bytes: bytes)
            } else {
                exchange.responseHead(head, fields: reader.fields, bytes: bytes)
            }
        }
        inbound.moveReaderIndex(forwardBy: length)
        reader.reset()
        if !isInterim { body = BodyDecoder(head.framing) }
        return self.exchange != nil
    }

    /// What `Retry-After` asks for, where it is a number of seconds (RFC 9110 10.2.3).
    private var retryAfter: Duration? {
        inbound.withUnsafeReadableBytes { bytes in
            let field = reader.fields.first { bytes[$0.name].equalsIgnoringCase("retry-after") }
            return field.flatMap { bytes[$0.value].decimal() }.map { .seconds($0) }
        }
    }

    private func readBody() throws(CodecError) {
        guard let exchange else { return }
        // Writing may end the client's connection, and with it the exchange, which leaves this connection then.
        while let slice = try body?.next(&inbound) {
            exchange.responseBody(slice)
            guard self.exchange === exchange else { return exchange.dropComposed() }
        }
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        guard let body, body.isDone else {
            exchange.commitResponse()
            return
        }
        exchange.responseEnd(trailers: body.trailers)
        guard self.exchange === exchange else { return }
        self.exchange = nil
        hasServed = true
        exchange.responder = .none
        let isReusable = !isStream && head.keepAlive && requestIsSent && inbound.readableBytes == 0
        if isReusable { pool.release(self) } else { close() }
        exchange.finish()
    }
}
