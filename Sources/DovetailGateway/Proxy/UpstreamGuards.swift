import DovetailCore
import DovetailResilience

/// What all loops share about an upstream: its circuit breaker and its retry budget, exact in this process.
final class UpstreamGuards: Sendable {
    let breaker: CircuitBreaker?
    let budget: RetryBudget?

    init(_ upstream: Upstream) {
        breaker = upstream.circuitBreaker.map { CircuitBreaker(callee: upstream.name, policy: $0) }
        budget = upstream.retry.map { RetryBudget(policy: $0.budget) }
    }
}
