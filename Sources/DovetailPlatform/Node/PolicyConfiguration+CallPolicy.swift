import DovetailResilience

extension PlatformConfiguration {
    /// The policy of calls to a module: the one named for it, else `default`, else the library's defaults.
    func policy(for module: String) -> CallPolicy {
        let policy = calls[module].flatMap { policies[$0] } ?? policies["default"]
        return policy?.callPolicy ?? CallPolicy()
    }
}

extension PolicyConfiguration {
    /// The policy as the resilience library takes it.
    var callPolicy: CallPolicy {
        var policy = CallPolicy()
        policy.timeout = timeout
        policy.attemptTimeout = attemptTimeout
        policy.rateLimit = rateLimit
        policy.retry = retry.map {
            RetryPolicy(maximumAttempts: $0.attempts, baseDelay: $0.backoffBase, maximumDelay: $0.backoffMaximum)
        }
        policy.retryBudget = retry.map {
            RetryBudgetPolicy(ratio: $0.budgetRatio, minimumPerSecond: Int($0.budgetMinimum.perSecond.rounded(.up)))
        }
        policy.circuitBreaker = circuitBreaker.map { breaker in
            var policy = CircuitBreakerPolicy()
            policy.failureRateThreshold = breaker.failureRate
            policy.minimumNumberOfCalls = breaker.minimumCalls
            policy.window = .time(breaker.window)
            policy.openDuration = breaker.open
            policy.maximumOpenDuration = breaker.maxOpen
            policy.permittedNumberOfCallsInHalfOpenState = breaker.halfOpenCalls
            return policy
        }
        if let bulkhead {
            policy.bulkhead = BulkheadPolicy(
                maximumConcurrentCalls: bulkhead.concurrent, maximumQueuedCalls: bulkhead.queue,
                maximumQueueWait: timeout)
        }
        return policy
    }
}

extension RateLimit {
    /// How many a second it grants in the long run.
    var perSecond: Double { Double(count) / max(period.inSeconds, 1e-9) }
}
