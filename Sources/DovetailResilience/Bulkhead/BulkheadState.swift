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
    /// How many places there are at present: the policy's, unless it was resized.
    public private(set) var places: Int
    /// How many calls have a place.
    public private(set) var active = 0
    private var queue: [UInt64] = []

    /// A bulkhead with nobody in it.
    public init(policy: BulkheadPolicy) {
        self.policy = policy
        places = max(policy.maximumConcurrentCalls, 1)
    }

    /// How many calls wait for a place.
    public var queued: Int { queue.count }

    /// What a call that asked now would get.
    public var prospect: Entry {
        if active < places { return .admitted }
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
        if queue.isEmpty || active > places {
            active -= 1
            return nil
        }
        return queue.removeFirst()
    }

    /// Changes how many places there are. Those that have one keep it; returns who has one now of those that waited.
    public mutating func resize(to places: Int) -> [UInt64] {
        self.places = max(places, 1)
        let free = min(max(self.places - active, 0), queue.count)
        let admitted = Array(queue.prefix(free))
        queue.removeFirst(free)
        active += free
        return admitted
    }

    /// The caller `id` stops waiting. False if it does not wait (any more).
    public mutating func abandon(_ id: UInt64) -> Bool {
        guard let index = queue.firstIndex(of: id) else { return false }
        queue.remove(at: index)
        return true
    }
}
