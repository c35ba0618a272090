import NIOCore

/// A connection that begins and ends in the gateway: what is written to it goes to a closure.
///
/// It is touched on its loop alone, which is what makes it safe to call itself `Sendable`, as every channel has to.
final class SubrequestChannel: Channel, ChannelCore, @unchecked Sendable {
    let eventLoop: any EventLoop
    let allocator = ByteBufferAllocator()
    private(set) lazy var pipeline = ChannelPipeline(channel: self)
    private let closePromise: EventLoopPromise<Void>
    private var isOpen = true
    /// Told of each piece that is written.
    var onWrite: ((ByteBuffer) -> Void)?
    /// Told of the end.
    var onClose: (() -> Void)?

    init(loop: any EventLoop) {
        eventLoop = loop
        closePromise = loop.makePromise()
    }

    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { nil }
    var remoteAddress: SocketAddress? { nil }
    var parent: (any Channel)? { nil }
    var isWritable: Bool { isOpen }
    var isActive: Bool { isOpen }
    var _channelCore: any ChannelCore { self }
    var syncOptions: (any NIOSynchronousChannelOptions)? { nil }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    // MARK: ChannelCore

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isOpen { onWrite?(unwrapData(data)) }
        promise?.succeed()
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        promise?.succeed()
        guard isOpen else { return }
        isOpen = false
        let tell = onClose
        (onWrite, onClose) = (nil, nil)
        tell?()
        // Whoever closes it is in the middle of something.
        eventLoop.assumeIsolated().execute {
            self.pipeline.fireChannelInactive()
            self.removeHandlers(pipeline: self.pipeline)
            self.closePromise.succeed()
        }
    }

    func flush0() {}
    func read0() {}
    func channelRead0(_ data: NIOAny) {}
    func errorCaught0(error: any Error) { close0(error: error, mode: .all, promise: nil) }
    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) { promise?.succeed() }
    func localAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
    func remoteAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
    func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
}
