import DovetailCore
import Synchronization

/// Stops calls to a callee that fails, and lets a few through after a while to see whether it is well again.
///
/// Exact in this process however many threads ask. One call is:
///
///     let value = try await breaker.withPermit { try await fetch() }
///
/// or, where there is no task (an event loop), a permit taken and reported by hand:
///
///     let permit = try breaker.permit(at: now)
///     …
///     permit.report(.success, at: later)
///
/// A permit cannot be copied, and gives itself back when it is dropped without a report: by cancellation, by an early
/// return, by a connection that goes away with it. Half-open therefore never waits for a probe that nobody makes.
public final class CircuitBreaker: Sendable {
    private struct Shared {
        var state: CircuitBreakerState
        var undelivered: [CircuitBreakerTransition] = []
        var isDelivering = false
    }

    /// Whom it guards: names it in errors.
    public let callee: String
    /// When it opens and how it closes.
    public let policy: CircuitBreakerPolicy
    private let clock: any MonotonicClock
    private let onTransition: (@Sendable (CircuitBreakerTransition) -> Void)?
    private let shared: Mutex<Shared>

    /// A closed breaker.
    ///
    /// - Parameters:
    ///   - callee: Whom it guards.
    ///   - policy: When it opens and how it closes.
    ///   - clock: The time for ``withPermit(isolation:_:)`` and for what reports nothing itself.
    ///   - seed: What the jitter of the open time follows from; drawn at random unless given.
    ///   - onTransition: Told of each change of phase, once and in order, on the thread that caused it or another that
    ///     is at it; no lock is held. It must not block.
    public init(
        callee: String, policy: CircuitBreakerPolicy = CircuitBreakerPolicy(),
        clock: any MonotonicClock = SystemClock(), seed: UInt64 = .random(in: .min ... .max),
        onTransition: (@Sendable (CircuitBreakerTransition) -> Void)? = nil
    ) {
        self.callee = callee
        self.policy = policy
        self.clock = clock
        self.onTransition = onTransition
        shared = Mutex(Shared(state: CircuitBreakerState(policy: policy, seed: seed)))
    }

    /// The right to make one call at `now`.
    ///
    /// - Throws: ``CallError`` of code `circuitOpen`, with the time after which to ask again.
    public func permit(at now: MonotonicTime) throws(CallError) -> CircuitBreakerPermit {
        let verdict = update { $0.admit(at: now) }
        switch verdict {
        case .permitted(let token): return CircuitBreakerPermit(breaker: self, token: token)
        case .rejected(let retryAfter):
            throw CallError(
                .circuitOpen, callee: callee, message: "not called, because its circuit breaker is open",
                wasSent: false, retryAfter: retryAfter)
        }
    }

    /// Makes a call if the breaker lets it through, and counts how it ends.
    ///
    /// - Throws: ``CallError`` of code `circuitOpen`, or what `operation` throws.
    public func withPermit<R>(
        isolation: isolated (any Actor)? = #isolation, _ operation: () async throws -> R
    ) async throws -> R {
        let permit = try permit(at: clock.now)
        let result: Result<R, any Error>
        do { result = .success(try await operation()) } catch { result = .failure(error) }
        permit.report(policy.outcome(of: result), at: clock.now)
        return try result.get()
    }

    /// Its phase and its counts at this moment.
    public var snapshot: CircuitBreakerSnapshot {
        let now = clock.now
        return shared.withLock { shared in
            let totals = shared.state.totals(at: now)
            return CircuitBreakerSnapshot(
                phase: shared.state.phase, calls: totals.calls, failures: totals.failures, slow: totals.slow,
                openings: shared.state.openings, rejected: shared.state.rejected)
        }
    }

    func record(_ outcome: CallOutcome, of token: CircuitBreakerState.Token, at now: MonotonicTime) {
        update { ((), $0.record(outcome, of: token, at: now)) }
    }

    func release(_ token: CircuitBreakerState.Token) {
        shared.withLock { $0.state.release(token) }
    }

    private func update<R: Sendable>(
        _ body: (inout CircuitBreakerState) -> (R, CircuitBreakerTransition?)
    ) -> R {
        let (result, deliver) = shared.withLock { shared in
            let (result, transition) = body(&shared.state)
            guard let transition, onTransition != nil else { return (result, false) }
            shared.undelivered.append(transition)
            defer { shared.isDelivering = true }
            return (result, !shared.isDelivering)
        }
        if deliver { deliverTransitions() }
        return result
    }

    /// One thread at a time hands transitions over, without the lock, so that they keep their order.
    private func deliverTransitions() {
        while true {
            let transitions = shared.withLock { shared in
                defer { shared.undelivered.removeAll() }
                if shared.undelivered.isEmpty { shared.isDelivering = false }
                return shared.undelivered
            }
            guard !transitions.isEmpty else { return }
            for transition in transitions { onTransition?(transition) }
        }
    }
}

extension CircuitBreakerPolicy {
    /// What the end of the present task's call says about the callee. A failure after cancellation says nothing.
    func outcome<R>(of result: Result<R, any Error>) -> CallOutcome {
        switch result {
        case .success: .success
        case .failure where Task.isCancelled: .ignored
        case .failure(let error): outcome(error)
        }
    }
}
