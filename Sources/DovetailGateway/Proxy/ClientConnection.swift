import DovetailCore
import NIOCore

/// One client's connection: reads requests in place, hands each to an ``Exchange``, and writes the answers in order.
///
/// Requests of a pipeline are served one after the other. Reading stops while too much waits to be used, so that a client is
/// never buffered beyond ``readAhead``.
final class ClientConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Between requests, or within a head.
        case head
        /// An exchange is in progress.
        case exchange
        /// It is a WebSocket's.
        case tunnel
        /// The answer is out; what is left of the request's body is read and dropped.
        case discarding
        /// The last answer is out and our side is closed; what still comes is dropped, for the answer to arrive (RFC 9112 9.6).
        case lingering
        case closed
    }

    private static let readAhead = 65_536
    private static let discardLimit = 262_144
    private static let lingerTime = Duration.seconds(2)

    let worker: Worker
    private var context: ChannelHandlerContext?
    private var phase = Phase.head
    private var inbound = ByteBuffer()
    private var reader = HeadReader()
    private var head = RequestHead()
    private var body = BodyDecoder(.none)
    private var bodyEndDelivered = false
    private(set) var exchange: Exchange?
    /// Of the present exchange.
    private(set) var bytesWritten = 0
    private var isProcessing = false
    private var isReading = false
    private var inputClosed = false
    private var needsFlush = false
    private var headStarted = false
    private var hasServed = false
    private var lingers = false
    private let timer = WheelTimer()
    /// When bytes last went either way, to 10 ms, in nanoseconds.
    private var lastActivity: Int64 = 0
    let deadlineTimer = WheelTimer()
    /// Bounds the present attempt; made with the first request to an upstream that has such a bound.
    var attemptTimer: WheelTimer?
    /// The client's address, without its port.
    private(set) var address = ""
    /// The same as bytes, for filters; worked out when one asks.
    var addressBytes: [UInt8]? {
        if knownAddressBytes == nil { knownAddressBytes = .some(AddressRange.bytes(of: address)) }
        return knownAddressBytes ?? nil
    }
    private var knownAddressBytes: [UInt8]??
    /// Whether the client came over TLS, as far as is known.
    private(set) var isSecure: Bool
    /// Whether this connection is TLS's.
    private let isTLS: Bool
    /// The address that a proxy in front has told of the connection.
    private let toldAddress: String?
    /// The address of whoever made the connection, if what it says of others is believed; nil if not.
    private var trustedPeer: String?
    /// Whether it is one stream of an HTTP/2 connection.
    private let isStream: Bool
    /// The names of the client's certificate; worked out when a filter asks.
    private(set) lazy var certificateNames: [String] =
        origin?.client?.certificateNames ?? (context?.channel).map(ClientConnection.certificateNames) ?? []
    /// What it has of the request that it is made for, where it is the gateway's own.
    let origin: RequestOrigin?
    /// `x-forwarded-for` and `x-forwarded-proto`, the same for each request of a connection.
    private(set) var forwardedFields: [UInt8] = []
    /// What `Forwarded` says besides the host; empty if upstreams do not get it.
    private(set) var forwardedElements: [UInt8] = []
    /// Whether the connection goes on after the present answer.
    private(set) var keepsAlive = true

    init(
        worker: Worker, isSecure: Bool, isStream: Bool = false, address: String? = nil, origin: RequestOrigin? = nil
    ) {
        self.worker = worker
        self.origin = origin
        self.isSecure = isSecure
        isTLS = isSecure
        toldAddress = address
        self.isStream = isStream
        timer.onFire = { [unowned self] in timedOut() }
        deadlineTimer.onFire = { [unowned self] in exchange?.deadlineReached() }
    }

    /// What stands for `client` in requests that the gateway makes of its own: nothing is written to it.
    init(detachedFrom client: ClientConnection) {
        worker = client.worker
        isSecure = client.isSecure
        isTLS = client.isTLS
        toldAddress = nil
        origin = client.origin
        isStream = false
        address = client.address
        forwardedFields = client.forwardedFields
        forwardedElements = client.forwardedElements
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        isWritable = context.channel.isWritable
        if context.channel.isActive { opened(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        opened(context)
    }

    private func opened(_ context: ChannelHandlerContext) {
        guard forwardedFields.isEmpty else { return }
        if let origin {
            (address, forwardedFields, forwardedElements) = (
                origin.address, origin.forwardedFields, origin.forwardedElements
            )
        } else {
            let peer = toldAddress ?? context.channel.remoteAddress?.ipAddress ?? "unknown"
            know(ForwardedChain(peer: peer, isSecure: isTLS))
            let trusted = worker.snapshot.configuration.trustedProxies
            if !trusted.isEmpty, let bytes = addressBytes, trusted.contains(where: { $0.contains(bytes) }) {
                trustedPeer = peer
            }
            worker.opened(self)
        }
        worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.headTimeout))
        read()
    }

    /// Takes over who the client is.
    private func know(_ chain: ForwardedChain) {
        address = chain.client
        isSecure = chain.isSecure
        knownAddressBytes = nil
        forwardedFields = chain.fields
        forwardedElements = worker.snapshot.configuration.sendsForwarded ? chain.elements : []
    }

    func channelInactive(context: ChannelHandlerContext) {
        close()
        self.context = nil
        isWritable = false
        // Where HTTP/2 was noticed just now, those that speak it are behind.
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        close()
        self.context = nil
        isWritable = false
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var data = unwrapInboundIn(data)
        guard phase != .lingering, phase != .closed else { return }
        touch()
        if inbound.readableBytes == 0 { inbound = data } else { inbound.writeBuffer(&data) }
        if !hasServed, !isTLS, !isStream {
            let bytes = inbound.readableBytesView
            if bytes.starts(with: ClientConnection.preface) { return becomeHTTP2(context) }
            // It may come in pieces; what has come of it is no request by itself.
            if ClientConnection.preface.starts(with: bytes) { return }
        }
        process()
    }

    /// How HTTP/2 begins (RFC 9113 3.4); no HTTP/1.1 request does.
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private func becomeHTTP2(_ context: ChannelHandlerContext) {
        let bytes = inbound
        inbound = ByteBuffer()
        do {
            try ClientPipeline.addHTTP2(context.channel, worker, isSecure: false, address: toldAddress)
        } catch {
            return context.close(promise: nil)
        }
        context.fireChannelActive()
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        touch()
        exchange?.clientWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is HTTP2Stream.AnswerRefused { exchange?.answerRefused() }
        guard case .some(ChannelEvent.inputClosed) = event as? ChannelEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        inputClosed = true
        guard phase == .exchange, mayWaitForAnswer else { return context.close(promise: nil) }
        process()
    }

    /// Whether a client that has ended its sending side may still read: it has said that no request follows, or has sent what follows already.
    /// Any other has gone, as far as can be known, and what is done for it is in vain.
    private var mayWaitForAnswer: Bool {
        if body.isDone { return !head.keepAlive || inbound.readableBytes > 0 }
        return !head.keepAlive && inbound.readableBytes > 0
    }

    /// Whether what is written goes out soon.
    private(set) var isWritable = true

    private func read() {
        guard !isReading, !inputClosed, phase != .closed, let context else { return }
        if phase == .exchange, inbound.readableBytes >= ClientConnection.readAhead { return }
        if phase == .tunnel, let exchange, !exchange.takesBody { return }
        isReading = true
        context.read()
    }

    // MARK: Reading

    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        while true {
            switch phase {
            case .head:
                guard readHead() else { return }
            case .exchange:
                pumpBody()
                guard phase != .exchange else { return }
            case .tunnel:
                if inbound.readableBytes > 0 { exchange?.tunnel(inbound) }
                inbound = ByteBuffer()
                return
            case .discarding:
                guard discard() else { return }
            case .lingering, .closed:
                inbound.clear()
                return
            }
        }
    }

    /// Reads a head and starts its exchange; false when more bytes are needed.
    private func readHead() -> Bool {
        guard inbound.readableBytes > 0 else {
            if inputClosed { context?.close(promise: nil) }
            return false
        }
        let (limits, underscores) = (worker.snapshot.headLimits, worker.snapshot.underscores)
        var failure: CodecError?
        let length = inbound.withUnsafeMutableReadableBytes { bytes -> Int? in
            do throws(CodecError) {
                return try head.read(bytes, with: &reader, limits: limits, underscores: underscores)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure {
            refuse(failure)
            return false
        }
        guard let length, let bytes = inbound.readSlice(length: length) else {
            if !headStarted {
                headStarted = true
                if hasServed { worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.headTimeout)) }
            }
            return false
        }
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        headStarted = false
        hasServed = true
        if head.droppedFields > 0 { worker.counters.droppedFields += UInt64(head.droppedFields) }
        start(bytes)
        return true
    }

    private func start(_ bytes: ByteBuffer) {
        phase = .exchange
        bytesWritten = 0
        body = BodyDecoder(head.framing)
        bodyEndDelivered = false
        if let trustedPeer {
            know(
                bytes.withUnsafeReadableBytes {
                    ForwardedChain(
                        peer: trustedPeer, isSecure: isTLS, saying: reader.fields, in: $0,
                        trusted: worker.snapshot.configuration.trustedProxies)
                })
        }
        keepsAlive = head.keepAlive && !inputClosed && !worker.isDraining
        let exchange = Exchange(client: self, head: head, fields: reader.fields, bytes: bytes)
        self.exchange = exchange
        reader.reset()
        // Otherwise the timer stays as it is, and is moved when it fires.
        if worker.snapshot.timesEachRequest, let time = worker.snapshot.streamTimeout {
            worker.schedule(timer, at: exchange.started.advanced(byNanoseconds: time))
        }
        exchange.start()
    }

    /// Bytes have gone one way or the other.
    func touch() { lastActivity = worker.tickTime }

    /// Whether nothing has gone either way for as long as may be; looks again later if something has.
    private func checkActivity() {
        guard let exchange, let time = worker.snapshot.streamTimeout else { return }
        let now = MonotonicTime.now
        let since = MonotonicTime(nanoseconds: max(lastActivity, exchange.started.nanoseconds))
        let due = since.advanced(byNanoseconds: time)
        guard due <= now, exchange.idled() else {
            if self.exchange === exchange {
                worker.schedule(timer, at: due > now ? due : now.advanced(byNanoseconds: time))
            }
            return
        }
        flush()
    }

    /// Hands over as much of the request's body as has arrived and the exchange takes.
    func pumpBody() {
        if phase == .tunnel { return read() }
        guard phase == .exchange, let exchange else { return }
        while exchange.takesBody, !bodyEndDelivered {
            let slice: ByteBuffer?
            do throws(CodecError) {
                slice = try body.next(&inbound)
            } catch {
                exchange.requestBodyFailed(error)
                return
            }
            if let slice {
                exchange.requestBody(slice, count: body.count)
            } else if body.isDone {
                bodyEndDelivered = true
                exchange.requestBodyEnd()
            } else {
                // Its end will not come.
                if inputClosed { return abort() }
                break
            }
            guard self.exchange === exchange else { return }
        }
        exchange.flushRequest()
        read()
    }

    /// Whether none of the request's body has been used yet, nor has any of it arrived.
    var awaitsBody: Bool { !body.isDone && body.count == 0 && inbound.readableBytes == 0 }
    /// Whether the whole body of the present request has been handed over.
    var requestIsComplete: Bool { body.isDone }

    /// What stood behind the body of the present request.
    var requestTrailers: [UInt8] { body.trailers }

    private func discard() -> Bool {
        do throws(CodecError) {
            while try body.next(&inbound) != nil {}
        } catch {
            lingerAndClose()
            return false
        }
        guard !body.isDone else {
            nextRequest()
            return true
        }
        if body.count > ClientConnection.discardLimit { lingerAndClose() }
        return false
    }

    // MARK: Writing

    /// Writes `buffer`; it goes out with the next ``flush()``.
    func write(_ buffer: ByteBuffer) {
        guard let context, phase != .closed else { return }
        needsFlush = true
        bytesWritten += buffer.readableBytes
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    func flush() {
        guard needsFlush, let context else { return }
        needsFlush = false
        context.flush()
    }

    /// Asks the client for the body it holds back (RFC 9110 10.1.1).
    func sendContinue() {
        write(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n"))
        flush()
    }

    /// No request follows the present one.
    func stopKeepingAlive() {
        keepsAlive = false
    }

    /// From now on bytes go through as they come.
    func becomeTunnel() {
        phase = .tunnel
        keepsAlive = false
        flush()
        process()
        read()
    }

    // MARK: The end of an exchange

    /// The answer has been written whole.
    func exchangeFinished() {
        exchange = nil
        worker.disarm(deadlineTimer)
        if let attemptTimer { worker.disarm(attemptTimer) }
        flush()
        if phase == .tunnel { return isStream ? lingerAndClose() : closeAfterFlush() }
        guard phase == .exchange else { return }
        if !keepsAlive {
            if body.isDone, !lingers, !worker.isDraining { closeAfterFlush() } else { lingerAndClose() }
        } else if body.isDone {
            nextRequest()
            process()
        } else if let remaining = body.remaining, remaining > ClientConnection.discardLimit {
            lingerAndClose()
        } else {
            phase = .discarding
            worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.headTimeout))
            process()
            read()
        }
    }

    private func nextRequest() {
        if isStream {
            // It has one request: what else comes in it is none (RFC 9113 8.1).
            phase = .lingering
            inbound = ByteBuffer()
        } else {
            phase = .head
            if worker.isDraining, inbound.readableBytes == 0 { return lingerAndClose() }
        }
        worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.idleTimeout))
        read()
    }

    /// Ends the connection at once: the answer cannot be completed, and the client must see that.
    func abort() {
        context?.close(promise: nil)
    }

    /// Answers what was no valid request, and lets none follow.
    private func refuse(_ error: CodecError) {
        phase = .exchange
        body = BodyDecoder(.none)
        keepsAlive = false
        lingers = true
        let exchange = Exchange(client: self, head: RequestHead(), fields: [], bytes: ByteBuffer())
        self.exchange = exchange
        exchange.reject(
            .malformed, Problem("malformed-request", status: error.status, detail: error.reason.description))
    }

    private func closeAfterFlush() {
        guard let context else { return }
        phase = .lingering
        // One who does not read it is let go all the same.
        worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.idleTimeout))
        let loop = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in loop.value.close(promise: nil) }
    }

    private func lingerAndClose() {
        guard let context, phase != .lingering, phase != .closed else { return }
        phase = .lingering
        inbound = ByteBuffer()
        // One who does not read it is let go all the same.
        worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.idleTimeout))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let inputClosed = inputClosed
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            let (client, context) = bound.value
            context.close(mode: inputClosed ? .all : .output, promise: nil)
            guard client.phase == .lingering else { return }
            client.worker.schedule(client.timer, at: .now + ClientConnection.lingerTime)
        }
        read()
    }

    private func timedOut() {
        switch phase {
        case .head where headStarted:
            refuse(CodecError(status: 408, reason: "the request's head did not arrive in time"))
        case .head, .discarding, .lingering: context?.close(promise: nil)
        case .exchange, .tunnel: checkActivity()
        case .closed: break
        }
    }

    /// Closes once nothing is in progress. An idle connection gets a moment in which a request under way is still served.
    func drain() {
        keepsAlive = false
        if phase == .head, !headStarted { worker.schedule(timer, at: .now + .milliseconds(100)) }
    }

    private func close() {
        guard phase != .closed else { return }
        phase = .closed
        worker.cancel(timer)
        worker.cancel(deadlineTimer)
        if let attemptTimer { worker.cancel(attemptTimer) }
        exchange?.clientGone()
        exchange = nil
        worker.closed(self)
    }
}
