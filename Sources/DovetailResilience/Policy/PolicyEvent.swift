import DovetailCore

/// Something a ``PolicyExecutor`` did beyond passing a call on.
public enum PolicyEvent: Sendable {
    /// An attempt failed and the next follows after the delay.
    case retried(attempt: Int, delay: Duration, error: any Error)
    /// An attempt failed and the callee's retry budget had nothing left for the next.
    case budgetExhausted(error: any Error)
    /// A call, or its next attempt, was refused on this side: `circuitOpen`, `bulkheadFull`, `rateLimited`, or
    /// `deadlineExceeded` before anything was sent.
    case rejected(CallError)
    /// An attempt had not ended when its time, or its call's, was over.
    case timedOut(attempt: Int)
    /// An attempt that had timed out ended after all. What it came up with was dropped.
    case lateResult
    /// The circuit breaker changed its phase.
    case circuit(CircuitBreakerTransition)
}
