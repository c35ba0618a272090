import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// Carries out commands on aggregates of one log: load, decide, append, answer after the commit.
///
/// There is one executor to a log in a process. It keeps aggregates in memory, the least lately used leave first. Commands on one instance are decided in the order
/// of their calls and appended together where they meet; those on different instances do not wait for each other.
public final class CommandExecutor: Sendable {
    private struct Entry {
        let live: any AnyObject & Sendable
        var used: UInt64
        var inFlight: Int
    }

    private struct Cache {
        var entries: [String: Entry] = [:]
        var clock: UInt64 = 0
        /// How many instances in a row were new, by category.
        var new: [String: Int] = [:]
    }

    /// After so many new instances of a category in a row, the next one is taken for new without asking the log first.
    private static let newInARow = 16

    let log: any EventLog
    private let limit: Int
    private let cache = Mutex(Cache())
    let keys = KeyedTurns()
    private let snapshots: SnapshotStore
    let memory: CommandMemory
    /// The read models that change with events, by category.
    private let inline = Mutex<[String: [InlineProjection]]>([:])

    /// An executor on `log` that keeps at most about `limit` aggregates in memory.
    public init(log: any EventLog, limit: Int = 10_000) {
        self.log = log
        self.limit = limit
        snapshots = SnapshotStore(log: log)
        memory = CommandMemory(log: log)
    }

    /// Keeps a read model in the log's own database, in the transactions of an aggregate's events: who has a command's answer sees it, and what its functions throw refuses the command.
    ///
    /// Has to be called before the aggregate's first command. Returns when the read model has caught up with the log; one whose version is new is made afresh from it. Only what
    /// commands do by this executor is seen: the projection may listen to no events but the aggregate's. Throws ``LogError``, and what a function of the projection throws of an event that is in the log already.
    public func project<State>(_ projection: Projection, with aggregate: Aggregate<State>, as module: String)
        async throws
    {
        try await project(projection, of: aggregate.category, as: module)
    }

    /// The same, by the aggregate's category.
    package func project(_ projection: Projection, of category: String, as module: String) async throws {
        let kept = InlineProjection(projection, of: category, as: module, in: log)
        try await kept.prepare()
        inline.withLock { $0[category, default: []].append(kept) }
    }

    /// The read models of a module that change with events, as they stand.
    package func inlineBuilds(of module: String) -> [ProjectionBuild] {
        inline.withLock { $0.values.flatMap { $0 }.filter { $0.module == module }.map(\.status) }
            .sorted { $0.projection < $1.projection }
    }

    /// Carries out a command: `decide` gets the state and returns the events that follow from it, or throws to refuse.
    ///
    /// Returns when the events are durable, and, for a command that is due to, when the aggregate's snapshot is. `decide` is pure and may be called again, when another writer came first. With a `key`, the command is carried out
    /// once: the same key again returns the first outcome, position and version, and decides nothing, also where nothing followed; one that was refused may be tried again. It throws ``Problem/keyReused`` for
    /// another instance, and if `input`, when both are given, is not the first one's. With an `expected` version, a command on an instance that has another one by then is refused with
    /// ``CommandConflict``, and `decide` is not asked; the same key again returns the first outcome all the same. Throws what `decide` throws, once the log has confirmed the state that it was decided on, and ``LogError``; cancellation does
    /// not withdraw a command that was already decided.
    @discardableResult
    public func execute<State>(
        _ aggregate: Aggregate<State>, _ id: String, key: CommandKey? = nil, expected: ExpectedVersion = .any,
        source: String, context: CallContext?, _ decide: @Sendable (State) throws -> [NewEvent]
    ) async throws -> CommandOutcome {
        let stream = aggregate.stream(id)
        guard let key else {
            return try await run(aggregate, stream, nil, expected, source, context, decide)
        }
        return try await keys.withTurn(key.name) {
            if let first = try await memory.outcome(of: key, on: [stream]) { return first }
            return try await run(aggregate, stream, key, expected, source, context, decide)
        }
    }

