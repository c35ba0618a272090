import Dovetail

/// The guards by themselves, around anything that can fail.
struct Courier: Sendable {
    private let calls: PolicyExecutor

    init() {
        var policy = CallPolicy()
        policy.timeout = .seconds(5)
        policy.attemptTimeout = .seconds(1)
        policy.retry = RetryPolicy(maximumAttempts: 3, baseDelay: .milliseconds(25), maximumDelay: .milliseconds(250))
        policy.circuitBreaker = CircuitBreakerPolicy()
        policy.bulkhead = BulkheadPolicy(maximumConcurrentCalls: 16, maximumQueuedCalls: 64)
        calls = PolicyExecutor(callee: "courier", policy: policy)
    }

    func label(for order: String, _ request: @escaping @Sendable (String, MonotonicTime?) async throws -> String)
        async throws -> String
    {
        try await calls.run(safety: .always) { attempt in
            try await request(order, attempt.deadline)
        }
    }
}
