import DovetailCore
import NIOCore

extension ClientPipeline {
    /// Begins with a connection: with what a load balancer says of it, where it is one's, else with TLS or HTTP.
    static func begin(_ channel: any Channel, _ worker: Worker, _ certificates: CertificateTable?) throws {
        guard !worker.snapshot.configuration.proxyProtocol.isEmpty else {
            return try proceed(channel, worker, certificates, address: nil)
        }
        try channel.pipeline.syncOperations.addHandler(ProxyHeaderReader(worker, certificates))
    }

    fileprivate static func proceed(
        _ channel: any Channel, _ worker: Worker, _ certificates: CertificateTable?, address: String?
    ) throws {
        if let context = certificates?.context {
            try secure(channel, worker, context, address: address)
        } else {
            try plain(channel, worker, address: address)
        }
    }
}

/// Reads the header of the PROXY protocol from those who have to send one, before anything else of the connection.
///
/// What is malformed, and what does not come in time, ends the connection.
private final class ProxyHeaderReader: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let worker: Worker
    private let certificates: CertificateTable?
    private let timer: FirstWordsTimer
    private var inbound = ByteBuffer()
    private var hasBegun = false
    private var isDone = false

    init(_ worker: Worker, _ certificates: CertificateTable?) {
        self.worker = worker
        self.certificates = certificates
        timer = FirstWordsTimer(worker)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        let configuration = worker.snapshot.configuration
        let peer = context.channel.remoteAddress?.ipAddress.flatMap(AddressRange.bytes(of:))
        guard let peer, configuration.proxyProtocol.contains(where: { $0.contains(peer) }) else {
            return proceed(context, address: nil)
        }
        timer.start(context)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return context.fireChannelRead(data) }
        var data = unwrapInboundIn(data)
        inbound.writeBuffer(&data)
        switch ProxyHeader.read(inbound.readableBytesView) {
        case .incomplete: break
        case .malformed: context.close(promise: nil)
        case .header(let header):
            inbound.moveReaderIndex(forwardBy: header.length)
            proceed(context, address: header.source)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if !isDone { context.read() }
    }

    private func proceed(_ context: ChannelHandlerContext, address: String?) {
        isDone = true
        timer.stop()
        do {
            try ClientPipeline.proceed(context.channel, worker, certificates, address: address)
        } catch {
            return context.close(promise: nil)
        }
        if inbound.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(inbound))
            inbound = ByteBuffer()
        }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer.stop() }

    func channelInactive(context: ChannelHandlerContext) {
        timer.stop()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
