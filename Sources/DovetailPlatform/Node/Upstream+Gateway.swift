import DovetailGateway
import DovetailResilience

extension PlatformConfiguration.Upstream {
    /// The upstream as the data plane takes it, under `policy`; paths of files are from `folder`.
    func compiled(_ policy: CallPolicy, in folder: String) throws -> Upstream {
        let servers = servers.map { Upstream.Server(host: $0.url.host, port: $0.url.port, weight: $0.weight) }
        var upstream = Upstream(
            name: name, servers: servers, loadBalancing: balancing, connectTimeout: connectTimeout,
            poolSize: connections, maximumWaiting: waiting, idleTimeout: idleTimeout, under: policy)
        upstream.protocol = self.protocol == .http2 ? .http2 : .http1
        upstream.hostHeader = hostHeader
        upstream.principalHeaders = principalHeaders
        upstream.outlierEjection = .init(
            consecutiveFailures: outlierEjection.failures, time: outlierEjection.time,
            longestTime: outlierEjection.longest)
        upstream.outlierEjection?.maximumShare = outlierEjection.share
        upstream.healthCheck = healthCheck.map { check in
            .init(
                path: check.path, statuses: check.statuses, interval: check.interval, timeout: check.timeout,
                healthyAfter: check.healthyAfter, unhealthyAfter: check.unhealthyAfter)
        }
        if let maxInFlight { upstream.maximumInFlight = maxInFlight.compiled }
        upstream.adaptiveInFlight = adaptiveLimit?.compiled
        upstream.hedge = hedgeAfter.map { HedgePolicy(after: $0) }
        upstream.slowStart = slowStart
        upstream.resolveInterval = resolveInterval == .zero ? nil : resolveInterval
        if self.servers.contains(where: \.url.isSecure) {
            upstream.tls = UpstreamTLS(
                serverName: tls?.serverName, authorities: tls?.authorities.map { resolve($0, in: folder) },
                certificate: tls?.certificate?.compiled(in: folder))
        }
        return upstream
    }

    private var balancing: Upstream.LoadBalancing {
        switch loadBalancing {
        case .roundRobin: .roundRobin
        case .leastRequest: .leastRequest
        case .peakLatency: .peakLatency
        case .consistentHash:
            switch hashBy {
            case .principal: .consistentHash(.principal)
            case .address: .consistentHash(.address)
            case .path: .consistentHash(.path)
            case .header(let name): .consistentHash(.header(name))
            }
        }
    }
}

extension Upstream {
    /// An upstream whose breaker, retries, time for an attempt and bulkhead are those of a policy of calls.
    init(
        name: String, servers: [Server], loadBalancing: LoadBalancing = .leastRequest,
        connectTimeout: Duration = .seconds(1), poolSize: Int = 256, maximumWaiting: Int = 1024,
        idleTimeout: Duration = .seconds(50), under policy: CallPolicy
    ) {
        self.init(
            name: name, servers: servers, loadBalancing: loadBalancing, connectTimeout: connectTimeout,
            poolSize: poolSize, maximumWaiting: maximumWaiting, idleTimeout: idleTimeout,
            circuitBreaker: policy.circuitBreaker,
            retry: policy.retry.map { UpstreamRetry(policy: $0, budget: policy.retryBudget) })
        attemptTimeout = policy.attemptTimeout
        maximumInFlight = policy.bulkhead.map {
            InFlightPolicy(
                maximum: $0.maximumConcurrentCalls, maximumWaiting: $0.maximumQueuedCalls,
                longestWait: $0.maximumQueueWait)
        }
    }
}
