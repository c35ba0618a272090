import Synchronization

/// Counts what an executor does and tells who listens.
final class PolicyRecord: Sendable {
    private let state = Mutex(PolicyCounters())
    private let onEvent: (@Sendable (PolicyEvent) -> Void)?

    init(onEvent: (@Sendable (PolicyEvent) -> Void)?) {
        self.onEvent = onEvent
    }

    var counters: PolicyCounters { state.withLock { $0 } }

    func update(_ change: (inout PolicyCounters) -> Void) {
        state.withLock { change(&$0) }
    }

    func happened(_ event: PolicyEvent) {
        update { $0.count(event) }
        onEvent?(event)
    }
}
