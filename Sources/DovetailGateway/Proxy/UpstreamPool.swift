import DovetailCore
import DovetailResilience
import NIOCore
import NIOPosix

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
    }

    let upstream: Upstream
    unowned let worker: Worker
    let guards: UpstreamGuards
    private var servers: [Server]
    private var waiting: [(exchange: Exchange, ticket: Int)] = []
    private var waitingStart = 0
    private var turn = 0
    private var isRetired = false
    private let sweep = WheelTimer()

    init(_ upstream: Upstream, worker: Worker) {
        self.upstream = upstream
        self.worker = worker
        guards = worker.shared.guards(for: upstream)
        servers = upstream.servers.map { server in
            Server(
                address: try? SocketAddress(ipAddress: server.host, port: server.port),
                authority: "\(server.host.contains(":") ? "[\(server.host)]" : server.host):\(server.port)")
        }
        sweep.onFire = { [unowned self] in closeIdle() }
    }

    /// Finds a connection for `exchange`: an idle one at once, a new one, or one that another request gives back.
    func acquire(for exchange: Exchange) {
        exchange.ticket += 1
        let first = choose(avoiding: exchange.failedServer)
        for offset in servers.indices {
            let index = (first + offset) % servers.count
            if let connection = servers[index].idle.popLast() {
                servers[index].active += 1
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
            for connection in servers[index].idle { connection.close() }
        }
    }

    private func choose(avoiding failed: Int?) -> Int {
        guard servers.count > 1 else { return 0 }
        var index: Int
        switch upstream.loadBalancing {
        case .roundRobin:
            turn = (turn + 1) % servers.count
            index = turn
        case .leastRequest:
            index = Int.random(in: servers.indices, using: &worker.random)
            let other = (index + Int.random(in: 1..<servers.count, using: &worker.random)) % servers.count
            if servers[other].active < servers[index].active { index = other }
        }
        if index == failed { index = (index + 1) % servers.count }
        return index
    }

    private func connect(to index: Int, for exchange: Exchange) {
        servers[index].open += 1
        servers[index].active += 1
        let ticket = exchange.ticket
        let bootstrap = ClientBootstrap(group: worker.loop)
            .connectTimeout(.nanoseconds(upstream.connectTimeout.wholeNanoseconds))
            .channelOption(.autoRead, value: false)
            .channelOption(.writeBufferWaterMark, value: .init(low: 32_768, high: 65_536))
        let target = upstream.servers[index]
        let connecting =
            servers[index].address.map { bootstrap.connect(to: $0) }
            ?? bootstrap.connect(host: target.host, port: target.port)
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

    private func connected(_ channel: any Channel, _ index: Int, _ exchange: Exchange, _ ticket: Int) {
        let connection = UpstreamConnection(pool: self, server: index, authority: servers[index].authority)
        guard channel.isActive, (try? channel.pipeline.syncOperations.addHandler(connection)) != nil else {
            servers[index].open -= 1
            servers[index].active -= 1
            if exchange.ticket == ticket { exchange.attemptFailed(.unreachable, pool: self, server: index) }
            return
        }
        connection.read()
        if exchange.ticket == ticket {
            connection.serve(exchange)
        } else {
            release(connection)
        }
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
            let expired = servers[index].idle.prefix { $0.idleSince <= oldest }
            for connection in expired { connection.close() }
            left += servers[index].idle.count
        }
        if left > 0 { worker.schedule(sweep, at: .now + .seconds(1)) }
    }
}
