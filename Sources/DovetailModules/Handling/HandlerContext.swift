import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSagas
import Foundation
import Synchronization

/// What a handler has at hand: the call it answers, and its module's commands, tables and read models.
@dynamicMemberLookup
public struct HandlerContext: Sendable {
    /// The call: deadline, principal, correlation, trace.
    public let call: CallContext
    /// Which attempt it is, for a handler of an event.
    public let delivery: Delivery?
    let runtime: ModuleRuntime
    /// Under what the call is known for once: principal, endpoint and the caller's key; nil without a key.
    let onceKey: String?
    /// What it was asked with, in short.
    private let fingerprint: @Sendable () -> String?
    private let ordinals = Ordinals()
    private let reached = Shared<LogPosition?>(nil)

    init(
        call: CallContext, runtime: ModuleRuntime, endpoint: EndpointDescription,
        fingerprint: @escaping @Sendable () -> String?
    ) {
        self.call = call
        self.runtime = runtime
        self.fingerprint = fingerprint
        delivery = nil
        onceKey = call.idempotencyKey.map {
            "\(endpoint.contract.name)@\(endpoint.contract.version) \(endpoint.key) \(call.principal?.subject ?? "") \($0)"
        }
    }

    /// The context of an event's handler, whose call is known by its key.
    init(call: CallContext, runtime: ModuleRuntime, delivery: Delivery) {
        self.call = call
        self.runtime = runtime
        self.delivery = delivery
        onceKey = call.idempotencyKey
        fingerprint = { nil }
    }

    /// A fact of the call, as `principal` or `correlationID`.
    public subscript<Value>(dynamicMember fact: KeyPath<CallContext, Value>) -> Value { call[keyPath: fact] }

    /// An id for something new: the same each time for the same idempotency key, otherwise unique.
    public var newID: String {
        (onceKey.map { UniqueID.derived(from: "new", $0) } ?? .v7()).description
    }

    /// Carries out a command on an aggregate; once for the same idempotency key. See ``CommandExecutor/execute(_:_:key:expected:source:context:_:)``.
    @discardableResult
    public func execute<State>(
        _ aggregate: Aggregate<State>, _ id: String, expected: ExpectedVersion = .any,
        _ decide: @Sendable (State) throws -> [NewEvent]
    ) async throws -> CommandOutcome {
        let ordinal = ordinals.next()
        let outcome = try await runtime.commands.execute(
            aggregate, id, key: onceKey.map { CommandKey("\($0)/\(ordinal)", input: fingerprint()) },
            expected: expected, source: runtime.module, context: call, decide)
        reach(outcome.position)
        return outcome
    }

    /// Carries out a command on two aggregates in one transaction; once for the same idempotency key. See ``CommandExecutor/execute(_:_:_:_:key:source:context:_:)``.
    @discardableResult
    public func execute<First, Second>(
        _ first: Aggregate<First>, _ firstID: String, _ second: Aggregate<Second>, _ secondID: String,
        _ decide: @Sendable (First, Second) throws -> (first: [NewEvent], second: [NewEvent])
    ) async throws -> CommandOutcome {
        let ordinal = ordinals.next()
        let outcome = try await runtime.commands.execute(
            first, firstID, second, secondID,
            key: onceKey.map { CommandKey("\($0)/\(ordinal)", input: fingerprint()) }, source: runtime.module,
            context: call, decide)
        reach(outcome.position)
        return outcome
    }

    /// An aggregate's state and version, as of now or as of an earlier version or time. See ``CommandExecutor/state(_:_:asOf:)``.
    public func state<State>(
        _ aggregate: Aggregate<State>, _ id: String, asOf moment: AsOf = .now
    ) async throws -> (State, Int64) {
        try await runtime.commands.state(aggregate, id, asOf: moment)
    }

    /// Deletes an aggregate's instance for good: no command on it is carried out any more, its state is not shown, and its events go when nobody needs them. See ``CommandExecutor/tombstone(_:_:expected:holds:)``.
    ///
    /// An instance that is deleted already stays so. For what is told of a person, ``forget(_:reason:)`` is enough, and leaves the facts.
    public func tombstone<State>(_ aggregate: Aggregate<State>, _ id: String) async throws {
        try await runtime.commands.tombstone(aggregate, id)
    }

    /// Forgets a person, by the id under which ``Personal`` values are kept: nothing of theirs can be read again, in log, snapshots, read models, sagas, and backups.
    ///
    /// On record, and final, when it returns; other nodes follow by the event `dovetail.privacy.subject-forgotten`. Who is forgotten already stays so. Throws ``PersonalDataError``, and ``LogError`` where
    /// the log could not be told yet, which is then done later.
    public func forget(_ subject: String, reason: String? = nil) async throws {
        guard let forget = runtime.forget else { throw PersonalDataError(.noVault, subject) }
        try await forget(subject, reason)
    }

