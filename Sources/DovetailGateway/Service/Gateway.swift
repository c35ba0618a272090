import DovetailCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// An HTTP gateway: one listener, the routes of a ``GatewayConfiguration``, one event loop per core.
///
/// Only what the configuration names is reachable. ``run()`` serves until it is shut down; ``apply(_:)`` changes everything
/// but the address while it runs. Rate limits, circuit breakers and retry budgets are exact in this process, whatever the
/// number of loops.
public final class Gateway: Service {
    private enum Phase {
        case idle
        case running(workers: Workers, port: Int, checks: HealthChecks, names: NameResolution)
        case ended
    }

    private struct State {
        var phase = Phase.idle
        var configuration: GatewayConfiguration
        /// What the names of servers stand for.
        var servers = ResolvedServers()
        var verifiers: [String: JWTVerifier] = [:]
        var certificates: CertificateTable?
        var waiters: [CheckedContinuation<Int, any Error>] = []
        var lastMetrics = GatewayMetrics()
        var isDraining = false
    }

    private let state: Mutex<State>
    private let shared: SharedState
    private let loopCount: Int
    private let logger: Logger
    private let fetch: KeySetFetch?
    private let resolve: NameResolver
    /// One change of the loops' configuration at a time.
    private let changes = Turns()

    /// A gateway that is not running yet.
    ///
    /// - Parameters:
    ///   - configuration: What it does. Throws ``GatewayConfigurationError`` if it could not run by it.
    ///   - eventLoops: Threads that serve; one for each core unless given.
    ///   - logger: Where starting, reloading and stopping are told.
    ///   - onRequestFinished: Told of each request when its last byte is written. It is called on an event loop: it must not
    ///     block, and hands on what takes time. Without it nothing is built for it.
    ///   - fetch: Gets key sets that are published at a URL.
    ///   - rateLimits: Who counts for several gateways; each counts by itself unless given.
    ///   - resolve: Finds the addresses of servers' names; the system's resolver unless given.
    public init(
        _ configuration: GatewayConfiguration, eventLoops: Int = System.coreCount,
        logger: Logger = Logger(label: "dovetail.gateway"),
        onRequestFinished: (@Sendable (RequestRecord) -> Void)? = nil, fetch: KeySetFetch? = nil,
        rateLimits: (any RateLimitStore)? = nil, resolve: NameResolver? = nil
    ) throws(GatewayConfigurationError) {
        try configuration.validate()
        state = Mutex(State(configuration: configuration))
        shared = SharedState(
            cacheBytes: configuration.cacheBytes, rateLimits: rateLimits, onRequestFinished: onRequestFinished)
        loopCount = max(1, eventLoops)
        self.logger = logger
        self.fetch = fetch
        self.resolve = resolve ?? NameResolution.system
    }

