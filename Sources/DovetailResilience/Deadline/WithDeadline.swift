import DovetailCore

/// Runs `operation` and answers at `deadline`, to the millisecond, even if the operation ignores cancellation.
///
/// The operation runs in one task of its own, with the caller's priority and task-local values (trace context
/// included); in it ``CallContext/current`` has the earlier of its own deadline and this one. At the deadline the
/// caller gets its error, the task is cancelled, and what it still comes up with is counted by `onLateResult` and
/// delivered to nobody.
///
/// Cancelling the caller cancels the operation; the caller then waits for how it ends, until the deadline.
///
/// - Parameters:
///   - deadline: When the caller stops waiting. If it has passed, the operation is not started.
///   - callee: Whom the operation calls: names it in the error.
///   - clock: Waits for the deadline.
///   - onLateResult: Called once if the operation ends after the deadline other than by `CancellationError`.
///   - operation: What is done. It should observe cancellation; until it ends it goes on using what it uses.
/// - Throws: ``CallError`` of code `deadlineExceeded` (`wasSent` tells whether the operation was started), or what the
///   operation throws.
public func withDeadline<R: Sendable>(
    _ deadline: MonotonicTime, callee: String = "operation", clock: any MonotonicClock = SystemClock(),
    onLateResult: (@Sendable () -> Void)? = nil, operation: @escaping @Sendable () async throws -> R
) async throws -> R {
    guard clock.now < deadline else {
        throw CallError(
            .deadlineExceeded, callee: callee, message: "not called, because the deadline had passed", wasSent: false)
    }
    let timer = DeadlineTimer.on(clock)
    let race = DeadlineRace<R>(timer: timer, onLateResult: onLateResult)
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            let task = Task {
                let context = CallContext.current?.limited(to: deadline)
                do {
                    let value = try await CallContext.$current.withValue(context) { try await operation() }
                    race.operationEnded(.success(value))
                } catch {
                    race.operationEnded(.failure(error))
                }
            }
            let entry = timer.schedule(at: deadline) {
                race.deadlinePassed(
                    CallError(
                        .deadlineExceeded, callee: callee, message: "gave no answer before the deadline",
                        wasSent: true))
            }
            race.begin(continuation, operation: task, deadline: entry)
        }
    } onCancel: {
        race.callerCancelled()
    }
}
