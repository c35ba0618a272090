import DovetailCore
import Synchronization

/// Makes the calls to one callee under its ``CallPolicy``. One executor per callee: what it holds is what calls share.
///
/// The order of the guards is fixed:
///
///     deadline → rate limit → bulkhead → [ circuit breaker → attempt timeout → operation ]  ⟲ retry
///
/// A call takes one place in the bulkhead however often it is sent. Each attempt asks the breaker and is counted by it.
/// The wait between attempts is outside of it. An operation that hangs past its deadline has given its place in the
/// bulkhead back; the breaker, to which each of these is a failure, keeps them from piling up.
///
/// Which error a caller gets:
/// - refused on this side: ``CallError`` of code `circuitOpen`, `bulkheadFull` or `rateLimited`, with `wasSent` false;
/// - out of time: ``CallError`` of code `deadlineExceeded`;
/// - otherwise the last attempt's error. But if an earlier attempt may have reached the callee, and the last one tells
///   only that it did not, the caller gets the earlier one's: "not sent" and "did nothing" are said of the whole call
///   or not at all.
public final class PolicyExecutor: Sendable {
    /// Whom the calls go to: names it in errors.
    public let callee: String
    /// How calls are guarded.
    public let policy: CallPolicy
    /// The breaker, if there is one.
    public let circuitBreaker: CircuitBreaker?
    /// The bulkhead, if there is one.
    public let bulkhead: Bulkhead?
    private let retryBudget: RetryBudget?
    private let rateLimit: Mutex<GCRA>?
    private let clock: any MonotonicClock
    private let random: Mutex<SeededGenerator>
    private let record: PolicyRecord

    /// An executor that has made no call yet.
    ///
    /// - Parameters:
    ///   - callee: Whom the calls go to.
    ///   - policy: How they are guarded.
    ///   - clock: The time, and who waits for it.
    ///   - seed: What all jitter follows from; drawn at random unless given.
    ///   - onEvent: Told of what happens beyond passing calls on, on the thread where it happens; no lock is held. It
    ///     must not block.
    public init(
        callee: String, policy: CallPolicy = CallPolicy(), clock: any MonotonicClock = SystemClock(),
        seed: UInt64 = .random(in: .min ... .max), onEvent: (@Sendable (PolicyEvent) -> Void)? = nil
    ) {
        let record = PolicyRecord(onEvent: onEvent)
        self.callee = callee
        self.policy = policy
        self.clock = clock
        self.record = record
        circuitBreaker = policy.circuitBreaker.map { policy in
            CircuitBreaker(callee: callee, policy: policy, clock: clock, seed: seed) { record.happened(.circuit($0)) }
        }
        bulkhead = policy.bulkhead.map { Bulkhead(callee: callee, policy: $0, clock: clock) }
        retryBudget = policy.retryBudget.map { RetryBudget(policy: $0) }
        if let limit = policy.rateLimit { rateLimit = Mutex(GCRA(limit)) } else { rateLimit = nil }
        random = Mutex(SeededGenerator(seed: seed))
    }

    /// What was counted so far.
    public var counters: PolicyCounters { record.counters }

    /// Makes one call.
    ///
    /// The deadline is the earliest of the argument, ``CallContext/current``'s and the policy's timeout. Cancelling the
    /// caller cancels the attempt under way, the wait for the next or the wait for a place, and no further attempt is
    /// made.
    ///
    /// - Parameters:
    ///   - safety: Which failures the call may be sent again after.
    ///   - deadline: When the caller stops waiting.
    ///   - operation: One attempt. See ``withDeadline(_:callee:clock:onLateResult:operation:)`` for where it runs.
    public func run<R: Sendable>(
        safety: RetrySafety, deadline: MonotonicTime? = nil,
        operation: @escaping @Sendable (Attempt) async throws -> R
    ) async throws -> R {
        record.update { $0.calls += 1 }
        do {
            let value = try await guarded(safety: safety, deadline: effective(deadline), operation: operation)
            record.update { $0.succeeded += 1 }
            return value
        } catch {
            record.update { $0.failed += 1 }
            throw error
        }
    }

    private func effective(_ deadline: MonotonicTime?) -> MonotonicTime? {
        earliest(earliest(deadline, CallContext.current?.deadline), policy.timeout.map { clock.now + $0 })
    }

