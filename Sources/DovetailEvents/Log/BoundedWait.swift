import DovetailCore
import ServiceLifecycle

/// Why a bounded wait ended.
package enum WaitEnd: Sendable {
    /// What was waited for has happened.
    case reached
    /// The deadline has passed.
    case timedOut
    /// The process shuts down: there is no more waiting.
    case shutDown
}

/// Waits for what `wait` waits for, but not past `deadline`, nor once the process shuts down. Throws `CancellationError` when cancelled, and what `wait` throws.
package func boundedWait(
    until deadline: MonotonicTime, _ wait: @escaping @Sendable () async throws -> Void
) async throws -> WaitEnd {
    do {
        return try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: WaitEnd.self) { group in
                group.addTask {
                    try await wait()
                    return .reached
                }
                group.addTask {
                    try await Task.sleep(for: deadline - .now)
                    return .timedOut
                }
                defer { group.cancelAll() }
                return try await group.next() ?? .timedOut
            }
        }
    } catch is CancellationError where !Task.isCancelled {
        return .shutDown
    }
}
