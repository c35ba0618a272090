import DovetailContracts
import DovetailCore
import DovetailEvents

/// A kind of thing that decides: its state, and how each of its events changes it.
///
/// The state is a value and the functions are pure, so that a decision is tested without a platform. Each instance has a stream of its own, named
/// `category-id`; the state is what its events add up to. Events that were stored in older versions are read through the upcasters of ``Event/upcast(to:key:_:)``.
///
///     static let aggregate = Aggregate("order", Order.new)
///         .apply(events.created) { order, _ in order = .pending }
///         .snapshots(.every(100))
public struct Aggregate<State: Wire>: Sendable {
    /// The first part of its streams' names.
    public let category: String
    /// The state before any event.
    public let initial: State
    private var appliers: [EventIdentity: Applier] = [:]
    private var readers: [EventReader] = []
    /// When its instances are written down whole; nil: never.
    private(set) var snapshots: SnapshotPolicy<State>?
    /// What the state looks like: its schema, and the number given by hand.
    private var shape: String?
    /// What a snapshot has to have been taken under to be read: it changes with the state's shape and the events' versions.
    private(set) var fingerprint = ""

    private struct Applier: Sendable {
        /// Reads a stored payload and changes the state.
        let replay: @Sendable (inout State, [UInt8]) throws -> Void
        /// Changes the state as a decided event says; false if its payload is of another type.
        let apply: @Sendable (inout State, any Wire) -> Bool
        /// Whether it is of the version itself, and not one that an upcaster brings to it.
        let isExact: Bool
        /// Whether the state before does not matter.
        let restarts: Bool
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
        adding(event, restarts: false, change)
    }

    /// The same aggregate, which `event` puts into the state that `state` makes of it, whatever came before: the books are closed, and a new page begins.
    ///
    /// What lies before such an event in a stream can be truncated; see ``EventLog/truncate(_:through:holds:)``.
    public func restart<Payload>(
        on event: Event<Payload>, _ state: @escaping @Sendable (Payload) -> State
    ) -> Self {
        adding(event, restarts: true) { $0 = state($1) }
    }

    /// The same aggregate, whose instances are written down whole from time to time, so that loading one takes the snapshot and the rest of its events.
    ///
    /// Snapshots lie in the log's database. They are a shortcut and never the truth: one that was taken of another shape of `State`, or under other versions of the events, is
    /// dropped, and made anew from the events. What no shape shows, as events that now count differently, is said by raising `version`. `State` has to be a type
    /// whose schema can be derived, or that says its own (``SchemaProviding``).
    public func snapshots(_ policy: SnapshotPolicy<State>, version: Int = 1) -> Self {
        var copy = self
        do {
            let schema = try JSON.encode(Schema.document(of: State.self))
            copy.shape = "\(version) \(String(decoding: schema, as: UTF8.self))"
        } catch {
            preconditionFailure(
                "the aggregate '\(category)' cannot have snapshots, since its state has no schema: \(error)")
        }
        copy.snapshots = policy
        copy.updateFingerprint()
        return copy
    }

    private func adding<Payload>(
        _ event: Event<Payload>, restarts: Bool, _ change: @escaping @Sendable (inout State, Payload) -> Void
    ) -> Self {
        var copy = self
        for version in event.versions {
            let identity = EventIdentity(event.name, version)
            let isExact = version == event.version
            // A function for the version itself goes before one that an upcaster leads to.
            guard isExact || copy.appliers[identity]?.isExact != true else { continue }
            copy.appliers[identity] = Applier(
                replay: { change(&$0, try event.decode($1, version: version)) },
                apply: { state, payload in
                    guard let payload = payload as? Payload else { return false }
                    change(&state, payload)
                    return true
                }, isExact: isExact, restarts: restarts)
        }
        copy.readers.append(EventReader(event.description))
        copy.updateFingerprint()
        return copy
    }

    private mutating func updateFingerprint() {
        guard let shape else { return }
        let events = events.map(\.description).sorted().joined(separator: ", ")
        fingerprint = UniqueID.derived(from: "snapshot", shape, events).description
    }

    /// The name of an instance's stream.
    public func stream(_ id: String) -> String { "\(category)-\(id)" }

    /// The events that it knows, each in the version that it is decided in.
    public var events: Set<EventIdentity> { Set(appliers.filter(\.value.isExact).keys) }

    /// What can be read of its events, for a look at what is stored.
    package var eventReaders: EventReaders { EventReaders("the aggregate '\(category)'", readers, category: category) }

    /// Changes `state`, which is at `version` of a stream, as the next stored event says, and returns its version.
    ///
    /// Throws ``AggregateError`` for an event that it does not know or cannot read, and ``TruncatedStreamError`` where events between were truncated.
    package func apply(_ event: StoredEvent, to state: inout State, at version: Int64) throws -> Int64 {
        let applier = try applier(of: event)
        let next = event.stream?.version ?? version + 1
        guard next == version + 1 || applier.restarts else {
            throw TruncatedStreamError(stream: event.stream?.name ?? category, version: version, truncated: next - 1)
        }
        do { try applier.replay(&state, event.data) } catch {
            throw AggregateError(
                event: EventIdentity(event.type, event.version), stream: event.stream?.name ?? category,
                reason: "\(error)")
        }
        return next
    }

    private func applier(of event: StoredEvent) throws -> Applier {
        let identity = EventIdentity(event.type, event.version)
        if let applier = appliers[identity] { return applier }
        let known = events.filter { $0.name == event.type }.map(\.version).max()
        let reason =
            known.map { wanted in
                let oldest = readers.filter { $0.name == event.type }.map(\.versions.lowerBound).min()
                return EventVersionError(
                    event: event.type, stored: event.version, wanted: wanted, oldest: oldest ?? wanted
                ).description
            } ?? "it has no apply for it; add one, if it only passes it over"
        throw AggregateError(event: identity, stream: event.stream?.name ?? category, reason: reason)
    }

    /// Changes `state` as a decided event says.
    package func apply(_ event: NewEvent, to state: inout State) throws {
        let identity = EventIdentity(event.name, event.version)
        guard let applier = appliers[identity] else {
            throw AggregateError(event: identity, stream: category, reason: "it has no apply for it")
        }
        guard applier.isExact, applier.apply(&state, event.payload) else {
            throw AggregateError(
                event: identity, stream: category,
                reason: "it only reads this version, and decides in a newer one; make the event of that")
        }
    }
}