    /// An instance's state and version; the initial state and 0 if it had no events. A stream that never reached the version that is asked for is shown as it is.
    ///
    /// The state as of now comes from memory, where it is, and may then be ahead of the log by what is being written. An earlier one is made from the log, from a snapshot if
    /// that is old enough. Throws ``AggregateError``, ``TruncatedStreamError`` and ``LogError``, `streamTombstoned` for an instance that was deleted for good.
    public func state<State>(
        _ aggregate: Aggregate<State>, _ id: String, asOf moment: AsOf = .now
    ) async throws -> (State, Int64) {
        let stream = aggregate.stream(id)
        guard moment == .now else {
            let loaded = try await loader(aggregate).load(stream, asOf: moment, checking: true)
            return (loaded.state, loaded.version)
        }
        let live = enter(aggregate, stream)
        defer { leave(stream) }
        while true {
            if let current = live.current { return current }
            if live.isAssumed {
                let loaded = try await loader(aggregate).load(stream, checking: true)
                return (loaded.state, loaded.version)
            }
            try await live.load(checking: true)
        }
    }

    /// Takes a snapshot of an instance and removes the events that it stands for. Returns where the stream stands then; nil if it is not there.
    ///
    /// From then on the snapshot is the only source of the state: a program with another shape of it, or other versions of its events, cannot load the instance
    /// (``TruncatedStreamError``). Where that has to be possible, append an event that ``Aggregate/restart(on:_:)`` knows, and truncate up to before that one. For an aggregate
    /// that declares ``Aggregate/snapshots(_:version:)``. Throws as ``EventLog/truncate(_:through:holds:)``.
    @discardableResult
    public func compact<State>(
        _ aggregate: Aggregate<State>, _ id: String, holds: [RetentionHold] = []
    ) async throws -> StreamStatus? {
        precondition(
            aggregate.snapshots != nil, "the aggregate '\(aggregate.category)' declares no snapshots to be compacted to"
        )
        let stream = aggregate.stream(id)
        let loader = loader(aggregate)
        let loaded = try await loader.load(stream, checking: true)
        guard let time = loaded.time else { return try await log.streamStatus(stream) }
        try await loader.keep(loaded.state, stream, version: loaded.version, time: time)
        return try await log.truncate(stream, through: loaded.version, holds: holds)
    }

    /// Deletes an instance for good: no command on it is carried out any more, and its state is not shown. Returns where its stream stands then.
    ///
    /// What a command has decided before is appended, or refused. Throws as ``EventLog/tombstone(_:expected:holds:)``, which says when the events go.
    @discardableResult
    public func tombstone<State>(
        _ aggregate: Aggregate<State>, _ id: String, expected: ExpectedVersion = .any, holds: [RetentionHold]? = nil
    ) async throws -> StreamStatus {
        let stream = aggregate.stream(id)
        defer { dropState(of: stream) }
        return try await log.tombstone(stream, expected: expected, holds: holds)
    }

    /// Forgets the keys of commands that have led to no event and were carried out before `date`; returns how many. Those of others are known as long as the log remembers their events.
    @discardableResult
    public func forgetKeys(before date: Date) async throws -> Int { try await memory.forget(before: date) }

    /// Lets go of one instance's state in memory. For when its stream has changed under it.
    package func dropState(of stream: String) {
        let live = cache.withLock { $0.entries[stream]?.live }
        (live as? any StateHolder)?.dropState()
    }

    func loader<State>(_ aggregate: Aggregate<State>) -> AggregateLoader<State> {
        AggregateLoader(aggregate: aggregate, log: log, snapshots: snapshots)
    }

