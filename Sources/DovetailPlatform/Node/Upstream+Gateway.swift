import DovetailGateway
import DovetailResilience

extension PlatformConfiguration.Upstream {
    /// The upstream as the data plane takes it, under `policy`.
    func compiled(_ policy: CallPolicy) throws -> Upstream {
        if let secure = servers.first(where: { $0.url.isSecure }) {
            throw PlatformError("the gateway does not speak TLS to upstreams yet: \(secure.url) of '\(name)'")
        }
        // A server of weight three takes three turns.
        let servers = servers.flatMap { server in
            Array(repeating: Upstream.Server(host: server.url.host, port: server.url.port), count: server.weight)
        }
        return Upstream(
            name: name, servers: servers, loadBalancing: loadBalancing == .roundRobin ? .roundRobin : .leastRequest,
            connectTimeout: connectTimeout, poolSize: connections, maximumWaiting: waiting, idleTimeout: idleTimeout,
            under: policy)
    }
}

extension Upstream {
    /// An upstream whose breaker and retries are those of a policy of calls.
    init(
        name: String, servers: [Server], loadBalancing: LoadBalancing = .leastRequest,
        connectTimeout: Duration = .seconds(1), poolSize: Int = 256, maximumWaiting: Int = 1024,
        idleTimeout: Duration = .seconds(50), under policy: CallPolicy
    ) {
        self.init(
            name: name, servers: servers, loadBalancing: loadBalancing, connectTimeout: connectTimeout,
            poolSize: poolSize, maximumWaiting: maximumWaiting, idleTimeout: idleTimeout,
            circuitBreaker: policy.circuitBreaker,
            retry: policy.retry.map { UpstreamRetry(policy: $0, budget: policy.retryBudget ?? RetryBudgetPolicy()) })
    }
}
