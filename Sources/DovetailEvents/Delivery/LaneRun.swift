import DovetailCore
import Synchronization

/// Attempts that a lane makes one after the other, without asking in between: the fewer, the slower its handler is.
///
/// What the lane has not begun can be taken back, so that a handler that hangs holds nobody up but its own key.
final class LaneRun: Sendable {
    typealias Attempt = DeliveryState.Attempt

    private struct State {
        var begun = 0
        var ended = 0
        var told = 0
        var limit: Int
        var errors: [Int: any Error] = [:]
    }

    /// When it was given out.
    let start: MonotonicTime
    /// Whether what is tried has to be noted first.
    let isCareful: Bool
    private let attempts: [Attempt]
    private let state: Mutex<State>

    init(_ attempts: [Attempt], start: MonotonicTime, isCareful: Bool) {
        self.attempts = attempts
        self.start = start
        self.isCareful = isCareful
        state = Mutex(State(limit: attempts.count))
    }

    var count: Int { attempts.count }

    /// Whether more than the attempt under way waits.
    var hasMore: Bool { state.withLock { $0.begun < $0.limit } }

    func first() -> Attempt? { state.withLock { begin(&$0) } }

    /// The present attempt has ended, well or with `error`; the next one, if the lane goes on and there is one left.
    func next(after error: (any Error)?, goesOn: Bool) -> Attempt? {
        state.withLock { state in
            if let error { state.errors[state.ended] = error }
            state.ended += 1
            return goesOn ? begin(&state) : nil
        }
    }

    private func begin(_ state: inout State) -> Attempt? {
        guard state.begun < state.limit else { return nil }
        state.begun += 1
        return attempts[state.begun - 1]
    }

    /// Tells of each attempt that has ended since the last account, in order, and returns those that were not begun and now will not be.
    func account(_ tell: (Attempt, (any Error)?) -> Void) -> ArraySlice<Attempt> {
        state.withLock { state in
            for index in state.told..<state.ended {
                tell(attempts[index], state.errors.isEmpty ? nil : state.errors[index])
            }
            defer {
                state.told = state.ended
                state.limit = state.begun
            }
            return attempts[state.begun..<state.limit]
        }
    }
}
