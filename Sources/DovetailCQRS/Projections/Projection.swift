import DovetailContracts
import DovetailCore
import DovetailEvents

/// A read model that events keep up to date: its tables, and what each event does to them.
///
/// State and cursor change in one transaction, so each event has its effect once. The functions are synchronous; they see events in the
/// order of the log, and change tables only: nothing happens twice when a read model is built again. A new `version` is built from the whole log beside the old
/// one, which goes on answering queries until the new one has caught up; see ``ReadModel``.
public struct Projection: Sendable {
    /// The durable name.
    public private(set) var name: String
    /// Raised by hand when tables or functions change their meaning. Other tables under the same version are refused at the start; of functions nothing is known.
    public let version: Int
    /// The statements that make the tables and their indexes.
    public let tables: [SQL]
    private var handlers: [EventIdentity: Handler] = [:]
    private var readers: [EventReader] = []
    /// What it was before, the newest first.
    private(set) var predecessors: [Projection] = []
    /// Whether an event that cannot be decoded is put aside.
    private(set) var parks = false

    private struct Handler: Sendable {
        /// Decodes an event; what it does then, in a transaction.
        let effect: @Sendable (StoredEvent) throws -> EffectivelyOnceReader.Effect
        let isExact: Bool
    }

    /// A projection into `tables`, each made by a `CREATE TABLE` or `CREATE INDEX`. A column must not be called as a table is.
    public init(_ name: String, version: Int, tables: SQL...) {
        precondition(
            !name.contains("#"), "the name '\(name)' of a projection has a '#', which parts a name from a build")
        if let ambiguous = ProjectionTables.ambiguousName(in: tables) {
            preconditionFailure(
                "in the projection '\(name)' something else is called '\(ambiguous)' as a table is; two builds of it could not stand beside each other"
            )
        }
        self.name = name
        self.version = version
        self.tables = tables
    }

    /// The same projection, which does `change` when `event` occurs; also when it occurred in an older version that the event's upcasters lead from.
    public func on<Payload>(
        _ event: Event<Payload>, _ change: @escaping @Sendable (Recorded<Payload>, Transaction) throws -> Void
    ) -> Self {
        var copy = self
        for version in event.versions {
            let identity = EventIdentity(event.name, version)
            let isExact = version == event.version
            // A function for the version itself goes before one that an upcaster leads to.
            guard isExact || copy.handlers[identity]?.isExact != true else { continue }
            copy.handlers[identity] = Handler(
                effect: { stored in
                    do {
                        let recorded = try stored.payload(event)
                        return { try change(recorded, $0) }
                    } catch {
                        throw UndecodableEvent(type: stored.type, cause: error)
                    }
                }, isExact: isExact)
        }
        copy.readers.append(EventReader(event.description))
        return copy
    }

    /// The same projection, which passes over what was stored of a topic in this version. Without it, a version that nothing reads stops the projection.
    public func passingOver(_ name: String, version: Int) -> Self {
        var copy = self
        copy.handlers[EventIdentity(name, version)] = Handler(effect: { _ in { _ in } }, isExact: true)
        copy.readers.append(EventReader(passingOver: name, version))
        return copy
    }

    /// The same projection, which puts an event that cannot be decoded aside, on record, and goes on: the read model is then without it. Otherwise it stops there.
    public func parkingUndecodable() -> Self {
        var copy = self
        copy.parks = true
        return copy
    }

    /// The same projection, which knows what it was before: the old read model is kept up to date while the new one is built, and after, for a way back. Without
    /// it the old one stays as it was when the program was replaced.
    public func replacing(_ old: Projection) -> Self {
        precondition(
            old.name == name && old.version != version,
            "'\(name)' v\(version) can replace another version of itself, not '\(old.name)' v\(old.version)")
        var copy = self
        copy.predecessors = [old] + old.predecessors
        return copy
    }

    /// The topics it listens to.
    public var types: Set<String> { Set(handlers.keys.map(\.name)) }

    /// The same projection under another name on record.
    func named(_ name: String) -> Projection {
        var copy = self
        copy.name = name
        return copy
    }

    /// The topics that it or a version that it replaces listens to: what has to come into the log.
    package var allTypes: Set<String> { predecessors.reduce(types) { $0.union($1.types) } }

    /// What can be read of its events, for a look at what is stored.
    package var eventReaders: EventReaders { EventReaders("the read model '\(name)'", readers) }

    /// The program of a version of it; nil if that is no more part of the program.
    func program(of version: Int) -> Projection? {
        version == self.version ? self : predecessors.first { $0.version == version }
    }

    /// What an event does. Throws ``UndecodableEvent`` for one whose payload or version cannot be read.
    func effect(of event: StoredEvent) throws -> EffectivelyOnceReader.Effect {
        if let handler = handlers[EventIdentity(event.type, event.version)] { return try handler.effect(event) }
        let readers = readers.filter { $0.name == event.type }
        guard let newest = readers.max(by: { $0.versions.upperBound < $1.versions.upperBound }) else { return { _ in } }
        throw UndecodableEvent(
            type: event.type,
            cause: EventVersionError(
                event: event.type, stored: event.version, wanted: newest.versions.upperBound,
                oldest: newest.versions.lowerBound))
    }
}
