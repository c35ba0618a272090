import DovetailCore
import DovetailResilience
import NIOCore
import NIOPosix
import NIOSSL

/// One loop's connections to an upstream, and the requests that wait for one.
final class UpstreamPool {
    private struct Server {
        let address: SocketAddress?
        let authority: String
        /// Last used last.
        var idle: [UpstreamConnection] = []
        /// Open or being opened.
        var open = 0
        /// Serving, or being opened for a request.
        var active = 0
        /// Its connections of HTTP/2; of those above each is then a stream.
        var sessions: UpstreamSessions?
    }

    let upstream: Upstream
    unowned let worker: Worker
    let guards: UpstreamGuards
    let counters: UpstreamCounters
    /// How long an answer's head may take, in nanoseconds; nil: as long as the request has.
    let attemptNanoseconds: Int64?
    /// Whether servers are told another `Host` than the client's.
    let sendsOwnHost: Bool
    /// How servers are told who calls.
    let principalHeaders: CompiledPrincipalHeaders?
    private var servers: [Server]
    /// Host and port of each, for those who tell of it.
    private let names: [String]
    private var waiting: [(exchange: Exchange, ticket: Int)] = []
    private var waitingStart = 0
    private var balancer: Balancer
    private let tls: NIOSSLContext?
    private var isRetired = false
    private let sweep = WheelTimer()

    /// Throws ``GatewayConfigurationError`` if its TLS settings cannot be used.
    init(_ upstream: Upstream, worker: Worker) throws(GatewayConfigurationError) {
        self.upstream = upstream
        self.worker = worker
        guards = worker.shared.guards(for: upstream)
        counters = worker.counters(forUpstream: upstream.name)
        attemptNanoseconds = upstream.attemptTimeout?.wholeNanoseconds
        principalHeaders = upstream.principalHeaders.map(CompiledPrincipalHeaders.init)
        sendsOwnHost = upstream.hostHeader != .client
        balancer = Balancer(upstream)
        tls = try upstream.tls.map { tls throws(GatewayConfigurationError) in
            try tls.context(upstream: upstream.name, for: upstream.protocol)
        }
        names = upstream.servers.map(\.place)
        servers = upstream.servers.map { server in
            Server(
                address: try? SocketAddress(ipAddress: server.host, port: server.port),
                authority: upstream.host(for: server))
        }
        sweep.onFire = { [unowned self] in closeIdle() }
        guard upstream.protocol == .http2 else { return }
        for index in servers.indices {
            servers[index].sessions = UpstreamSessions(
                loop: worker.loop, isSecure: tls != nil, timeout: upstream.connectTimeout
            ) { [unowned self] in connection(to: index) }
        }
    }

    /// Host and port of a server; nil if there is none of that number any more.
    func name(ofServer index: Int) -> String? { names.indices.contains(index) ? names[index] : nil }

    /// Finds a connection for `exchange`: an idle one at once, a new one, or one that another request gives back.
    func acquire(for exchange: Exchange) {
        exchange.ticket += 1
        let first = choose(for: exchange)
        let available = guards.health.isFine ? nil : guards.health.available(at: MonotonicTime.now.nanoseconds)
        for offset in servers.indices {
            let index = (first + offset) % servers.count
            if let available, !available[index] { continue }
            while let connection = servers[index].idle.popLast() {
                servers[index].active += 1
                if connection.isClosing { continue }
                connection.serve(exchange)
                return
            }
            if servers[index].open < upstream.poolSize {
                connect(to: index, for: exchange)
                return
            }
        }
        guard waiting.count - waitingStart < upstream.maximumWaiting else {
            exchange.rejectOverload()
            return
        }
        waiting.append((exchange, exchange.ticket))
    }

    /// A connection has served its exchange and can serve another.
    func release(_ connection: UpstreamConnection) {
        guard !isRetired else { return connection.close() }
        if let exchange = nextWaiting() { return connection.serve(exchange) }
        servers[connection.server].active -= 1
        connection.idleSince = MonotonicTime.now.nanoseconds
        servers[connection.server].idle.append(connection)
        if !sweep.isScheduled { worker.schedule(sweep, at: .now + .seconds(1)) }
    }

    /// A connection is gone.
    func closed(_ connection: UpstreamConnection) {
        let index = connection.server
        servers[index].open -= 1
        if let at = servers[index].idle.lastIndex(where: { $0 === connection }) {
            servers[index].idle.remove(at: at)
        } else {
            servers[index].active -= 1
        }
        serveWaiting(from: index)
    }

    /// No new request comes here; what is in flight finishes.
    func retire() {
        isRetired = true
        worker.cancel(sweep)
        for index in servers.indices {
            end(servers[index].idle.count, of: index)
            servers[index].sessions?.retire()
        }
    }

    /// Closes those that have been idle longest; until they have ended they count as busy.
    private func end(_ count: Int, of index: Int) {
        let ending = Array(servers[index].idle.prefix(count))
        servers[index].idle.removeFirst(count)
        servers[index].active += count
        for connection in ending { connection.close() }
    }

