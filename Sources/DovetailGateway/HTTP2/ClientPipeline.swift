import DovetailCore
import NIOCore
import NIOHTTP2
import NIOSSL
import NIOTLS

/// Makes a client's connection speak what the client speaks.
enum ClientPipeline {
    /// A connection in clear text: HTTP/1.1, or HTTP/2 by prior knowledge, which ``ClientConnection`` notices (RFC 9113 3.3).
    static func plain(_ channel: any Channel, _ worker: Worker, address: String? = nil) throws {
        try channel.pipeline.syncOperations.addHandler(
            ClientConnection(worker: worker, isSecure: false, address: address))
    }

    /// A connection over TLS: what ALPN has agreed on (RFC 7301).
    static func secure(
        _ channel: any Channel, _ worker: Worker, _ context: NIOSSLContext, address: String? = nil
    ) throws {
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
        try channel.pipeline.syncOperations.addHandler(ProtocolChoice(worker, address: address))
    }

    /// HTTP/2 from here on.
    static func addHTTP2(_ channel: any Channel, _ worker: Worker, isSecure: Bool, address: String? = nil) throws {
        try channel.syncOptions?.setOption(.autoRead, value: true)
        let limits = worker.snapshot.configuration
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 100),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headLimits.bytes),
            // WebSockets may be made of streams (RFC 8441).
            HTTP2Setting(parameter: .enableConnectProtocol, value: 1),
        ]
        connection.targetWindowSize = 1_048_576
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = 65_535
        var management = NIOHTTP2ServerConnectionManagementHandler.Configuration.defaults
        management.maxIdleTime = .nanoseconds(limits.timeouts.idle.wholeNanoseconds)
        management.maxGraceTime = .nanoseconds(limits.timeouts.drain.wholeNanoseconds)
        let manager = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop, configuration: management)
        let bound = NIOLoopBound(worker, eventLoop: channel.eventLoop)
        _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: stream,
            streamDelegate: manager.http2StreamDelegate
        ) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.syncOptions?.setOption(.autoRead, value: false)
                try channel.pipeline.syncOperations.addHandlers([
                    HTTP2Stream(),
                    ClientConnection(worker: bound.value, isSecure: isSecure, isStream: true, address: address),
                ])
            }
        }
        try channel.pipeline.syncOperations.addHandler(manager)
        try channel.pipeline.syncOperations.addHandler(ConnectionErrors())
        let id = ObjectIdentifier(channel)
        worker.openedHTTP2(channel)
        channel.closeFuture.assumeIsolated().whenComplete { _ in bound.value.closedHTTP2(id) }
    }
}

/// Waits for the handshake and takes the protocol that was agreed on.
private final class ProtocolChoice: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let worker: Worker
    private let timer: FirstWordsTimer
    private let address: String?

    init(_ worker: Worker, address: String?) {
        self.worker = worker
        self.address = address
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
        timer.start(context)
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer.stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer.stop() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let agreed) = event as? TLSUserEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        timer.stop()
        do {
            if agreed == "h2" {
                try ClientPipeline.addHTTP2(context.channel, worker, isSecure: true, address: address)
                // The connection has been active for a while; those that came now are told, and count its idle time.
                context.fireChannelActive()
            } else {
                try context.pipeline.syncOperations.addHandler(
                    ClientConnection(worker: worker, isSecure: true, address: address))
            }
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        } catch {
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// Ends a connection of HTTP/2 that is in error; an error of one stream is that stream's (RFC 9113 5.4).
private final class ConnectionErrors: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }
}
