import DovetailCore

/// A resource that an instance has locked or waits for, as its progress remembers it.
public struct SagaLock: Sendable, Codable, Hashable {
    /// The step that asked for it.
    public var step: String
    /// What kind of thing it is, as `seat`.
    public var resource: String
    /// Which one.
    public var key: String
    /// The fencing token: of two that have held the same thing, the later has the higher one. 0 until it is asked for.
    public var token: Int64 = 0

    init(step: String, resource: String, key: String) {
        self.step = step
        self.resource = resource
        self.key = key
    }

    /// Where the wait for it is found.
    var address: SagaAddress { SagaAddress(topic: SagaMessage.lock(resource), key: key) }
}

/// A line of the queue for a resource: who holds it, or waits for it.
public struct SagaLockLine: Sendable, Codable, Hashable {
    /// How one stands in the queue.
    public enum State: String, Sendable, Codable {
        /// It holds the resource.
        case held
        /// It comes after those with lower tokens.
        case waiting
        /// It would wait for one that waits for it: it is refused.
        case deadlock
    }

    /// What kind of thing it is.
    public var resource: String
    /// Which one.
    public var key: String
    /// The fencing token.
    public var token: Int64
    /// The instance.
    public var id: UniqueID
    /// Its saga.
    public var saga: String
    /// The step that asked for it.
    public var step: String
    /// How it stands.
    public var state: State
}
