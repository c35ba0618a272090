import DovetailCore
import Synchronization

/// Lets one task at a time in for each key; the others wait in order.
final class KeyedTurns: Sendable {
    private struct Waiter {
        let id: UniqueID
        let continuation: CheckedContinuation<Void, any Error>
    }

    private let queues = Mutex<[String: [Waiter]]>([:])

    func withTurn<Value>(_ key: String, _ body: () async throws -> Value) async throws -> Value {
        try await enter(key)
        defer { leave(key) }
        return try await body()
    }

    private func enter(_ key: String) async throws {
        let id = UniqueID.v7()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let outcome: Result<Void, any Error>? = queues.withLock { queues in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    guard queues[key] != nil else {
                        queues[key] = []
                        return .success(())
                    }
                    queues[key]?.append(Waiter(id: id, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let waiter: Waiter? = queues.withLock { queues in
                guard let index = queues[key]?.firstIndex(where: { $0.id == id }) else { return nil }
                return queues[key]?.remove(at: index)
            }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }

    private func leave(_ key: String) {
        let next: Waiter? = queues.withLock { queues in
            guard queues[key]?.isEmpty == false else {
                queues[key] = nil
                return nil
            }
            return queues[key]?.removeFirst()
        }
        next?.continuation.resume()
    }
}
