import DovetailCore
import Synchronization

/// Resumes a waiting caller exactly once: with how its operation ends or with the deadline's error, whichever is first.
final class DeadlineRace<R: Sendable>: Sendable {
    private struct Caller: Sendable {
        let continuation: CheckedContinuation<R, any Error>
        let operation: Task<Void, Never>
        let deadline: DeadlineTimer.Entry
    }

    private enum State: Sendable {
        /// The operation runs; the caller does not wait yet.
        case starting(isCancelled: Bool)
        /// There is a result, and the caller does not wait yet.
        case early(Result<R, any Error>)
        case waiting(Caller)
        case settled
    }

    private let state = Mutex(State.starting(isCancelled: false))
    private let timer: DeadlineTimer
    private let onLateResult: (@Sendable () -> Void)?

    init(timer: DeadlineTimer, onLateResult: (@Sendable () -> Void)?) {
        self.timer = timer
        self.onLateResult = onLateResult
    }

    /// The caller waits. The operation may have ended, or the deadline passed, before.
    func begin(
        _ continuation: CheckedContinuation<R, any Error>, operation: Task<Void, Never>, deadline: DeadlineTimer.Entry
    ) {
        let (early, isCancelled) = state.withLock { state -> (Result<R, any Error>?, Bool) in
            switch state {
            case .early(let result):
                state = .settled
                return (result, true)
            case .starting(let isCancelled):
                state = .waiting(Caller(continuation: continuation, operation: operation, deadline: deadline))
                return (nil, isCancelled)
            case .waiting, .settled: preconditionFailure("a caller waits once")
            }
        }
        if isCancelled { operation.cancel() }
        if let early {
            timer.cancel(deadline)
            continuation.resume(with: early)
        }
    }

    func operationEnded(_ result: Result<R, any Error>) {
        if settle(result) { return }
        if case .failure(let error) = result, error is CancellationError { return }
        onLateResult?()
    }

    func deadlinePassed(_ error: CallError) {
        _ = settle(.failure(error))
    }

    func callerCancelled() {
        let operation = state.withLock { state -> Task<Void, Never>? in
            switch state {
            case .starting: state = .starting(isCancelled: true)
            case .waiting(let caller): return caller.operation
            case .early, .settled: break
            }
            return nil
        }
        operation?.cancel()
    }

    /// True if this is the first result, which is the one delivered.
    private func settle(_ result: Result<R, any Error>) -> Bool {
        let (isFirst, caller) = state.withLock { state -> (Bool, Caller?) in
            switch state {
            case .starting:
                state = .early(result)
                return (true, nil)
            case .waiting(let caller):
                state = .settled
                return (true, caller)
            case .early, .settled: return (false, nil)
            }
        }
        if let caller {
            caller.operation.cancel()
            timer.cancel(caller.deadline)
            caller.continuation.resume(with: result)
        }
        return isFirst
    }
}
