import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// A log in memory: arrays behind one lock, and tables beside them.
final class MemoryLog: EventLog {
    private final class State {
        let tables: MemoryTables
        let events: MemoryEvents

        init(
            _ identity: (log: UniqueID, epoch: Int), clock: @escaping @Sendable () -> Date,
            beforeCommit: @escaping @Sendable () throws -> Void
        ) throws {
            tables = try MemoryTables(beforeCommit: beforeCommit)
            events = MemoryEvents(identity, clock: clock)
        }
    }

    let identity = (log: UniqueID.v7(), epoch: 1)
    let durability = Durability.memory
    private let state: Mutex<State>
    private let watermark = Watermark(0)
    private let cell = ConditionCell()
    private let beforeCommit: @Sendable () throws -> Void

    /// An empty log; events get the time of `clock`, and `beforeCommit` keeps what a commit rests on.
    init(clock: @escaping @Sendable () -> Date, beforeCommit: @escaping @Sendable () throws -> Void) throws {
        self.beforeCommit = beforeCommit
        state = Mutex(try State(identity, clock: clock, beforeCommit: beforeCommit))
    }

    var condition: LogCondition { cell.condition }

    var head: Int64 { watermark.value }

    func enqueue(_ appends: [Append]) throws -> Ticket<Appended> {
        let ticket = Ticket<Appended>()
        let outcome: Result<Appended, any Error> = state.withLock { state in
            let outcome = Result {
                try beforeCommit()
                return try state.events.append(appends)
            }
            watermark.advance(to: state.events.head)
            return outcome
        }
        ticket.fulfil(outcome)
        return ticket
    }

    func enqueue(_ append: Append, as module: String, with effect: @escaping Append.Effect) throws -> Ticket<Appended> {
        let ticket = Ticket<Appended>()
        ticket.fulfil(Result { try run(module, as: .module) { try append.make(with: effect, in: $0) } })
        return ticket
    }

    func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage {
        state.withLock { $0.events.page(after: number, types: types, limit: limit) }
    }

    func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent] {
        state.withLock { $0.events.stream(name, after: version, limit: limit) }
    }

    func stream(_ name: String, before version: Int64, limit: Int) async throws -> [StoredEvent] {
        state.withLock { $0.events.stream(name, before: version, limit: limit) }
    }

    func event(id: UniqueID) async throws -> StoredEvent? {
        state.withLock { $0.events.event(id: id) }
    }

    func truncatedEvent(id: UniqueID) async throws -> TruncatedEvent? {
        state.withLock { $0.events.truncatedEvent(id: id) }
    }

    func reclaim(
        _ topics: [TopicPattern], after number: Int64, upTo end: Int64, limit: Int, unless hold: SQL?
    ) async throws -> Reclaimed {
        let interest = Interest(topics: topics, filter: nil, except: RetentionRule.exceptions)
        return try state.withLock { state in
            if let hold, let done = try state.tables.snapshot({ try $0.row(Int64?.self, hold) }), let done, done < end {
                return Reclaimed(count: 0, scanned: number)
            }
            return state.events.reclaim(interest, after: number, upTo: end, limit: limit)
        }
    }

    func streamStatus(_ name: String) async throws -> StreamStatus? {
        state.withLock { $0.events.status(ofStream: name) }
    }

    func truncate(_ truncation: StreamTruncation, unless hold: SQL?) async throws {
        try state.withLock { state in
            if let hold, let done = try state.tables.snapshot({ try $0.row(Int64?.self, hold) }), let done,
                done < truncation.last
            {
                throw LogError(
                    .notReached, truncation.stream,
                    "a subscription was set back to \(done) meanwhile; try again when it has passed")
            }
            try state.events.truncate(truncation)
        }
    }

    func tombstones(after name: String, limit: Int) async throws -> [StreamStatus] {
        state.withLock { $0.events.tombstones(after: name, limit: limit) }
    }

    func emptied(_ stream: String) async throws {
        state.withLock { $0.events.emptied(stream) }
    }

    func verify(progress: @escaping @Sendable (Int64) -> Void) async throws -> LogVerification {
        let (kept, head) = state.withLock { $0.events.counts }
        var verification = LogVerification()
        verification.events = kept
        verification.reclaimed = head - kept
        verification.head = head
        progress(head)
        return verification
    }

    func waitForHead(beyond number: Int64) async throws -> Int64 {
        try await watermark.wait(for: number + 1)
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        return try run(label, as: role, body)
    }

    private func run<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @Sendable (Transaction) throws -> Value
    ) throws -> Value {
        let context = CallContext.current
        return try state.withLock { state in
            let mark = state.events.mark()
            let value = try state.tables.transaction(
                label, as: role, context: context,
                append: { [events = state.events] in try events.append([$0]) },
                undo: { state.events.rollBack(to: mark) }, body)
            watermark.advance(to: state.events.head)
            return value
        }
    }

    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        try state.withLock { try $0.tables.snapshot(of: $0.events, body) }
    }

    func close() {
        let error = LogError(.stopped, "memory", "it was shut down")
        cell.set(.stopped(error))
        watermark.fail(error)
    }
}
