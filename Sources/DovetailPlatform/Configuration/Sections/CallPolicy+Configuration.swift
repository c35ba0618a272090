import DovetailResilience

extension CallPolicy {
    /// Reads a policy; what it leaves out has the defaults of ``CallPolicy``.
    init(reading section: SectionReader) {
        self.init()
        // Already laid under this section when it is read; see PolicyInheritance.
        _ = section.optional("extends", .name, "The policy whose values hold where this one has none.")
        timeout = section.value(
            "timeout", .duration, default: "15s", "How long a call may take in all, retries and waits included.")
        attemptTimeout = section.optional(
            "attemptTimeout", .duration, "How long one attempt may take; as long as the call has, unless given.")
        let retrying = section.section(
            "retry", .none().or(.section("a retry section", CallPolicy.retrying)),
            "Other attempts after one that failed, where the contract or the method makes that safe; none: only one.")
        retry = retrying?.policy
        retryBudget = retrying?.budget
        circuitBreaker = section.section(
            "circuitBreaker", .none().or(.section("a circuit breaker") { CircuitBreakerPolicy(reading: $0) }),
            "Sends no calls for a while to what fails; none: always sends.")
        bulkhead = section.section(
            "bulkhead", .none().or(.section("a bulkhead") { BulkheadPolicy(reading: $0) }),
            "Bounds how many calls run at a time; none: as many as come.")
        rateLimit =
            section.optional(
                "rateLimit", .none().or(.section("a rate limit") { RateLimit(reading: $0) }),
                "How often may be called, over all callers of the process; without a limit unless given.") ?? nil
    }

    /// A policy, and whether it says a bulkhead of its own.
    static var configurationType: ConfigurationType<(policy: CallPolicy, saysBulkhead: Bool)> {
        .section("a policy") { (CallPolicy(reading: $0), $0.has("bulkhead")) }
    }

    private static func retrying(
        reading section: SectionReader
    ) -> (policy: RetryPolicy, budget: RetryBudgetPolicy?)? {
        let attempts = section.value("attempts", .integer(1...10), default: "3", "How many attempts in all.")
        let backoff = section.section(
            "backoff",
            .section("a backoff section") { backoff in
                let base = backoff.value("base", .duration, default: "25ms", "The longest first wait.")
                let maximum = backoff.value("max", .duration, default: "250ms", "The longest wait.")
                if maximum < base { backoff.report("the longest wait is shorter than the first", key: "max") }
                return (base: base, maximum: maximum)
            }, "The wait between attempts: drawn from zero to a bound that doubles each time.")
        let budget = section.section(
            "budget", .none().or(.section("a budget section") { RetryBudgetPolicy(reading: $0) }),
            "Bounds the retries of all callers together, so that they cannot multiply an overload; none: no bound.")
        let policy = RetryPolicy(
            maximumAttempts: attempts, baseDelay: backoff.base, maximumDelay: backoff.maximum)
        return (policy, budget)
    }
}

extension RetryBudgetPolicy {
    fileprivate init(reading section: SectionReader) {
        self.init(
            ratio: section.value("ratio", .ratio, default: "20%", "Retries as a share of all calls."),
            window: section.value("window", .duration, default: "10s", "The time over which the share is taken."),
            minimumPerSecond: section.value(
                "minimum", .perSecond, default: "10/s", "Retries that are granted beside the share."))
    }
}

extension CircuitBreakerPolicy {
    fileprivate init(reading section: SectionReader) {
        self.init()
        failureRateThreshold = section.value(
            "failureRate", .ratio, default: "50%", "The share of failures at which it opens.")
        minimumNumberOfCalls = section.value(
            "minimumCalls", .integer(1...1_000_000), default: "20", "With fewer calls in the window it stays closed.")
        window = .time(section.value("window", .duration, default: "10s", "The time over which calls are counted."))
        openDuration = section.value(
            "open", .duration, default: "1s", "How long it stays open the first time; twice as long each time after.")
        maximumOpenDuration = section.value("maxOpen", .duration, default: "60s", "How long it stays open at most.")
        permittedNumberOfCallsInHalfOpenState = section.value(
            "halfOpenCalls", .integer(1...1000), default: "3", "How many calls are tried before it closes.")
        if failureRateThreshold == 0 {
            section.report("at 0% it would always be open; use a share above zero", key: "failureRate")
        }
        if maximumOpenDuration < openDuration {
            section.report("the longest time open is shorter than the first", key: "maxOpen")
        }
    }
}

extension BulkheadPolicy {
    fileprivate init(reading section: SectionReader) {
        self.init(
            maximumConcurrentCalls: section.value(
                "concurrent", .integer(1...1_000_000), default: "1024", "How many calls run at a time."),
            maximumQueuedCalls: section.value(
                "queue", .integer(0...1_000_000), default: "128", "How many more may wait."),
            maximumQueueWait: section.value("wait", .duration, default: "1s", "How long a call waits at most."))
    }
}

extension RateLimit {
    /// Reads `rate` and `burst`.
    init(reading section: SectionReader) {
        let rate = section.required("rate", .rate, "The rate, such as 100/s.")
        let burst = section.optional(
            "burst", .integer(1...1_000_000_000),
            "How many may come at once after a quiet time; the rate's count unless given.")
        guard let burst else {
            self = rate
            return
        }
        if let limit = try? RateLimit(parsing: "\(rate.description.prefix { $0 != " " })", burst: burst) {
            self = limit
        } else {
            self = rate
            section.report("rate and burst together are beyond what can be counted", key: "burst")
        }
    }
}
