import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Writes the transitions of many instances together: what arrives while transactions are under way goes into the next.
///
/// Two are under way at a time, so that the log writes the one while the steps of the other are taken.
final class SagaCommitter: Sendable {
    private struct Pending {
        let commit: SagaCommit
        let continuation: CheckedContinuation<SagaCommit.Result, any Error>
    }

    private struct State {
        var pending: [Pending] = []
        var underWay = 0
        var isClosed = false
    }

    private static let batch = 256
    private static let transactions = 2
    private let saga: String
    private let epoch: Int
    private let journal: SagaJournal
    private let clock: SagaClock
    private let state = Mutex(State())
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init(_ saga: String, epoch: Int, journal: SagaJournal, clock: SagaClock) {
        self.saga = saga
        self.epoch = epoch
        self.journal = journal
        self.clock = clock
        (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Writes a transition, and returns what became of it once that is durable. Throws `CancellationError` when the committer has stopped.
    func commit(_ commit: SagaCommit) async throws -> SagaCommit.Result {
        try await withCheckedThrowingContinuation { continuation in
            let isClosed = state.withLock { state in
                if !state.isClosed { state.pending.append(Pending(commit: commit, continuation: continuation)) }
                return state.isClosed
            }
            if isClosed { continuation.resume(throwing: CancellationError()) } else { signal.yield() }
        }
    }

    /// Writes what comes until it is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await _ in signals {
                while let batch = take() {
                    group.addTask { await self.write(batch) }
                }
            }
        }
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.pending = [] }
            return state.pending
        }
        for pending in left { pending.continuation.resume(throwing: CancellationError()) }
    }

    private func take() -> [Pending]? {
        state.withLock { state in
            guard state.underWay < SagaCommitter.transactions, !state.pending.isEmpty else { return nil }
            state.underWay += 1
            let batch = Array(state.pending.prefix(SagaCommitter.batch))
            state.pending.removeFirst(batch.count)
            return batch
        }
    }

    private func write(_ batch: [Pending]) async {
        do {
            let results = try await journal.commit(saga, epoch: epoch, now: clock.now(), batch.map(\.commit))
            for (pending, result) in zip(batch, results) { pending.continuation.resume(returning: result) }
        } catch {
            for pending in batch { pending.continuation.resume(throwing: error) }
        }
        state.withLock { $0.underWay -= 1 }
        signal.yield()
    }
}
