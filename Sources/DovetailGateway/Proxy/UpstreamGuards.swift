import DovetailCore
import DovetailResilience

/// What all loops share about an upstream: its circuit breaker, its retry budget and its servers' health, exact in this process.
final class UpstreamGuards: Sendable {
    let breaker: CircuitBreaker?
    let budget: RetryBudget?
    let health: ServerHealth
    let inFlight: InFlightLimit?

    init(_ upstream: Upstream) {
        breaker = upstream.circuitBreaker.map { CircuitBreaker(callee: upstream.name, policy: $0) }
        health = ServerHealth(
            servers: upstream.servers.count, policy: upstream.outlierEjection, slowStart: upstream.slowStart)
        inFlight = InFlightLimit(upstream.maximumInFlight, adaptive: upstream.adaptiveInFlight)
        budget = upstream.retry?.budget.map { RetryBudget(policy: $0) }
    }

    /// Those of an upstream that has other servers than before: what is known of the upstream, and of servers that are still there, goes on.
    init(_ upstream: Upstream, continuing known: UpstreamGuards, before: Upstream, at now: MonotonicTime = .now) {
        breaker = known.breaker
        inFlight = known.inFlight
        budget = known.budget
        health = ServerHealth(
            continuing: known.health,
            places: upstream.servers.map { server in
                before.servers.firstIndex { $0.host == server.host && $0.port == server.port }
            }, policy: upstream.outlierEjection, slowStart: upstream.slowStart, at: now.nanoseconds)
    }
}
