import DovetailContracts
import DovetailCore
import DovetailEvents

/// A kind of thing that decides: its state, and how each of its events changes it.
///
/// The state is a value and the functions are pure, so that a decision is tested without a platform. Each instance has a stream of its own, named
/// `category-id`; the state is what its events add up to.
///
///     static let aggregate = Aggregate("order", Order.new)
///         .apply(events.created) { order, _ in order = .pending }
public struct Aggregate<State: Wire>: Sendable {
    /// The first part of its streams' names.
    public let category: String
    /// The state before any event.
    public let initial: State
    private var appliers: [EventIdentity: Applier] = [:]

    private struct Applier: Sendable {
        let decode: @Sendable ([UInt8]) throws -> any Wire
        let apply: @Sendable (inout State, any Wire) -> Void
    }

    /// A kind of aggregate that begins in the state `initial`.
    public init(_ category: String, _ initial: State) {
        precondition(
            !category.isEmpty && !category.contains("-"),
            "the category '\(category)' has to be a word without '-', which parts it from the id")
        self.category = category
        self.initial = initial
    }

    /// The same aggregate, which `event` changes as `change` says.
    public func apply<Payload>(
        _ event: Event<Payload>, _ change: @escaping @Sendable (inout State, Payload) -> Void
    ) -> Self {
        var copy = self
        copy.appliers[EventIdentity(event.name, event.version)] = Applier(
            decode: { try JSON.decode(Payload.self, from: $0) },
            apply: { state, payload in
                if let payload = payload as? Payload { change(&state, payload) }
            })
        return copy
    }

    /// The name of an instance's stream.
    public func stream(_ id: String) -> String { "\(category)-\(id)" }

    /// The events that it knows.
    public var events: Set<EventIdentity> { Set(appliers.keys) }

    /// Changes `state` as a stored event says. Throws ``AggregateError`` for an event that it does not know or cannot read.
    func apply(_ event: StoredEvent, to state: inout State) throws {
        let identity = EventIdentity(event.type, event.version)
        guard let applier = appliers[identity] else {
            throw AggregateError(
                event: identity, stream: event.stream?.name ?? category, reason: "it has no apply for it")
        }
        do {
            applier.apply(&state, try applier.decode(event.data))
        } catch {
            throw AggregateError(event: identity, stream: event.stream?.name ?? category, reason: "\(error)")
        }
    }

    /// Changes `state` as a decided event says.
    func apply(_ event: NewEvent, to state: inout State) throws {
        let identity = EventIdentity(event.name, event.version)
        guard let applier = appliers[identity] else {
            throw AggregateError(event: identity, stream: category, reason: "it has no apply for it")
        }
        applier.apply(&state, event.payload)
    }
}

/// An event's name and version: its identity on the wire and in the log.
public struct EventIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The topic.
    public var name: String
    /// The payload's version.
    public var version: Int

    /// The identity of an event.
    public init(_ name: String, _ version: Int) {
        self.name = name
        self.version = version
    }

    public var description: String { "\(name) v\(version)" }
}

/// An event in an aggregate's stream that today's code cannot apply.
public struct AggregateError: Error, CustomStringConvertible {
    /// The event.
    public var event: EventIdentity
    /// The stream.
    public var stream: String
    /// Why.
    public var reason: String

    public var description: String { "the aggregate of stream '\(stream)' cannot apply \(event): \(reason)" }
}
