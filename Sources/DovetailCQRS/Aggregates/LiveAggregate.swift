import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// An aggregate's instance in memory: its state, ahead of the log by what is queued for it.
///
/// Decisions are taken one after the other on the state that the decision before has left, without waiting for its commit; appends are handed to
/// the log in the same order. If one fails, the state is dropped and those behind it, which the log then refuses, decide again. That holds for
/// a decision to do nothing, or to refuse, as well: the log is asked whether the version it was taken on is the stream's.
final class LiveAggregate<State: Wire>: Sendable, StateHolder {
    private struct Core {
        var state: State?
        var version: Int64 = 0
        /// The version of the last snapshot.
        var snapshot: Int64 = 0
        /// Rises whenever the state is dropped, so that a late failure does not drop a newer one.
        var generation = 0
        /// Whether the state was taken for granted, and no append has confirmed it yet.
        var isAssumed = false
    }

    private let core = Mutex(Core())
    private let aggregate: Aggregate<State>
    private let loader: AggregateLoader<State>
    let stream: String

    init(_ loader: AggregateLoader<State>, stream: String) {
        aggregate = loader.aggregate
        self.loader = loader
        self.stream = stream
    }

    struct Decision: Sendable {
        let generation: Int
        let version: Int64
        /// Whether nothing follows from the command.
        let isEmpty: Bool
        /// Why nothing is done, if the command is refused.
        let refusal: (any Error)?
        /// The state at that version, if it is time for a snapshot of it.
        let snapshot: State?
        let ticket: Ticket<Appended>
    }

    /// Takes a decision and queues its events, or the question whether it was taken on what the log holds; nil if the state has to be loaded first.
    ///
    /// An instance that is not at the version `expected` is a refusal.
    func decide(
        _ expected: ExpectedVersion, _ decide: (State) throws -> [NewEvent],
        draft: (NewEvent, Int) throws -> EventDraft,
        enqueue: (Append) throws -> Ticket<Appended>
    ) throws -> Decision? {
        try core.withLock { core in
            guard let state = core.state else { return nil }
            var events: [NewEvent] = []
            var refusal: (any Error)?
            do {
                if case .exactly(let version) = expected, version != core.version {
                    throw CommandConflict(stream: stream, expected: version, actual: core.version)
                }
                events = try decide(state)
            } catch {
                refusal = error
            }
            var next = state
            for event in events { try aggregate.apply(event, to: &next) }
            let drafts = try events.enumerated().map { try draft($0.element, $0.offset) }
            let ticket = try enqueue(Append(stream: stream, expected: .exactly(core.version), events: drafts))
            core.state = next
            core.version += Int64(events.count)
            let isTime = !events.isEmpty && aggregate.snapshots?.isTime(next, core.version - core.snapshot) == true
            if isTime { core.snapshot = core.version }
            return Decision(
                generation: core.generation, version: core.version, isEmpty: events.isEmpty, refusal: refusal,
                snapshot: isTime ? next : nil, ticket: ticket)
        }
    }

    /// Loads the state from the log, unless somebody has meanwhile; takes a snapshot where many events had to be read. See ``AggregateLoader/load(_:asOf:checking:)``.
    ///
    /// Returns the version that it found; nil if somebody else was first.
    @discardableResult
    func load(checking: Bool) async throws -> Int64? {
        let before = core.withLock { $0.generation }
        var loaded = try await loader.load(stream, checking: checking)
        if let time = loaded.time,
            aggregate.snapshots?.isTime(loaded.state, loaded.version - loaded.snapshot) == true
        {
            await loader.save(loaded.state, stream, version: loaded.version, time: time)
            loaded.snapshot = loaded.version
        }
        let found = loaded
        return core.withLock { core in
            guard core.state == nil, core.generation == before else { return nil }
            (core.state, core.version, core.snapshot) = (found.state, found.version, found.snapshot)
            return found.version
        }
    }

    /// Takes it for an instance to which nothing has happened, unless it is loaded or was dropped before: the log refuses what is decided on that in error.
    func assumeNew() {
        core.withLock { core in
            guard core.state == nil, core.generation == 0 else { return }
            (core.state, core.version, core.snapshot) = (aggregate.initial, 0, 0)
            core.isAssumed = true
        }
    }

    /// What a decision was taken on is what the log holds.
    func confirm(_ generation: Int) {
        core.withLock { core in
            if core.generation == generation { core.isAssumed = false }
        }
    }

    /// Drops a state that was taken for granted.
    func dropAssumption() {
        core.withLock { core in
            guard core.isAssumed else { return }
            core.generation += 1
            core.state = nil
            core.isAssumed = false
        }
    }

    /// Whether what is in memory is not for others to see yet.
    var isAssumed: Bool { core.withLock { $0.isAssumed } }

    /// Keeps the snapshot of a decision whose events the log committed at `time`.
    func save(_ state: State, version: Int64, time: Date) async {
        await loader.save(state, stream, version: version, time: time)
    }

    /// Drops a state that turned out not to be what the log holds.
    func invalidate(_ generation: Int) {
        core.withLock { core in
            guard core.generation == generation else { return }
            core.generation += 1
            core.state = nil
            core.isAssumed = false
        }
    }

    /// Drops the state, whatever it is: what is queued for it is behind in the log when it is loaded again, or refused and decided again.
    func dropState() {
        core.withLock { core in
            core.generation += 1
            core.state = nil
            core.isAssumed = false
        }
    }

    /// The state with what is queued for it, and its version; nil if it is not loaded, or taken for granted.
    var current: (state: State, version: Int64)? {
        core.withLock { core in core.isAssumed ? nil : core.state.map { ($0, core.version) } }
    }
}
