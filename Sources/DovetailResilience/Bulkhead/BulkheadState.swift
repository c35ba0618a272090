/// A bulkhead as a plain value; ``Bulkhead`` is its shell.
///
/// A place that becomes free goes to who has waited longest, and never to a newcomer while somebody waits.
public struct BulkheadState: Sendable {
    /// What a call that asks for a place gets.
    public enum Entry: Sendable, Hashable {
        /// A place.
        case admitted
        /// A turn in the queue.
        case queued
        /// Nothing: the queue is full.
        case full
    }

    /// How many places and turns there are.
    public let policy: BulkheadPolicy
    /// How many calls have a place.
    public private(set) var active = 0
    private var queue: [UInt64] = []

    /// A bulkhead with nobody in it.
    public init(policy: BulkheadPolicy) {
        self.policy = policy
    }

    /// How many calls wait for a place.
    public var queued: Int { queue.count }

    /// What a call that asked now would get.
    public var prospect: Entry {
        if active < max(policy.maximumConcurrentCalls, 1) { return .admitted }
        return queue.count < policy.maximumQueuedCalls ? .queued : .full
    }

    /// The caller `id` asks for a place.
    public mutating func enter(_ id: UInt64) -> Entry {
        let entry = prospect
        switch entry {
        case .admitted: active += 1
        case .queued: queue.append(id)
        case .full: break
        }
        return entry
    }

    /// A call gives its place back. Returns who has it now, if somebody waited.
    public mutating func leave() -> UInt64? {
        if queue.isEmpty {
            active -= 1
            return nil
        }
        return queue.removeFirst()
    }

    /// The caller `id` stops waiting. False if it does not wait (any more).
    public mutating func abandon(_ id: UInt64) -> Bool {
        guard let index = queue.firstIndex(of: id) else { return false }
        queue.remove(at: index)
        return true
    }
}
