import DovetailCore
import DovetailResilience

/// What all loops share about an upstream: its circuit breaker, its retry budget and its servers' health, exact in this process.
final class UpstreamGuards: Sendable {
    let breaker: CircuitBreaker?
    let budget: RetryBudget?
    let health: ServerHealth

    init(_ upstream: Upstream) {
        breaker = upstream.circuitBreaker.map { CircuitBreaker(callee: upstream.name, policy: $0) }
        health = ServerHealth(servers: upstream.servers.count, policy: upstream.outlierEjection)
        budget = upstream.retry.map { RetryBudget(policy: $0.budget) }
    }
}
