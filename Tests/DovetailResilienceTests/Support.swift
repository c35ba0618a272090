import DovetailCore
import DovetailResilience
import Synchronization

extension MonotonicTime {
    /// A moment of the tests' time line.
    static func at(_ duration: Duration) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + duration }
}

/// Time that moves by hand.
final class ManualClock: MonotonicClock {
    private struct Sleeper {
        let until: MonotonicTime
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = MonotonicTime(nanoseconds: 0)
        var nextID = 0
        var sleepers: [Int: Sleeper] = [:]
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

        mutating func takeWatchers() -> [CheckedContinuation<Void, Never>] {
            let due = watchers.filter { $0.count <= sleepers.count }
            watchers.removeAll { $0.count <= sleepers.count }
            return due.map(\.continuation)
        }
    }

    private typealias SleepResult = Result<Void, any Error>?

    private let state = Mutex(State())

    var now: MonotonicTime { state.withLock { $0.now } }

    func sleep(until deadline: MonotonicTime) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (result, watchers) = state.withLock { state -> (SleepResult, [CheckedContinuation<Void, Never>]) in
                    if Task.isCancelled { return (.failure(CancellationError()), []) }
                    if state.now >= deadline { return (.success(()), []) }
                    state.sleepers[id] = Sleeper(until: deadline, continuation: continuation)
                    return (nil, state.takeWatchers())
                }
                if let result { continuation.resume(with: result) }
                for watcher in watchers { watcher.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { $0.sleepers.removeValue(forKey: id) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves time on and wakes who was waiting for it.
    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now + duration
            let due = state.sleepers.filter { $0.value.until <= state.now }
            for id in due.keys { state.sleepers.removeValue(forKey: id) }
            return due.values.sorted { $0.until < $1.until }.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    /// Waits until that many tasks sleep.
    func sleepers(atLeast count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.sleepers.count >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// Time that jumps to wherever somebody wants to sleep until.
final class SkippingClock: MonotonicClock {
    private let time = Mutex(MonotonicTime(nanoseconds: 0))

    var now: MonotonicTime { time.withLock { $0 } }

    func sleep(until deadline: MonotonicTime) async throws {
        try Task.checkCancellation()
        time.withLock { $0 = max($0, deadline) }
    }
}

/// Counts up to a number, and lets wait for that. Waiting ignores cancellation.
final class Latch: Sendable {
    private struct State {
        var missing: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    init(_ count: Int = 1) {
        state = Mutex(State(missing: count))
    }

    func signal() {
        let waiting = state.withLock { state in
            state.missing -= 1
            defer { if state.missing <= 0 { state.waiting = [] } }
            return state.missing <= 0 ? state.waiting : []
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.missing > 0 { state.waiting.append(continuation) }
                return state.missing <= 0
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// A number that many tasks change.
final class Counter: Sendable {
    private let number = Mutex(0)

    var value: Int { number.withLock { $0 } }

    @discardableResult
    func add(_ change: Int = 1) -> Int {
        number.withLock {
            $0 += change
            return $0
        }
    }
}

/// Values in the order in which they came.
final class Collector<Value: Sendable>: Sendable {
    private let collected = Mutex<[Value]>([])

    var values: [Value] { collected.withLock { $0 } }

    func append(_ value: Value) { collected.withLock { $0.append(value) } }
}

extension CallError {
    static let refused = CallError(.unreachable, callee: "orders", message: "connection refused", wasSent: false)
    static let lost = CallError(.answerLost, callee: "orders", message: "connection reset", wasSent: true)
}

extension Problem {
    static let busy = Problem("busy", status: 503)
    static let broken = Problem("broken", status: 500)
    static let conflict = Problem("conflict", status: 409)
    static let tooMany = Problem("too-many-requests", status: 429)
}

struct Unclassified: Error {}
