/// How many calls a callee gets at the same time, and how many wait for a place.
///
/// The defaults are a backstop and no tuning: 1024 at once is Envoy's `max_requests`; the queue is short and its wait
/// too, since a caller that waits longer has mostly stopped waiting.
public struct BulkheadPolicy: Sendable, Hashable {
    /// The most calls at the same time. 1024.
    public var maximumConcurrentCalls: Int
    /// The most calls that wait for a place, first come first served. 128; zero refuses at once.
    public var maximumQueuedCalls: Int
    /// The longest that a call waits for a place. 1 s.
    public var maximumQueueWait: Duration

    /// A bulkhead of that size.
    public init(
        maximumConcurrentCalls: Int = 1_024, maximumQueuedCalls: Int = 128, maximumQueueWait: Duration = .seconds(1)
    ) {
        self.maximumConcurrentCalls = maximumConcurrentCalls
        self.maximumQueuedCalls = maximumQueuedCalls
        self.maximumQueueWait = maximumQueueWait
    }
}
