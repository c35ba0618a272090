import DovetailResilience

/// How calls are made to a module or an upstream: in process and over HTTP alike.
///
/// The defaults of each part are those of the policy that calls have without one.
public struct PolicyConfiguration: Sendable, Hashable {
    /// Other attempts after one that failed, where the contract or the method makes that safe.
    public struct Retry: Sendable, Hashable {
        /// How many attempts in all; 3 by default.
        public let attempts: Int
        /// The wait before the first retry is drawn from zero to this, and from twice as much each time; 25 ms by default.
        public let backoffBase: Duration
        /// The longest wait; 250 ms by default.
        public let backoffMaximum: Duration
        /// Retries as a share of all calls; 0.2 by default.
        public let budgetRatio: Double
        /// Retries that are granted beside the share, so that few calls may be retried too; 10/s by default.
        public let budgetMinimum: RateLimit
    }

    /// Sends no calls for a while to what fails.
    public struct CircuitBreaker: Sendable, Hashable {
        /// The share of failures at which it opens; 0.5 by default.
        public let failureRate: Double
        /// The number of calls in the window below which it stays closed; 20 by default.
        public let minimumCalls: Int
        /// The time over which calls are counted; 10 s by default.
        public let window: Duration
        /// How long it stays open the first time; 1 s by default, twice as long each time after.
        public let open: Duration
        /// How long it stays open at most; 60 s by default.
        public let maxOpen: Duration
        /// How many calls are tried before it closes; 3 by default.
        public let halfOpenCalls: Int
    }

    /// Bounds how many calls run at a time.
    public struct Bulkhead: Sendable, Hashable {
        /// How many calls run at a time.
        public let concurrent: Int
        /// How many more may wait; 0 by default.
        public let queue: Int
    }

    /// The policy's name.
    public let name: String
    /// How long a call may take in all, retries and waits included; 15 s by default.
    public let timeout: Duration
    /// How long one attempt may take; as long as the call unless given.
    public let attemptTimeout: Duration?
    /// Other attempts; nil if the file says `none`.
    public let retry: Retry?
    /// The circuit breaker; nil if the file says `none`.
    public let circuitBreaker: CircuitBreaker?
    /// The bulkhead; nil, the default: as many calls at a time as come.
    public let bulkhead: Bulkhead?
    /// How often may be called, over all callers of the process; nil, the default: without a limit.
    public let rateLimit: RateLimit?
}

extension PolicyConfiguration {
    init(name: String, reading section: SectionReader) {
        self.name = name
        // Already laid under this section when it is read; see PolicyInheritance.
        _ = section.optional("extends", .name, "The policy whose values hold where this one has none.")
        timeout = section.value(
            "timeout", .duration, default: "15s", "How long a call may take in all, retries and waits included.")
        attemptTimeout = section.optional("attemptTimeout", .duration, "How long one attempt may take.")
        retry = section.section(
            "retry", .none().or(.section("a retry section") { Retry(reading: $0) }), "Other attempts; none: one only.")
        circuitBreaker = section.section(
            "circuitBreaker", .none().or(.section("a circuit breaker") { CircuitBreaker(reading: $0) }),
            "Sends no calls for a while to what fails; none: always sends.")
        bulkhead =
            section.optional(
                "bulkhead", .none().or(.section("a bulkhead") { Bulkhead(reading: $0) }),
                "Bounds how many calls run at a time; none unless given.") ?? nil
        rateLimit =
            section.optional(
                "rateLimit", .none().or(.section("a rate limit", PolicyConfiguration.limit)),
                "How often may be called, over all callers of the process; none unless given.") ?? nil
    }

    static func type(name: String) -> ConfigurationType<PolicyConfiguration> {
        .section("a policy") { PolicyConfiguration(name: name, reading: $0) }
    }

    private static func limit(reading section: SectionReader) -> RateLimit? {
        let rate = section.required("rate", .rate, "The rate, such as 100/s.")
        let burst = section.optional(
            "burst", .integer(1...1_000_000_000),
            "How many may come at once after a quiet time; the rate's count unless given.")
        return burst.flatMap { try? RateLimit(parsing: rate.description, burst: $0) } ?? rate
    }
}

extension PolicyConfiguration.Retry {
    init(reading section: SectionReader) {
        attempts = section.value("attempts", .integer(1...10), default: "3", "How many attempts in all.")
        (backoffBase, backoffMaximum) = section.section(
            "backoff",
            .section("a backoff section") { backoff in
                let base = backoff.value("base", .duration, default: "25ms", "The longest first wait.")
                let maximum = backoff.value("max", .duration, default: "250ms", "The longest wait.")
                if maximum < base { backoff.report("the longest wait is shorter than the first", key: "max") }
                return (base, maximum)
            }, "The wait between attempts: drawn from zero to a bound that doubles each time.")
        (budgetRatio, budgetMinimum) = section.section(
            "budget",
            .section("a budget section") { budget in
                (
                    budget.value("ratio", .ratio, default: "20%", "Retries as a share of all calls."),
                    budget.value("minimum", .rate, default: "10/s", "Retries that are granted beside the share.")
                )
            }, "Bounds the retries of all callers together, so that they cannot multiply an overload.")
    }
}

extension PolicyConfiguration.CircuitBreaker {
    init(reading section: SectionReader) {
        failureRate = section.value("failureRate", .ratio, default: "50%", "The share of failures at which it opens.")
        minimumCalls = section.value(
            "minimumCalls", .integer(1...1_000_000), default: "20", "With fewer calls in the window it stays closed.")
        window = section.value("window", .duration, default: "10s", "The time over which calls are counted.")
        open = section.value("open", .duration, default: "1s", "How long it stays open the first time.")
        maxOpen = section.value("maxOpen", .duration, default: "60s", "How long it stays open at most.")
        halfOpenCalls = section.value(
            "halfOpenCalls", .integer(1...1000), default: "3", "How many calls are tried before it closes.")
        if failureRate == 0 {
            section.report("at 0% it would always be open; use a share above zero", key: "failureRate")
        }
        if maxOpen < open { section.report("the longest time open is shorter than the first", key: "maxOpen") }
    }
}

extension PolicyConfiguration.Bulkhead {
    init(reading section: SectionReader) {
        concurrent = section.required("concurrent", .integer(1...1_000_000), "How many calls run at a time.")
        queue = section.value("queue", .integer(0...1_000_000), default: "0", "How many more may wait.")
    }
}

extension PolicyConfiguration {
    /// The policy in which everything is at its default.
    public static func standard(name: String = "default") -> PolicyConfiguration {
        let issues = IssueCollector(file: "")
        let start = ConfigurationPosition(line: 1, column: 1)
        let empty = ConfigurationNode(content: .mapping([]), position: start)
        return PolicyConfiguration(
            name: name, reading: SectionReader(reading: empty, at: ConfigurationPlace(path: .top, issues: issues)))
    }
}
