import NIOCore
import NIOHTTP2

/// One HTTP/2 connection to a server, which carries many requests at a time (RFC 9113 5.1.2).
final class UpstreamSession: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private let scheme: String
    private let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let ready: EventLoopPromise<Void>
    /// What the server allows at a time; none before it has said so.
    private var maximum = 0
    private(set) var streams = 0
    /// Since when it carries nothing, in nanoseconds.
    private(set) var idleSince: Int64 = 0
    private(set) var isClosing = false
    /// Closes it if it does not answer a PING; nil while none is on its way.
    private var suspicion: Scheduled<Void>?
    private let patience: Duration
    /// How many more streams it may carry. Their numbers end after 2^30 (RFC 9113 5.1.1), and the process with them.
    private var streamsLeft: Int

    /// Makes `channel` speak HTTP/2; done when the server has said its settings, without which it speaks something else.
    static func make(
        on channel: any Channel, scheme: String, streams: Int = 1 << 24, patience: Duration = .seconds(1), now: Int64
    ) throws -> (session: UpstreamSession, ready: EventLoopFuture<Void>) {
        try channel.syncOptions?.setOption(.autoRead, value: true)
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0), HTTP2Setting(parameter: .maxHeaderListSize, value: 61_440),
        ]
        connection.targetWindowSize = 1_048_576
        let multiplexer = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .client, connectionConfiguration: connection, streamConfiguration: .init()
        ) { channel in channel.close() }
        let session = UpstreamSession(channel, multiplexer, scheme: scheme, streams: streams, patience: patience)
        session.idleSince = now
        try channel.pipeline.syncOperations.addHandler(session)
        // The connection has been active for a while; the handler that speaks first is told so.
        channel.pipeline.fireChannelActive()
        return (session, session.ready.futureResult)
    }

    private init(
        _ channel: any Channel, _ multiplexer: NIOHTTP2Handler.StreamMultiplexer, scheme: String, streams: Int,
        patience: Duration
    ) {
        self.patience = patience
        streamsLeft = streams
        self.channel = channel
        self.multiplexer = multiplexer
        self.scheme = scheme
        ready = channel.eventLoop.makePromise()
    }

    /// Whether another request fits.
    var hasRoom: Bool { !isClosing && suspicion == nil && streams < maximum }

    /// Opens a stream; its place is taken at once, and given back when it closes.
    func open(now: @escaping () -> Int64) -> EventLoopFuture<any Channel> {
        streams += 1
        streamsLeft -= 1
        if streamsLeft == 0 { isClosing = true }
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        let (scheme, session) = (scheme, bound)
        let opening = multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.syncOptions?.setOption(.autoRead, value: false)
                try stream.pipeline.syncOperations.addHandler(UpstreamStream(scheme: scheme, of: session.value))
            }
        }
        opening.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let stream):
                stream.closeFuture.assumeIsolated().whenComplete { _ in bound.value.streamClosed(now()) }
            case .failure: bound.value.streamClosed(now())
            }
        }
        return opening
    }

    private func streamClosed(_ now: Int64) {
        streams -= 1
        idleSince = now
        if isClosing, streams == 0 { channel.close(promise: nil) }
    }

    /// Nothing has come in one of its streams for too long: it is asked by a PING (RFC 9113 6.7), takes no stream until it has answered, and ends if it does
    /// not. Servers end connections that ask them often, so it is asked with a reason only.
    func suspect() {
        guard suspicion == nil, !isClosing else { return }
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        suspicion = channel.eventLoop.scheduleTask(in: .nanoseconds(patience.wholeNanoseconds)) { bound.value.giveUp() }
        let ping = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: 1), ack: false))
        channel.writeAndFlush(ping, promise: nil)
    }

    private func giveUp() {
        isClosing = true
        channel.close(promise: nil)
    }

    /// No stream is opened any more; it ends with its last.
    func retire() {
        isClosing = true
        if streams == 0 { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data).payload {
        case .settings(.settings(let settings)):
            let limit = settings.last { $0.parameter == .maxConcurrentStreams }?.value
            // Who names no limit has none; so many are enough (RFC 9113 6.5.2).
            if let limit { maximum = limit } else if maximum == 0 { maximum = 1000 }
            ready.succeed()
        case .goAway: retire()
        case .ping(_, ack: true):
            suspicion?.cancel()
            suspicion = nil
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        suspicion?.cancel()
        ready.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamError { return }
        isClosing = true
        context.close(promise: nil)
    }
}