    /// Serves until a graceful shutdown or cancellation.
    ///
    /// A graceful shutdown stops accepting, tells clients with `Connection: close`, and lets requests in flight finish for
    /// as long as the configuration's `drain` says. Cancellation ends them at once. Throws ``GatewayListenError`` if the
    /// address cannot be listened on, ``GatewayConfigurationError`` if a key cannot be read. It can be called once.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loopCount)
        var canShutDown = true
        do {
            canShutDown = try await serve(on: group)
        } catch {
            end(with: error)
            try? await group.shutdownGracefully()
            throw error
        }
        end(with: CancellationError())
        // A handler that does not end holds on to its loop.
        if canShutDown { try await group.shutdownGracefully() }
    }

    private func serve(on group: MultiThreadedEventLoopGroup) async throws -> Bool {
        let configuration = try state.withLock { $0.configuration }.loadingTLS()
        let verifiers = try await makeVerifiers(configuration)
        let certificates = try configuration.tls.map { tls throws(GatewayConfigurationError) in
            try CertificateTable(tls)
        }
        state.withLock { ($0.configuration, $0.certificates, $0.verifiers) = (configuration, certificates, verifiers) }
        let listener = try Listener(configuration.listen, loops: loopCount)
        let shared = shared
        var loops: [NIOLoopBound<Worker>] = []
        for loop in group.makeIterator() {
            loops.append(
                try await loop.submit { NIOLoopBound(Worker(loop: loop, shared: shared), eventLoop: loop) }.get())
        }
        let workers = Workers(loops, sharing: shared)
        try await workers.apply(configuration, verifiers: verifiers)
        let channels = try await listener.channels(on: group) { [workers] channel in
            channel.eventLoop.makeCompletedFuture {
                guard let worker = workers.all.first(where: { $0.eventLoop === channel.eventLoop }) else { return }
                if let most = worker.value.snapshot.configuration.load.maximumConnections {
                    guard shared.load.openConnection(limit: most) else { throw ChannelError.alreadyClosed }
                    channel.closeFuture.whenComplete { _ in shared.load.closeConnection() }
                }
                try ClientPipeline.begin(channel, worker.value, certificates)
            }
        }
        let checks = HealthChecks(shared: shared, logger: logger)
        checks.apply(configuration)
        let names = NameResolution(resolve: resolve, logger: logger) { [weak self] name, addresses in
            await self?.learn(addresses, of: name)
        }
        defer {
            names.stop()
            checks.stop()
        }
        started(workers, listener.port, checks, names)
        names.apply(configuration)
        logger.info("gateway is listening", metadata: ["port": "\(listener.port)", "loops": "\(workers.all.count)"])
        let isGraceful = (try? await gracefulShutdown()) != nil
        state.withLock { $0.isDraining = true }
        for channel in channels { try? await channel.close() }
        return await stop(workers, within: isGraceful ? configuration.timeouts.drain : .zero)
    }

    private func started(
        _ workers: Workers, _ port: Int, _ checks: HealthChecks, _ names: NameResolution
    ) {
        let waiters = state.withLock { state in
            state.phase = .running(workers: workers, port: port, checks: checks, names: names)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: port) }
    }

    private func end(with error: any Error) {
        let waiters = state.withLock { state in
            state.phase = .ended
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(throwing: error) }
    }

    /// Drains the loops; false if handlers are still at work when the time is over.
    private func stop(_ workers: Workers, within time: Duration) async -> Bool {
        logger.info("gateway is draining")
        var metrics = GatewayMetrics()
        for part in await workers.drain(within: time) { metrics.add(part) }
        metrics.take(shared)
        state.withLock { [metrics] in $0.lastMetrics = metrics }
        return metrics.handlerCallsInFlight == 0
    }

    /// The port that clients connect to; waits until the gateway listens.
    ///
    /// Throws what kept it from listening, or `CancellationError` once it has ended.
    public var boundPort: Int {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let port: Result<Int, any Error>? = state.withLock { state in
                    switch state.phase {
                    case .running(_, let port, _, _): return .success(port)
                    case .ended: return .failure(CancellationError())
                    case .idle:
                        state.waiters.append(continuation)
                        return nil
                    }
                }
                if let port { continuation.resume(with: port) }
            }
        }
    }

    /// Changes to `configuration`: requests that arrive after it returns are served by it, those in flight end as they began.
    ///
    /// Upstreams, limits and authenticators that did not change keep their connections, counts and verified tokens; the files of certificates and keys
    /// are read anew, and connections made anew where they hold something else. Throws
    /// ``GatewayConfigurationError`` and changes nothing if the gateway could not run by it. The address cannot change.
    public func apply(_ configuration: GatewayConfiguration) async throws(GatewayConfigurationError) {
        try configuration.validate()
        await changes.take()
        defer { changes.give() }
        let (listen, phase) = state.withLock { ($0.configuration.listen, $0.phase) }
        guard configuration.listen == listen else {
            throw GatewayConfigurationError(
                "the gateway listens on \(listen.host):\(listen.port); another address takes a restart")
        }
        let isSecure = state.withLock { $0.configuration.tls != nil }
        guard isSecure == (configuration.tls != nil) else {
            throw GatewayConfigurationError("whether the gateway speaks TLS takes a restart to change")
        }
        let verifiers = try await makeVerifiers(configuration)
        let configuration = try configuration.loadingTLS()
        let certificates = state.withLock { $0.certificates }
        let resolved = resolved(configuration)
        if case .running(let workers, _, let checks, let names) = phase {
            try await workers.apply(resolved, verifiers: verifiers) { () throws(GatewayConfigurationError) in
                if let tls = configuration.tls { try certificates?.reload(tls) }
            }
            checks.apply(resolved)
            names.apply(configuration)
        }
        state.withLock { state in
            state.configuration = configuration
            state.verifiers = verifiers
            state.servers.keepOnly(Set(configuration.upstreams.flatMap(ResolvedServers.names)))
        }
        shared.keepOnly(configuration)
        // A route may lead elsewhere now, or change what it passes on.
        shared.cache.clear()
    }

    /// The configuration with the addresses that are known of its servers' names.
    private func resolved(_ configuration: GatewayConfiguration) -> GatewayConfiguration {
        let servers = state.withLock { $0.servers }
        var configuration = configuration
        configuration.upstreams = configuration.upstreams.map(servers.applied)
        return configuration
    }

    /// A server's name has these addresses from now on.
    private func learn(_ addresses: [String], of name: String) async {
        await changes.take()
        defer { changes.give() }
        let (isNew, configuration, verifiers, phase) = state.withLock { state in
            (state.servers.learn(addresses, of: name), state.configuration, state.verifiers, state.phase)
        }
        guard isNew, case .running(let workers, _, let checks, _) = phase else { return }
        logger.info("a server's name has other addresses", metadata: ["name": "\(name)", "addresses": "\(addresses)"])
        do {
            let resolved = resolved(configuration)
            try await workers.apply(resolved, verifiers: verifiers, keepsRoutes: true)
            checks.apply(resolved)
        } catch {
            logger.error("the addresses could not be taken over", metadata: ["name": "\(name)", "error": "\(error)"])
        }
    }

    /// Whether it takes no more connections: it was told to stop, or has stopped.
    public var isDraining: Bool { state.withLock { $0.isDraining } }

    /// The counters of all loops, summed now; the last ones once the gateway has ended.
    public func metrics() async -> GatewayMetrics {
        let (phase, last) = state.withLock { ($0.phase, $0.lastMetrics) }
        guard case .running(let workers, _, _, _) = phase else { return last }
        var sum = GatewayMetrics()
        for part in await workers.metrics() { sum.add(part) }
        sum.take(shared)
        (sum.cachedAnswers, sum.cachedBytes, _) = shared.cache.usage
        return sum
    }

    /// The counters of each loop, without what the loops share; none before the gateway listens.
    func loopMetrics() async -> [GatewayMetrics] {
        guard case .running(let workers, _, _, _) = state.withLock({ $0.phase }) else { return [] }
        return await workers.metrics()
    }

    /// Throws away the answers that are kept for a host and path, whatever their query.
    public func invalidate(host: String, path: String) {
        shared.cache.invalidate(place: Array("\(host.lowercased()) \(path)".utf8))
    }

    /// Throws away the answers that are kept for a path, whatever their host and query; what was asked for before is not kept after it.
    public func invalidate(path: String) {
        shared.cache.invalidate(path: Array(path.utf8))
    }

    /// Throws away all answers that are kept.
    public func clearCache() { shared.cache.clear() }

    /// Which route a request would take, and why not the others. Needs no running gateway.
    ///
    /// - Parameters:
    ///   - method: The method, in upper case.
    ///   - path: The path as a client would send it, with or without a query.
    ///   - host: The host that the request is for.
    ///   - headers: Its header fields, where conditions ask for them.
    public func explain(
        method: String, path: String, host: String? = nil, headers: [(String, String)] = []
    ) -> RouteExplanation {
        RouteExplanation(method: method, path: path, host: host, headers, in: state.withLock { $0.configuration })
    }

    private func makeVerifiers(
        _ configuration: GatewayConfiguration
    ) async throws(GatewayConfigurationError) -> [String: JWTVerifier] {
        let known = state.withLock { $0.verifiers }
        var verifiers: [String: JWTVerifier] = [:]
        for (name, authenticator) in configuration.authenticators {
            switch authenticator {
            case .forward, .signatures, .certificates: break
            case .apiKeys, .basic: _ = try CredentialTable(name: name, authenticator)
            case .jwt(let jwt):
                if let verifier = known[name], verifier.configuration == jwt {
                    verifiers[name] = verifier
                } else {
                    verifiers[name] = try await JWTVerifier(name: name, jwt, fetch: fetch)
                }
            }
        }
        return verifiers
    }
}