    private func run<State>(
        _ aggregate: Aggregate<State>, _ stream: String, _ key: CommandKey?, _ expected: ExpectedVersion,
        _ source: String,
        _ context: CallContext?, _ decide: @Sendable (State) throws -> [NewEvent]
    ) async throws -> CommandOutcome {
        let live = enter(aggregate, stream)
        defer { leave(stream) }
        var conflicts = 0
        var hasForgotten = false
        // Who errs decides again: the append that it leads to expects a stream without events.
        if isLikelyNew(aggregate.category) { live.assumeNew() }
        while true {
            let decision: LiveAggregate<State>.Decision?
            do {
                decision = try live.decide(expected, decide) { event, index in
                    var draft = try EventDraft(
                        event, id: key?.eventID(index) ?? .v7(), source: source, context: context)
                    if index == 0 { key?.note(in: &draft.attributes) }
                    return draft
                } enqueue: {
                    try enqueue($0, of: aggregate.category, source)
                }
            } catch let error as LogError where error.code == .overloaded {
                do { try await Task.sleep(for: .milliseconds(2)) } catch {
                    live.dropAssumption()
                    throw error
                }
                continue
            } catch let error as PersonalDataError where error.code == .subjectForgotten && !hasForgotten {
                // Perhaps it rests on a state of before: it is decided once more, on what is left.
                hasForgotten = true
                live.dropState()
                continue
            } catch {
                live.dropAssumption()
                throw error
            }
            guard let decision else {
                if let version = try await live.load(checking: conflicts > 0) {
                    note(aggregate.category, isNew: version == 0)
                }
                continue
            }
            let appended: Appended
            do {
                appended = try await decision.ticket.value
            } catch let error as LogError where error.code == .versionConflict {
                live.invalidate(decision.generation)
                note(aggregate.category, isNew: false)
                if let key, let first = try await memory.outcome(of: key, on: [stream]) { return first }
                conflicts += 1
                // Conflicts come from another writer of the stream, or behind a failed append; a hundred in a row are neither.
                guard conflicts < 100 else { throw error }
                continue
            } catch {
                live.invalidate(decision.generation)
                throw error
            }
            live.confirm(decision.generation)
            if let refusal = decision.refusal { throw refusal }
            if appended.wasDuplicate {
                live.invalidate(decision.generation)
                if let key, let first = try await memory.outcome(of: key, on: [stream]) { return first }
            } else if let state = decision.snapshot, let time = appended.time {
                await live.save(state, version: decision.version, time: time)
            }
            let outcome = CommandOutcome(
                position: appended.position, version: decision.version, wasDuplicate: appended.wasDuplicate)
            if let key, decision.isEmpty { try await memory.remember(key, on: stream, outcome) }
            return outcome
        }
    }

    private func enqueue(_ append: Append, of category: String, _ source: String) throws -> Ticket<Appended> {
        guard !append.events.isEmpty, let effect = effect(of: category) else { return try log.enqueue([append]) }
        return try log.enqueue(append, as: source, with: effect)
    }

    /// What the read models that change with a category's events do; nil if there are none.
    func effect(of category: String) -> Append.Effect? {
        let inline = inline.withLock { $0.isEmpty ? [] : $0[category] ?? [] }
        if inline.isEmpty { return nil }
        return { events, transaction in
            for projection in inline { try projection.apply(events, in: transaction) }
        }
    }

    private func isLikelyNew(_ category: String) -> Bool {
        cache.withLock { ($0.new[category] ?? 0) >= Self.newInARow }
    }

    private func note(_ category: String, isNew: Bool) {
        cache.withLock { $0.new[category] = isNew ? min(Self.newInARow, ($0.new[category] ?? 0) + 1) : 0 }
    }

    private func enter<State>(_ aggregate: Aggregate<State>, _ stream: String) -> LiveAggregate<State> {
        cache.withLock { cache in
            cache.clock += 1
            if var entry = cache.entries[stream], let live = entry.live as? LiveAggregate<State> {
                entry.used = cache.clock
                entry.inFlight += 1
                cache.entries[stream] = entry
                return live
            }
            let live = LiveAggregate(loader(aggregate), stream: stream)
            cache.entries[stream] = Entry(live: live, used: cache.clock, inFlight: 1)
            if cache.entries.count > limit { evict(&cache) }
            return live
        }
    }

    private func leave(_ stream: String) {
        cache.withLock { $0.entries[stream]?.inFlight -= 1 }
    }

    /// Lets go of all states in memory: each is made from the log when it is needed next. For when what they hold is to be forgotten.
    public func dropStates() {
        let live = cache.withLock { cache in
            let live = cache.entries.values.map(\.live)
            cache.entries = cache.entries.filter { $0.value.inFlight > 0 }
            return live
        }
        // Who is at work with one of them decides again on what the log holds.
        for case let live as any StateHolder in live { live.dropState() }
    }

    /// Drops the older half of what is idle.
    private func evict(_ cache: inout Cache) {
        let idle = cache.entries.filter { $0.value.inFlight == 0 }.sorted { $0.value.used < $1.value.used }
        for (stream, _) in idle.prefix(limit / 2) { cache.entries[stream] = nil }
    }
}

/// What holds a state in memory.
protocol StateHolder {
    func dropState()
}

/// What became of a command.
public struct CommandOutcome: Sendable {
    /// The position of its last event; a query that waits for it sees the command's effect.
    public var position: LogPosition
    /// The version that the aggregate's stream has reached.
    public var version: Int64
    /// Whether the command had been carried out before, under the same key.
    public var wasDuplicate: Bool
}
