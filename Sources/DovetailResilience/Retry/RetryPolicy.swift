import DovetailCore

/// How often and after what wait a failed call is sent again.
///
/// The wait is exponential with full jitter, a random time between zero and `min(maximumDelay, baseDelay · 2ⁿ)`:
/// callers that failed together do not come back together (the formula is AWS's, "Exponential Backoff and Jitter"; base
/// and cap of 25 ms and 250 ms are Envoy's). A callee that says `Retry-After` is never asked sooner; if there is no
/// time left for that, the call fails at once.
///
/// Retries multiply along a chain of calls. Only the caller nearest the failure should have a policy.
public struct RetryPolicy: Sendable, Hashable {
    /// The most attempts, the first included. 3.
    public var maximumAttempts: Int
    /// The upper bound of the wait before the first retry; doubles with each. 25 ms.
    public var baseDelay: Duration
    /// The upper bound of all waits that the callee did not ask for. 250 ms.
    public var maximumDelay: Duration

    /// A policy of that many attempts.
    public init(
        maximumAttempts: Int = 3, baseDelay: Duration = .milliseconds(25), maximumDelay: Duration = .milliseconds(250)
    ) {
        self.maximumAttempts = maximumAttempts
        self.baseDelay = baseDelay
        self.maximumDelay = maximumDelay
    }

    /// Decides what follows a failed attempt. The retry budget is asked afterwards, by who acts on the decision.
    ///
    /// - Parameters:
    ///   - attempt: The number of the attempt that failed; the first is 1.
    ///   - error: What it failed with.
    ///   - safety: Which failures the call may be sent again after.
    ///   - now: The present.
    ///   - deadline: When the caller stops waiting. No attempt starts at or after it.
    ///   - random: The source of the jitter.
    public func decide(
        afterAttempt attempt: Int, failedWith error: any Error, safety: RetrySafety, at now: MonotonicTime,
        deadline: MonotonicTime?, using random: inout some RandomNumberGenerator
    ) -> RetryDecision {
        guard safety.permitsRetry(after: .of(error)) else { return .giveUp(.notRetriable) }
        guard attempt < maximumAttempts else { return .giveUp(.attemptsExhausted) }
        let asked = max((error as? any ClassifiedFailure)?.retryAfter ?? .zero, .zero)
        let bound = backoffBound(afterAttempt: attempt).wholeNanoseconds
        let wait = asked + .nanoseconds(Int64.random(in: 0...max(bound, 0), using: &random))
        if let deadline, now + wait >= deadline { return .giveUp(.deadline) }
        return .retry(after: wait)
    }

    private func backoffBound(afterAttempt attempt: Int) -> Duration {
        var bound = baseDelay
        for _ in 1..<min(max(attempt, 1), 64) where bound < maximumDelay { bound = bound * 2 }
        return min(bound, maximumDelay)
    }
}

/// What follows a failed attempt.
public enum RetryDecision: Sendable, Hashable {
    /// Why a call is not sent again.
    public enum Reason: String, Sendable, Hashable {
        /// The failure would come back, or the call may have been done.
        case notRetriable
        /// It was the last attempt.
        case attemptsExhausted
        /// The wait would end after the caller's deadline.
        case deadline
        /// The callee's retry budget is used up.
        case budgetExhausted
    }

    /// The call is sent again after this time.
    case retry(after: Duration)
    /// The call has failed.
    case giveUp(Reason)
}
