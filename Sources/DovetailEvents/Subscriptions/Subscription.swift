import DovetailContracts
import DovetailCore
import Foundation

/// A durable reader of a log: what it wants, in which order, and what it does with it.
///
/// Its name is its identity: under the same name it goes on where it was, in whatever process.
public struct Subscription: Sendable {
    /// Where a subscription begins that is new; one that is known goes on where it was.
    public enum Start: Sendable, Hashable {
        /// With the first event of the log.
        case beginning
        /// With what comes after it was first started.
        case now
        /// After this position.
        case position(LogPosition)
        /// With the first event that was committed at this time or later.
        case time(Date)
    }

    /// Which events may be handled at the same time.
    public enum Order: Sendable, Hashable {
        /// Events of one key one after the other, through failures too; other keys in parallel.
        case byKey
        /// Any.
        case unordered
    }

    /// The durable name.
    public var name: String
    /// The topics it wants; an event that several of them match comes once.
    public var topics: [TopicPattern]
    /// What an event of these topics has to say besides; nil: nothing. Changed under the same name, it holds for what the subscription has not looked at yet.
    public var filter: EventFilter?
    /// Where it begins when it is new.
    public var start: Start
    /// What may be handled at the same time.
    public var order: Order
    /// How many handlers run at the same time at most.
    public var concurrency: Int
    /// How many events are held in memory, unsettled, at most.
    public var prefetch: Int
    /// What happens after a failure.
    public var redelivery: RedeliveryPolicy
    /// How long a handler may take. Then its task is cancelled; if it does not return within as long again, its event is delivered anew beside it.
    public var handlerTimeout: Duration
    /// What it does with an event, and with which guarantee.
    public var handler: EventHandler
    /// Called when the subscription stops, for a handler that waits for somebody outside.
    package var whenStopping: (@Sendable () -> Void)?

    /// A subscription to topics.
    public init(
        _ name: String, to topics: [TopicPattern], where filter: EventFilter? = nil, start: Start = .beginning,
        order: Order = .byKey, concurrency: Int = 8, prefetch: Int = 512,
        redelivery: RedeliveryPolicy = RedeliveryPolicy(), handlerTimeout: Duration = .seconds(30),
        handler: EventHandler
    ) {
        precondition(
            !name.isEmpty && concurrency > 0 && prefetch > 0, "a subscription has a name and room for an event")
        self.name = name
        self.topics = topics
        self.filter = filter
        self.start = start
        self.order = order
        self.concurrency = concurrency
        self.prefetch = prefetch
        self.redelivery = redelivery
        self.handlerTimeout = handlerTimeout
        self.handler = handler
    }

    /// A subscription to one kind of event, at least once. A payload that cannot be decoded goes to the dead letters at once.
    public init<Payload>(
        _ name: String, on event: Event<Payload>, start: Start = .beginning,
        _ handler: @escaping @Sendable (Recorded<Payload>, Delivery) async throws -> Void
    ) {
        self.init(name, to: [TopicPattern(event.name)], start: start, handler: .on(event, handler))
    }
}

/// What a subscription does with an event; its signature says what it guarantees.
public enum EventHandler: Sendable {
    /// Every event is handled, after a crash or a failure perhaps more than once.
    case atLeastOnce(@Sendable (_ event: StoredEvent, _ delivery: Delivery) async throws -> Void)
    /// No event is handled twice; after a crash those under way are lost. There is no failure: nobody would try again.
    case atMostOnce(@Sendable (_ event: StoredEvent) async -> Void)
    /// The effect is made once, in a transaction that moves the subscription's cursor too. It is synchronous: nothing outside the database belongs in it.
    ///
    /// Events come in the order of the log, one after the other; one that fails stops the subscription until it succeeds (see ``EffectivelyOnceReader``).
    case effectivelyOnce(in: any Database, @Sendable (_ event: StoredEvent, _ transaction: Transaction) throws -> Void)

    /// At least once, with the payload decoded.
    public static func on<Payload>(
        _ event: Event<Payload>, _ handler: @escaping @Sendable (Recorded<Payload>, Delivery) async throws -> Void
    ) -> EventHandler {
        .atLeastOnce { stored, delivery in
            let recorded: Recorded<Payload>
            do { recorded = try stored.payload(event) } catch {
                throw UndecodableEvent(type: stored.type, cause: error)
            }
            try await handler(recorded, delivery)
        }
    }
}

/// One attempt to have an event handled.
public struct Delivery: Sendable {
    /// The subscription's name.
    public let subscription: String
    /// The number of the attempt, from 1.
    public let attempt: Int
    /// When the handler's task is cancelled.
    public let deadline: MonotonicTime
}

/// A payload that is not what the subscription's contract says: no attempt will change that.
public struct UndecodableEvent: Error, CustomStringConvertible {
    /// The event's topic.
    public let type: String
    /// What did not fit.
    public let cause: any Error

    /// A payload that a handler cannot read.
    public init(type: String, cause: any Error) {
        self.type = type
        self.cause = cause
    }

    public var description: String { "the payload of '\(type)' cannot be decoded: \(cause)" }
}

/// An event over which the process ended more than once: no handler is called for it any more.
public struct ProcessEnded: Error, CustomStringConvertible {
    /// How often.
    public let times: Int

    public var description: String { "the process ended \(times) times while the event was handled" }
}

/// A handler that did not return in time.
public struct HandlerTimeout: Error, CustomStringConvertible {
    /// How long it had.
    public let timeout: Duration

    public var description: String { "the handler has not returned within \(timeout) and was cancelled" }
}