    /// Publishes events, once for the same idempotency key; returns when they are durable, with the position and the durability that they have reached.
    @discardableResult
    public func publish(_ events: NewEvent...) async throws -> Appended {
        let drafts = try drafts(events)
        let appended = try await runtime.log.publish(drafts)
        reach(appended.position)
        return appended
    }

    /// Has an event published at `date`, once for the same idempotency key; returns when that is durable, with the id to cancel it by. See ``Transaction/schedule(_:at:)``.
    @discardableResult
    public func schedule(_ event: NewEvent, at date: Date) async throws -> UniqueID {
        let drafts = try drafts([event])
        try await runtime.scheduler.schedule(drafts, at: date)
        return drafts[0].id
    }

    /// Has an event published after `delay`. See ``schedule(_:at:)``.
    @discardableResult
    public func schedule(_ event: NewEvent, after delay: Duration) async throws -> UniqueID {
        try await schedule(event, at: Date().addingTimeInterval(delay.inSeconds))
    }

    /// Takes back an event that waits for its time: false if it was published already, or never scheduled. Durable when it returns.
    @discardableResult
    public func cancelScheduled(_ id: UniqueID) async throws -> Bool {
        try await runtime.scheduler.cancel(id)
    }

    private func drafts(_ events: [NewEvent]) throws -> [EventDraft] {
        let ordinal = ordinals.next()
        return try events.enumerated().map { index, event in
            let id = onceKey.map { UniqueID.derived(from: "event", $0, "\(ordinal)", "\(index)") }
            return try EventDraft(event, id: id ?? .v7(), source: runtime.module, context: call)
        }
    }

    /// Changes the module's tables and publishes events in one transaction. See ``Database/transaction(_:as:_:)``.
    public func transaction<Value: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        let value = try await runtime.log.transaction(runtime.module, as: .module, body)
        runtime.scheduler.wake()
        reach(runtime.log.position(runtime.log.head))
        return value
    }

    /// Does something once for each idempotency key: the answer is kept in the transaction itself, and the same key gets the same answer again.
    ///
    /// Without a key it is an ordinary transaction. A body that throws leaves nothing, so the key may try again. A key that came with another input before
    /// is refused with ``Problem/keyReused``.
    @discardableResult
    public func once<Value: Wire>(
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        guard let onceKey else { return try await transaction(body) }
        let key = CommandKey(onceKey, input: fingerprint())
        let value = try await runtime.answers.once(key, module: runtime.module, body)
        runtime.scheduler.wake()
        reach(runtime.log.position(runtime.log.head))
        return value
    }

    /// Does something without an answer once for each idempotency key.
    public func once(_ body: @escaping @Sendable (Transaction) throws -> Void) async throws {
        _ = try await once { transaction in
            try body(transaction)
            return Empty()
        }
    }

    /// Reads the module's tables.
    public func snapshot<Value: Sendable>(
        _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws -> Value {
        try await runtime.log.snapshot(body)
    }

    /// The one row that a query on the read models returns; throws `problem` if there is none.
    ///
    /// If the caller named a log position (`Dovetail-After`), the query waits until the read models have reached it.
    public func one<Row: Decodable & Sendable>(
        _ type: Row.Type, _ sql: SQL, or problem: @autoclosure () -> Problem
    ) async throws -> Row {
        guard let row = try await query({ try $0.row(Row.self, sql) }) else { throw problem() }
        return row
    }

    /// The rows that a query on the read models returns.
    public func rows<Row: Decodable & Sendable>(_ type: Row.Type, _ sql: SQL) async throws -> [Row] {
        try await query { try $0.rows(Row.self, sql) }
    }

    /// Reads the read models in one snapshot. Waits like ``one(_:_:or:)``.
    public func query<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        var position: LogPosition?
        if let after = call.after {
            guard let parsed = LogPosition(after) else {
                throw Problem.invalidInput([
                    .init(
                        pointer: "header:dovetail-after",
                        expected: "expected a position as a Dovetail-Position header gave it")
                ])
            }
            position = parsed
        }
        return try await runtime.readModel.query(after: position, until: call.deadline, body)
    }

    /// The answers to a query on the read models: as it is now, then again after each change, if it is another. For a streaming endpoint: `AnswerStream(context.changes { … })`.
    ///
    /// Ends when the caller has gone or the node shuts down. See ``LiveQuery``.
    public func changes<Value: Sendable & Equatable>(
        _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) -> LiveQuery<Value> {
        runtime.readModel.changes(body)
    }

    /// The log position that the handler's writes have reached, for the caller to read after.
    var position: LogPosition? { reached.value.withLock { $0 } }

    private func reach(_ position: LogPosition) {
        reached.value.withLock { known in
            if position.number > known?.number ?? -1 { known = position }
        }
    }
}

/// A mutex that several copies of a value share.
final class Shared<Value: Sendable>: Sendable {
    let value: Mutex<Value>
    init(_ value: consuming sending Value) { self.value = Mutex(value) }
}
