import DovetailCore
import Synchronization

/// The nonces that were used within the time in which a signature holds, for all loops of a gateway; and no more of them than there may be.
///
/// Two generations: the older is dropped when the younger has covered the time, so each is remembered for once to twice as long as it has to be.
final class NonceMemory: Sendable {
    enum Verdict {
        case new, known
        /// There is no room to remember it.
        case full
    }

    private struct State {
        var young: Set<String> = []
        var old: Set<String> = []
        var turned: MonotonicTime
    }

    private let window: Duration
    private let capacity: Int
    private let state: Mutex<State>

    /// - Parameter window: How long a signature holds at most, from when it is first seen.
    init(window: Duration, capacity: Int, now: MonotonicTime = .now) {
        self.window = window
        self.capacity = capacity
        state = Mutex(State(turned: now))
    }

    /// Remembers a nonce of a key, unless it is known.
    func use(_ nonce: String, of key: String, at now: MonotonicTime = .now) -> Verdict {
        state.withLock { state in
            if now - state.turned >= window {
                // What was quiet for two windows is all out of time.
                state.old = now - state.turned >= window * 2 ? [] : state.young
                state.young = []
                state.turned = now
            }
            let entry = "\(key)\n\(nonce)"
            if state.young.contains(entry) || state.old.contains(entry) { return .known }
            guard state.young.count + state.old.count < capacity else { return .full }
            state.young.insert(entry)
            return .new
        }
    }
}