    /// The server for `exchange`; another than the one that has just failed it, if there is one.
    private func choose(for exchange: Exchange) -> Int {
        guard servers.count > 1 else { return 0 }
        let now = MonotonicTime.now.nanoseconds
        var candidates = servers.map {
            Balancer.Candidate(isAvailable: true, active: $0.active, warmth: SlowStart.whole)
        }
        if !guards.health.isFine {
            for (index, standing) in guards.health.standings(at: now).enumerated() {
                candidates[index].isAvailable = standing.isAvailable
                candidates[index].warmth = standing.warmth
            }
        }
        if let failed = exchange.failedServer, candidates.indices.contains(failed),
            candidates.indices.contains(where: { $0 != failed && candidates[$0].isAvailable })
        {
            candidates[failed].isAvailable = false
        }
        var key: UInt64 = 0
        if case .consistentHash(let part) = upstream.loadBalancing { key = exchange.balancingKey(part) }
        return balancer.choose(candidates, key: key, now: now, random: &worker.random) ?? 0
    }

    /// What a server's answer says of it; a status of nil is none.
    func observe(_ server: Int, status: Int?, since start: MonotonicTime) {
        let now = MonotonicTime.now.nanoseconds
        let time = now - start.nanoseconds
        if status != nil { counters.latency.count(time) }
        balancer.observe(server, nanoseconds: max(time, UpstreamPool.leastTime(status)), now: now)
        if status.map(Exchange.isFailure) ?? true {
            guards.health.failed(server, at: now)
        } else {
            guards.health.succeeded(server)
        }
    }

    /// Who fails fast is not fast, and who says that it has too much to do has answered sooner than it will: in nanoseconds.
    private static func leastTime(_ status: Int?) -> Int64 {
        switch status {
        case 429?, 503?: 5_000_000_000
        case nil, 500?, 502?, 504?: 1_000_000_000
        default: 0
        }
    }

    var serverCount: Int { servers.count }

    /// Another server has answered before this one did.
    func overtaken(_ server: Int, since start: MonotonicTime) {
        let now = MonotonicTime.now.nanoseconds
        balancer.observe(server, nanoseconds: now - start.nanoseconds, now: now)
    }

    private func connect(to index: Int, for exchange: Exchange) {
        servers[index].open += 1
        servers[index].active += 1
        let ticket = exchange.ticket
        let connecting = servers[index].sessions?.stream() ?? connection(to: index)
        connecting.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let channel): connected(channel, index, exchange, ticket)
            case .failure:
                servers[index].open -= 1
                servers[index].active -= 1
                if exchange.ticket == ticket {
                    exchange.attemptFailed(.unreachable, pool: self, server: index)
                }
                serveWaiting(from: index)
            }
        }
    }

    /// A connection to a server, with TLS where it is spoken.
    private func connection(to index: Int) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: worker.loop)
            .connectTimeout(.nanoseconds(upstream.connectTimeout.wholeNanoseconds))
            .channelOption(.autoRead, value: false)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 32_768, high: 65_536))
        let target = upstream.servers[index]
        let connecting =
            servers[index].address.map { bootstrap.connect(to: $0) }
            ?? bootstrap.connect(host: target.host, port: target.port)
        guard tls != nil else { return connecting }
        let bound = NIOLoopBound(self, eventLoop: worker.loop)
        return connecting.flatMapThrowing { channel in
            do { try bound.value.addTLS(to: channel, index) } catch {
                channel.close(promise: nil)
                throw error
            }
            return channel
        }
    }

    private func connected(_ channel: any Channel, _ index: Int, _ exchange: Exchange, _ ticket: Int) {
        let connection = UpstreamConnection(pool: self, server: index, authority: servers[index].authority)
        guard channel.isActive, (try? channel.pipeline.syncOperations.addHandler(connection)) != nil else {
            servers[index].open -= 1
            servers[index].active -= 1
            channel.close(promise: nil)
            if exchange.ticket == ticket { exchange.attemptFailed(.unreachable, pool: self, server: index) }
            serveWaiting(from: index)
            return
        }
        connection.read()
        if servers[index].sessions != nil, !isRetired, !sweep.isScheduled {
            worker.schedule(sweep, at: .now + .seconds(1))
        }
        if exchange.ticket == ticket {
            connection.serve(exchange)
        } else {
            release(connection)
        }
    }

    private func addTLS(to channel: any Channel, _ index: Int) throws {
        guard let tls else { return }
        let host = upstream.tls?.serverName ?? upstream.servers[index].hostName
        // An address is no name to ask for (RFC 6066 3); the certificate is held against it all the same.
        let isAddress = AddressRange.bytes(of: host) != nil
        try channel.pipeline.syncOperations.addHandler(
            NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : host))
    }

    private func nextWaiting() -> Exchange? {
        while waitingStart < waiting.count {
            let (exchange, ticket) = waiting[waitingStart]
            waitingStart += 1
            if waitingStart > 64, waitingStart * 2 > waiting.count {
                waiting.removeFirst(waitingStart)
                waitingStart = 0
            }
            if exchange.ticket == ticket { return exchange }
        }
        waiting.removeAll(keepingCapacity: true)
        waitingStart = 0
        return nil
    }

    /// There is room for a connection: the request that has waited longest opens it.
    private func serveWaiting(from index: Int) {
        guard !isRetired || waitingStart < waiting.count, servers[index].open < upstream.poolSize,
            let exchange = nextWaiting()
        else { return }
        connect(to: index, for: exchange)
    }

    private func closeIdle() {
        let oldest = MonotonicTime.now.nanoseconds - upstream.idleTimeout.wholeNanoseconds
        var left = 0
        for index in servers.indices {
            end(servers[index].idle.prefix { $0.idleSince <= oldest }.count, of: index)
            left += servers[index].idle.count + (servers[index].sessions?.closeIdle(since: oldest) ?? 0)
        }
        if left > 0 { worker.schedule(sweep, at: .now + .seconds(1)) }
    }
}