    private func earliest(_ one: MonotonicTime?, _ other: MonotonicTime?) -> MonotonicTime? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    private func guarded<R: Sendable>(
        safety: RetrySafety, deadline: MonotonicTime?, operation: @escaping @Sendable (Attempt) async throws -> R
    ) async throws -> R {
        try Task.checkCancellation()
        if let refusal = refusal(deadline) { throw rejected(refusal) }
        guard let bulkhead else { return try await attempts(safety: safety, deadline: deadline, operation: operation) }
        let permit: BulkheadPermit
        do {
            permit = try await bulkhead.permit(until: deadline)
        } catch let error as CallError {
            throw rejected(error)
        }
        let result: Result<R, any Error>
        do {
            result = .success(try await attempts(safety: safety, deadline: deadline, operation: operation))
        } catch {
            result = .failure(error)
        }
        _ = consume permit
        return try result.get()
    }

    /// The retry loop.
    private func attempts<R: Sendable>(
        safety: RetrySafety, deadline: MonotonicTime?, operation: @escaping @Sendable (Attempt) async throws -> R
    ) async throws -> R {
        var inDoubt: (any Error)?
        var number = 1
        while true {
            let permit: CircuitBreakerPermit?
            do {
                permit = try circuitBreaker?.permit(at: clock.now)
            } catch {
                throw honest(rejected(error), inDoubt)
            }
            if number == 1 { retryBudget?.deposit(at: clock.now) }
            let result = await attempt(number, deadline: deadline, operation: operation)
            if let permit, let breaker = circuitBreaker {
                permit.report(breaker.policy.outcome(of: result), at: clock.now)
            }
            guard case .failure(let error) = result else { return try result.get() }
            guard let delay = delay(afterAttempt: number, failedWith: error, safety: safety, deadline: deadline) else {
                throw honest(error, inDoubt)
            }
            if FailureKind.of(error) == .inDoubt { inDoubt = error }
            record.happened(.retried(attempt: number, delay: delay, error: error))
            try await clock.sleep(for: delay)
            number += 1
        }
    }

    private func attempt<R: Sendable>(
        _ number: Int, deadline: MonotonicTime?, operation: @escaping @Sendable (Attempt) async throws -> R
    ) async -> Result<R, any Error> {
        let end = earliest(deadline, policy.attemptTimeout.map { clock.now + $0 })
        let start: @Sendable () async throws -> R = { [record] in
            record.update { $0.attempts += 1 }
            return try await operation(Attempt(number: number, deadline: end))
        }
        do {
            guard let end else { return .success(try await start()) }
            return .success(
                try await withDeadline(
                    end, callee: callee, clock: clock, onLateResult: { [record] in record.happened(.lateResult) },
                    operation: start))
        } catch {
            if let error = error as? CallError, error.code == .deadlineExceeded {
                record.happened(error.wasSent ? .timedOut(attempt: number) : .rejected(error))
            }
            return .failure(error)
        }
    }

    /// How long to wait for the next attempt; nil if there is none.
    private func delay(
        afterAttempt number: Int, failedWith error: any Error, safety: RetrySafety, deadline: MonotonicTime?
    ) -> Duration? {
        guard let retry = policy.retry, !Task.isCancelled else { return nil }
        let now = clock.now
        let decision = random.withLock { random in
            retry.decide(
                afterAttempt: number, failedWith: error, safety: safety, at: now, deadline: deadline, using: &random)
        }
        guard case .retry(let delay) = decision else { return nil }
        guard let retryBudget, !retryBudget.withdraw(at: now) else { return delay }
        record.happened(.budgetExhausted(error: error))
        return nil
    }

    /// The error that says no less than is true of the whole call.
    private func honest(_ error: any Error, _ inDoubt: (any Error)?) -> any Error {
        switch FailureKind.of(error) {
        case .notSent, .transient: inDoubt ?? error
        case .inDoubt, .permanent: error
        }
    }

    private func refusal(_ deadline: MonotonicTime?) -> CallError? {
        let now = clock.now
        if let deadline, now >= deadline {
            return CallError(
                .deadlineExceeded, callee: callee, message: "not called, because the deadline had passed",
                wasSent: false)
        }
        guard let decision = rateLimit?.withLock({ $0.decide(at: now) }), !decision.allowed else { return nil }
        return CallError(
            .rateLimited, callee: callee, message: "not called, because its limit of \(decision.limit) is used up",
            wasSent: false, retryAfter: decision.retryAfter)
    }

    private func rejected(_ error: CallError) -> CallError {
        record.happened(.rejected(error))
        return error
    }
}
