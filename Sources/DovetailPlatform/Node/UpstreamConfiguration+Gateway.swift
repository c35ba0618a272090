import DovetailGateway

extension UpstreamConfiguration {
    /// The upstream as the data plane takes it.
    func compiled() throws -> Upstream {
        if let secure = servers.first(where: { $0.url.isSecure }) {
            throw PlatformError("the gateway does not speak TLS to upstreams yet: \(secure.url) of '\(name)'")
        }
        let balancing: Upstream.LoadBalancing
        switch loadBalancing {
        case .roundRobin: balancing = .roundRobin
        case .leastRequest: balancing = .leastRequest
        case .peakEWMA, .consistentHash:
            throw PlatformError(
                "the gateway balances round-robin or least-request, not \(loadBalancing.rawValue) yet, as '\(name)' asks")
        }
        // A server of weight three takes three turns.
        let servers = servers.flatMap { server in
            Array(repeating: Upstream.Server(host: server.url.host, port: server.url.port), count: server.weight)
        }
        return Upstream(name: name, servers: servers, loadBalancing: balancing, connectTimeout: connectTimeout)
    }
}
