import DovetailCore
import Synchronization

/// A number that only rises, and tasks that wait for it: a log's head, a read model's cursor.
package final class Watermark: Sendable {
    private struct Waiter {
        let id: UInt64
        let target: Int64
        let continuation: CheckedContinuation<Int64, any Error>
    }

    private struct State {
        var value: Int64
        var failure: (any Error)?
        var waiters: [Waiter] = []
        var nextID: UInt64 = 0
        var cancelled: Set<UInt64> = []
    }

    private let state: Mutex<State>

    package init(_ value: Int64) {
        state = Mutex(State(value: value))
    }

    package var value: Int64 { state.withLock { $0.value } }

    /// Raises the number and resumes whoever waited for it; a lower number changes nothing.
    package func advance(to value: Int64) {
        let reached: [Waiter] = state.withLock { state in
            guard value > state.value else { return [] }
            state.value = value
            guard !state.waiters.isEmpty else { return [] }
            let split = state.waiters.partition { $0.target <= value }
            let reached = Array(state.waiters[split...])
            state.waiters.removeSubrange(split...)
            return reached
        }
        for waiter in reached { waiter.continuation.resume(returning: value) }
    }

    /// Sets the number back, when what it counts starts again.
    package func reset(to value: Int64) {
        state.withLock { $0.value = value }
    }

    /// Ends all waits, present and future, with `error`.
    package func fail(_ error: any Error) {
        let waiters = state.withLock { state in
            state.failure = error
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(throwing: error) }
    }

    /// Returns the number once it is at least `target`. Throws `CancellationError` when cancelled.
    package func wait(for target: Int64) async throws -> Int64 {
        let id: UInt64 = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        // A cancellation that comes when the wait is already over leaves its mark; nobody else takes it away.
        defer { state.withLock { _ = $0.cancelled.remove(id) } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Int64, any Error>? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if let failure = state.failure { return .failure(failure) }
                    if state.value >= target { return .success(state.value) }
                    state.waiters.append(Waiter(id: id, target: target, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let waiter: Waiter? = state.withLock { state in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.waiters.remove(at: index)
            }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }
}
