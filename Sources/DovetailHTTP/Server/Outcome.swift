import Synchronization

/// What something that is under way comes to: many may wait for it, the first outcome stays.
final class Outcome<Value: Sendable>: Sendable {
    private enum State {
        case pending([Int: CheckedContinuation<Value, any Error>], next: Int)
        case done(Result<Value, any Error>)
    }

    private let state = Mutex(State.pending([:], next: 0))

    /// The value, once there is one. Throws the failure, or `CancellationError` when the waiting task is cancelled.
    var value: Value {
        get async throws {
            let ticket = state.withLock { state -> Int in
                guard case .pending(let waiting, let next) = state else { return 0 }
                state = .pending(waiting, next: next + 1)
                return next
            }
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    let result = state.withLock { state -> Result<Value, any Error>? in
                        switch state {
                        case .done(let result): return result
                        case .pending(var waiting, let next):
                            guard !Task.isCancelled else { return .failure(CancellationError()) }
                            waiting[ticket] = continuation
                            state = .pending(waiting, next: next)
                            return nil
                        }
                    }
                    if let result { continuation.resume(with: result) }
                }
            } onCancel: {
                let continuation = state.withLock { state -> CheckedContinuation<Value, any Error>? in
                    guard case .pending(var waiting, let next) = state else { return nil }
                    defer { state = .pending(waiting, next: next) }
                    return waiting.removeValue(forKey: ticket)
                }
                continuation?.resume(throwing: CancellationError())
            }
        }
    }

    /// Settles on a value, unless settled already.
    func succeed(_ value: Value) { settle(.success(value)) }

    /// Settles on a failure, unless settled already.
    func fail(_ error: any Error) { settle(.failure(error)) }

    private func settle(_ result: Result<Value, any Error>) {
        let waiting = state.withLock { state -> [CheckedContinuation<Value, any Error>] in
            guard case .pending(let waiting, _) = state else { return [] }
            state = .done(result)
            return Array(waiting.values)
        }
        for continuation in waiting { continuation.resume(with: result) }
    }
}
