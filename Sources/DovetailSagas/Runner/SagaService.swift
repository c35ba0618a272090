import DovetailEvents
import ServiceLifecycle

/// What carries the instances of a saga on a node.
public protocol SagaService: Service {
    /// Makes its tables and reads its place; idempotent. ``ServiceLifecycle/Service/run()`` does it by itself.
    func prepare() async throws

    /// What its reader has not done with: those events stay in the log. Nil if it listens to none.
    var hold: RetentionHold? { get }

    /// Where its reader is, and what holds that up. Nil if it listens to no events.
    var reader: SagaReaderStatus? { get }
}

/// Where the reader of a saga's events is: what starts instances, and what they wait for.
public struct SagaReaderStatus: Sendable {
    /// The event that a reader cannot get past.
    public struct Blocked: Sendable {
        /// The event's number in the log.
        public var position: Int64
        /// The topic.
        public var type: String
        /// Why.
        public var error: String
        /// How often it was tried.
        public var attempts: Int
    }

    /// The saga.
    public var saga: String
    /// Every event up to this number was taken in, or put aside.
    public var scanned: Int64
    /// The event that it cannot get past; nothing behind it starts an instance or is seen by one.
    public var blocked: Blocked?
}
