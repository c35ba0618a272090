import Synchronization

/// Counts what handlers have done, for one who waits.
final class Counter: Sendable {
    private struct State {
        var count = 0
        var target = Int.max
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func add(_ number: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.count += number
            guard state.count >= state.target else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns once the count is `target`; one task waits at a time.
    func wait(for target: Int) async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if state.count >= target { return true }
                state.target = target
                state.waiter = continuation
                return false
            }
            if isReached { continuation.resume() }
        }
    }
}
