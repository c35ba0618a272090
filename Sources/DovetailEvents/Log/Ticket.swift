import DovetailCore
import Synchronization

/// The outcome of a request that was handed to a writer: fulfilled once, awaited by at most one task.
///
/// Cancelling the waiting task does not withdraw the request: it waits on, and learns the true outcome.
public final class Ticket<Value: Sendable>: Sendable {
    private enum State {
        case pending
        case waiting(CheckedContinuation<Value, any Error>)
        case done(Result<Value, any Error>)
    }

    private let state = Mutex(State.pending)

    /// A ticket whose outcome is still open.
    public init() {}

    /// Settles the outcome and resumes the waiter. Only the first call counts.
    public func fulfil(_ result: Result<Value, any Error>) {
        let waiter: CheckedContinuation<Value, any Error>? = state.withLock { state in
            switch state {
            case .pending:
                state = .done(result)
                return nil
            case .waiting(let continuation):
                state = .done(result)
                return continuation
            case .done:
                return nil
            }
        }
        waiter?.resume(with: result)
    }

    /// The outcome, once it is known.
    public var value: Value {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let known: Result<Value, any Error>? = state.withLock { state in
                    switch state {
                    case .pending:
                        state = .waiting(continuation)
                        return nil
                    case .waiting:
                        preconditionFailure("a ticket is awaited by one task only")
                    case .done(let result):
                        return result
                    }
                }
                if let known { continuation.resume(with: known) }
            }
        }
    }
}
