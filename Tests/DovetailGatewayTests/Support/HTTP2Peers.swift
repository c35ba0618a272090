import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix

/// A server that speaks HTTP/2 in clear text, and answers each stream's head with frames that a test says.
final class HTTP2Backend: Sendable {
    let port: Int
    /// The heads of requests.
    let requests = Recorded<HPACKHeaders>()
    /// Streams that a client has reset, or connections that went under them.
    let resets = Recorded<Void>()
    /// Connections that were made, and those that have ended.
    let connections = Recorded<Void>()
    let ended = Recorded<Void>()
    private let channel: any Channel

    /// - Parameter gate: Opens when it begins to speak.
    init(
        maximumStreams: Int = 100, after gate: Gate? = nil,
        _ act: @escaping @Sendable (HPACKHeaders) -> [HTTP2Frame.FramePayload]
    ) async throws {
        let (requests, resets, connections, ended) = (requests, resets, connections, ended)
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                connections.append(())
                channel.closeFuture.whenComplete { _ in ended.append(()) }
                return channel.eventLoop.makeFutureWithTask { await gate?.wait() }.flatMapThrowing {
                    var connection = NIOHTTP2Handler.ConnectionConfiguration()
                    connection.initialSettings = [.init(parameter: .maxConcurrentStreams, value: maximumStreams)]
                    _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                        mode: .server, connectionConfiguration: connection, streamConfiguration: .init()
                    ) { stream in
                        stream.eventLoop.makeCompletedFuture {
                            try stream.pipeline.syncOperations.addHandler(
                                HTTP2BackendHandler(requests: requests, resets: resets, act: act))
                        }
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func stop() async { try? await channel.close() }
}

private final class HTTP2BackendHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let requests: Recorded<HPACKHeaders>
    private let resets: Recorded<Void>
    private let act: @Sendable (HPACKHeaders) -> [HTTP2Frame.FramePayload]

    init(
        requests: Recorded<HPACKHeaders>, resets: Recorded<Void>,
        act: @escaping @Sendable (HPACKHeaders) -> [HTTP2Frame.FramePayload]
    ) {
        self.requests = requests
        self.resets = resets
        self.act = act
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .headers(let frame) = unwrapInboundIn(data), frame.headers.contains(name: ":method") else { return }
        requests.append(frame.headers)
        for payload in act(frame.headers) { context.write(wrapOutboundOut(payload), promise: nil) }
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamClosed { resets.append(()) }
        context.close(promise: nil)
    }
}

/// One stream of a client that speaks HTTP/2 in clear text, frame by frame.
final class HTTP2Client: Sendable {
    let received = Recorded<HTTP2Frame.FramePayload>()
    let ended = Gate()
    /// The last streams that the server's GOAWAYs have named.
    let goAways: Recorded<Int>
    private let connection: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let stream: any Channel

    /// - Parameter reads: Whether it reads at once; a slow client waits for ``startReading()``.
    convenience init(port: Int, reads: Bool = true) async throws {
        let goAways = Recorded<Int>()
        let (connection, multiplexer) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let multiplexer = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                        mode: .client, connectionConfiguration: .init(), streamConfiguration: .init()
                    ) { $0.close() }
                    try channel.pipeline.syncOperations.addHandler(GoAwayRecorder(goAways))
                    return (channel, multiplexer)
                }
            }
        // What a client may ask for is known once the server's settings are there.
        try await Task.sleep(for: .milliseconds(50))
        try await self.init(connection, multiplexer, goAways, reads: reads)
    }

    /// Another stream of the same connection.
    func sibling() async throws -> HTTP2Client { try await HTTP2Client(connection, multiplexer, goAways, reads: true) }

    private init(
        _ connection: any Channel, _ multiplexer: NIOHTTP2Handler.StreamMultiplexer, _ goAways: Recorded<Int>,
        reads: Bool
    ) async throws {
        self.goAways = goAways
        self.connection = connection
        self.multiplexer = multiplexer
        let (received, ended) = (received, ended)
        stream = try await multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.syncOptions?.setOption(.autoRead, value: reads)
                try stream.pipeline.syncOperations.addHandler(FrameRecorder(received, ended))
            }
        }.get()
    }

    func startReading() async throws {
        try await stream.setOption(.autoRead, value: true).get()
        stream.read()
    }

    func send(_ payload: HTTP2Frame.FramePayload) async throws { try await stream.writeAndFlush(payload) }

    func close() async { try? await connection.close() }

    /// Waits until the server has ended the connection.
    func connectionEnds() async { try? await connection.closeFuture.get() }
}

private final class GoAwayRecorder: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private let goAways: Recorded<Int>

    init(_ goAways: Recorded<Int>) { self.goAways = goAways }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .goAway(let last, _, _) = unwrapInboundIn(data).payload { goAways.append(Int(last)) }
        context.fireChannelRead(data)
    }
}

private final class FrameRecorder: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload

    private let received: Recorded<HTTP2Frame.FramePayload>
    private let ended: Gate

    init(_ received: Recorded<HTTP2Frame.FramePayload>, _ ended: Gate) {
        self.received = received
        self.ended = ended
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { received.append(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { ended.open() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

extension HTTP2Frame.FramePayload {
    static func head(_ fields: [(String, String)], ends: Bool = false) -> Self {
        .headers(.init(headers: HPACKHeaders(fields), endStream: ends))
    }

    static func body(_ text: String, ends: Bool = false) -> Self {
        .data(.init(data: .byteBuffer(ByteBuffer(string: text)), endStream: ends))
    }

    var fields: HPACKHeaders? { if case .headers(let frame) = self { frame.headers } else { nil } }

    var text: String? {
        guard case .data(let frame) = self, case .byteBuffer(let bytes) = frame.data else { return nil }
        return String(buffer: bytes)
    }

    var isLast: Bool {
        switch self {
        case .headers(let frame): frame.endStream
        case .data(let frame): frame.endStream
        default: false
        }
    }
}
