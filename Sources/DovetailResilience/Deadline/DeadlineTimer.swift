import DovetailCore
import Synchronization

/// Waits for many deadlines with one task, since nearly all of them are called off before they are due.
///
/// A cancelled `Task.sleep` leaves its wake-up behind until the time it was set for: at 10,000 calls a second and 15 s
/// that would be 150,000 of them. Deadlines are kept by the millisecond, rounded up: none is early.
final class DeadlineTimer: Sendable {
    /// A deadline that is waited for.
    struct Entry: Sendable {
        fileprivate let tick: Int64
        fileprivate let id: UInt64
    }

    private struct State {
        var pending: [Int64: [UInt64: @Sendable () -> Void]] = [:]
        /// Each key of `pending`, once.
        var ticks = MinimumHeap()
        var nextID: UInt64 = 0
        /// How many deadlines are waited for.
        var count = 0
        /// What the task sleeps for; nil if there is none.
        var wakesAt: Int64?
        var sleeper: Task<Void, Never>?
    }

    /// The one that serves the whole process.
    private static let system = DeadlineTimer(clock: SystemClock(), isShared: true)

    private let clock: any MonotonicClock
    private let isShared: Bool
    private let state = Mutex(State())

    private init(clock: any MonotonicClock, isShared: Bool) {
        self.clock = clock
        self.isShared = isShared
    }

    /// The timer for deadlines by this clock.
    static func on(_ clock: any MonotonicClock) -> DeadlineTimer {
        clock is SystemClock ? system : DeadlineTimer(clock: clock, isShared: false)
    }

    /// Calls `action` once, soon after `deadline`, unless it is cancelled before. It must not block.
    func schedule(at deadline: MonotonicTime, _ action: @escaping @Sendable () -> Void) -> Entry {
        let (whole, rest) = deadline.nanoseconds.quotientAndRemainder(dividingBy: DeadlineTimer.tick)
        let tick = rest > 0 ? whole + 1 : whole
        return state.withLock { state in
            state.nextID += 1
            state.count += 1
            if state.pending[tick] == nil { state.ticks.insert(tick) }
            state.pending[tick, default: [:]][state.nextID] = action
            if tick < state.wakesAt ?? .max { wake(&state, at: tick) }
            return Entry(tick: tick, id: state.nextID)
        }
    }

    /// Calls the deadline off. Does nothing if it has passed.
    func cancel(_ entry: Entry) {
        state.withLock { state in
            guard state.pending[entry.tick]?.removeValue(forKey: entry.id) != nil else { return }
            state.count -= 1
            // The shared one sleeps on, for there will be more; one of its own ends with its last deadline.
            guard state.count == 0, !isShared else { return }
            state.sleeper?.cancel()
            state.sleeper = nil
            state.wakesAt = nil
        }
    }

    private static let tick: Int64 = 1_000_000

    private func wake(_ state: inout State, at tick: Int64) {
        state.sleeper?.cancel()
        state.wakesAt = tick
        // Detached: it serves callers of every priority, and keeps none's task-local values.
        state.sleeper = Task.detached(priority: .high) { [self] in
            let (nanoseconds, overflow) = tick.multipliedReportingOverflow(by: DeadlineTimer.tick)
            // Cancelled, it has been replaced.
            guard (try? await clock.sleep(until: MonotonicTime(nanoseconds: overflow ? .max : nanoseconds))) != nil
            else { return }
            fire(tick)
        }
    }

    private func fire(_ tick: Int64) {
        let due = state.withLock { state -> [@Sendable () -> Void] in
            guard state.wakesAt == tick else { return [] }
            let now = clock.now.nanoseconds / DeadlineTimer.tick
            var due: [@Sendable () -> Void] = []
            while let first = state.ticks.first, first <= now || state.pending[first]?.isEmpty == true {
                state.ticks.removeFirst()
                due += state.pending.removeValue(forKey: first).map { Array($0.values) } ?? []
            }
            state.count -= due.count
            state.wakesAt = nil
            state.sleeper = nil
            if let next = state.ticks.first { wake(&state, at: next) }
            return due
        }
        for action in due { action() }
    }
}
