import Synchronization
import Testing

@testable import DovetailCQRS

@Suite struct KeyedTurnsTests {
    @Test("One at a time for a key, others beside it")
    func turns() async throws {
        let turns = KeyedTurns()
        let crowd = Crowd()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                group.addTask {
                    let key = "\(number % 3)"
                    try await turns.withTurn(key) {
                        crowd.enter(key)
                        await Task.yield()
                        crowd.leave(key)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(crowd.most == 1)
    }

    /// Counts who is inside for each key.
    private final class Crowd: Sendable {
        private let inside = Mutex<(now: [String: Int], most: Int)>(([:], 0))
        var most: Int { inside.withLock { $0.most } }

        func enter(_ key: String) {
            inside.withLock { inside in
                let count = (inside.now[key] ?? 0) + 1
                inside.now[key] = count
                inside.most = max(inside.most, count)
            }
        }

        func leave(_ key: String) { inside.withLock { $0.now[key, default: 0] -= 1 } }
    }

    @Test("Who is cancelled while it waits leaves the queue, and those behind it have their turn")
    func cancellation() async throws {
        let turns = KeyedTurns()
        let (open, gate) = AsyncStream<Void>.makeStream()
        let first = Task { try await turns.withTurn("k") { for await _ in open { break } } }
        await Task.yield()
        let waiting = Task { try await turns.withTurn("k") { Issue.record("it was cancelled") } }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        let last = Task { try await turns.withTurn("k") { 7 } }
        gate.yield()
        try await first.value
        #expect(try await last.value == 7)
    }

    @Test("A turn that throws gives way all the same")
    func failure() async throws {
        struct Failed: Error {}
        let turns = KeyedTurns()
        await #expect(throws: Failed.self) { try await turns.withTurn("k") { throw Failed() } }
        #expect(try await turns.withTurn("k") { 1 } == 1)
    }
}
