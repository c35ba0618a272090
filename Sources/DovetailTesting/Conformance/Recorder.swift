import DovetailCore
import Synchronization

/// What handlers have seen, in order, and tasks that wait for enough of it.
public final class Recorder<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var waiters: [(id: UInt64, count: Int, continuation: CheckedContinuation<Bool, Never>)] = []
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// A recorder that has seen nothing.
    public init() {}

    /// What was recorded so far.
    public var elements: [Element] { state.withLock { $0.elements } }

    /// Records an element; returns how many there are now.
    @discardableResult
    public func record(_ element: Element) -> Int {
        let (count, reached) = state.withLock { state in
            state.elements.append(element)
            let count = state.elements.count
            let reached = state.waiters.filter { $0.count <= count }
            state.waiters.removeAll { $0.count <= count }
            return (count, reached)
        }
        for waiter in reached { waiter.continuation.resume(returning: true) }
        return count
    }

    /// Returns what was recorded once it is at least `count` elements. Throws when that takes longer than `patience`.
    @discardableResult
    public func wait(for count: Int, patience: Duration = .seconds(30)) async throws -> [Element] {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = Task {
            try await Task.sleep(for: patience)
            let waiter = state.withLock { state in
                state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume(returning: false)
        }
        defer { timer.cancel() }
        let isThere = await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.elements.count >= count { return true }
                state.waiters.append((id, count, continuation))
                return false
            }
            if isThere { continuation.resume(returning: true) }
        }
        guard isThere else {
            throw ConformanceFailure(
                description: "waited for \(count) elements, and there are \(elements.count): \(elements)")
        }
        return elements
    }
}

/// A door that is closed until it is opened.
public final class Gate: Sendable {
    private let opened = Recorder<Void>()

    /// A closed gate.
    public init() {}

    /// Lets everyone through, now and later.
    public func open() { opened.record(()) }

    /// Returns once the gate is open.
    public func wait() async throws { try await opened.wait(for: 1) }
}
