import DovetailCore
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Serves a handler of raw requests over HTTP/1.1, on a TCP port or on a Unix socket.
///
/// `run()` returns after a graceful shutdown, in which no new connection is taken, idle ones are closed and requests in
/// flight get their answers; it throws ``ListenError`` if it cannot listen. Requests of one connection are answered in
/// order, those of different connections at the same time.
///
/// A request in flight when its client goes away is carried out all the same: whether a command happened must not depend
/// on who is still there to hear of it. A streamed answer is different: its sequence is cancelled.
public struct HTTPServer: Service {
    /// What a server permits.
    public struct Configuration: Sendable {
        /// The longest request body that is read, in bytes; a longer one is answered with 413.
        public var maximumBodyBytes: Int
        /// How long a connection may be silent between requests, or in the middle of sending one, before it is closed.
        ///
        /// Longer than clients keep idle connections (``HTTPTransport`` 30 s), so that it is they who close.
        public var idleTimeout: Duration

        /// Limits that suit a module's API.
        public init(maximumBodyBytes: Int = 8 << 20, idleTimeout: Duration = .seconds(75)) {
            self.maximumBodyBytes = maximumBodyBytes
            self.idleTimeout = idleTimeout
        }
    }

    private let address: HTTPAddress
    private let configuration: Configuration
    private let handler: any RawHandler
    private let listening = Outcome<HTTPAddress>()

    /// A server that will answer with `handler`; it listens once it runs.
    public init(
        _ address: HTTPAddress, configuration: Configuration = Configuration(), handler: any RawHandler
    ) {
        self.address = address
        self.configuration = configuration
        self.handler = handler
    }

    /// Where the server listens, with the port the system chose if it was to choose.
    ///
    /// Suspends until the server listens; throws what kept it from listening, `CancellationError` when cancelled.
    public var boundAddress: HTTPAddress {
        get async throws { try await listening.value }
    }

    public func run() async throws {
        do {
            switch address {
            case .tcp(let host, let port): try await serve(onHost: host, port: port)
            case .unix(let path): try await serve(onSocket: path)
            }
            listening.fail(CancellationError())
        } catch {
            let error = error is ListenError ? error : ListenError(address, cause: error)
            listening.fail(error)
            throw error
        }
    }

    private func serve(onHost host: String, port: Int) async throws {
        try await serve(.hostname(host, port: port)) { channel in
            listening.succeed(.tcp(host: host, port: channel.localAddress?.port ?? port))
        }
    }

    /// The socket comes to life in a directory of its own that only this user enters, and is moved to its path with its
    /// mode set, so that there is no moment at which another user could connect.
    private func serve(onSocket path: String) async throws {
        let socket = try UnixSocketFile(path: path)
        defer { socket.remove() }
        let failure = Mutex<(any Error)?>(nil)
        try await serve(.unixDomainSocket(path: socket.birthplace)) { channel in
            do {
                try socket.publish()
                listening.succeed(address)
            } catch {
                failure.withLock { $0 = error }
                channel.close(promise: nil)
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func serve(_ bind: BindAddress, onRunning: @escaping @Sendable (any Channel) async -> Void) async throws {
        var logger = Logger.current
        // Who listens where is said by those who know what for, and what goes wrong is thrown.
        logger.logLevel = .critical
        let exchange = ServerExchange(handler: handler, maximumBodyBytes: configuration.maximumBodyBytes)
        let idleTimeout = TimeAmount.nanoseconds(configuration.idleTimeout.wholeNanoseconds)
        let server = try HTTPServerBuilder.http1(configuration: .init(idleTimeout: idleTimeout)).buildServer(
            configuration: ServerConfiguration(address: bind, backlog: 1024),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger,
            responder: { request, writer, channel in
                try await exchange.answer(request, with: writer, on: channel)
            }, onServerRunning: onRunning)
        try await withGracefulShutdownHandler {
            try await server.run()
        } onGracefulShutdown: {
            exchange.drain()
        }
    }
}
