import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// What steps are added to: a saga, or one of its branches. Names of steps are unique in a saga.
public protocol SagaBuilding<State>: Sendable {
    /// What the saga remembers.
    associatedtype State: Wire

    /// The same with a further step.
    func adding(_ step: SagaStep<State>) -> Self
}

extension SagaBuilding {
    /// The same with a further step, whose result goes into the state.
    ///
    /// `undo` is called when a later step fails for good before the pivot, and when this step was given up in doubt.
    public func step<Result: Wire>(
        _ name: String, into result: any WritableKeyPath<State, Result?> & Sendable, policy: SagaPolicy? = nil,
        do action: @escaping @Sendable (State) async throws -> Result,
        undo: @escaping @Sendable (State) async throws -> Void
    ) -> Self {
        step(name, into: result, policy: policy) { state, _ in
            try await action(state)
        } undo: { state, _ in
            try await undo(state)
        }
    }

    /// The same with a further step that has nothing to undo, and whose result goes into the state.
    public func step<Result: Wire>(
        _ name: String, into result: any WritableKeyPath<State, Result?> & Sendable, policy: SagaPolicy? = nil,
        do action: @escaping @Sendable (State) async throws -> Result
    ) -> Self {
        step(name, into: result, policy: policy) { state, _ in try await action(state) }
    }

    /// The same with a further step, whose result goes into the state, and which has its context at hand. See ``step(_:into:policy:do:undo:)``.
    public func step<Result: Wire>(
        _ name: String, into result: any WritableKeyPath<State, Result?> & Sendable, policy: SagaPolicy? = nil,
        do action: @escaping @Sendable (State, SagaContext) async throws -> Result,
        undo: (@Sendable (State, SagaContext) async throws -> Void)? = nil
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .action { state, context in
                    let value = try await action(state, context)
                    return { $0[keyPath: result] = value }
                }, undo: undo, policy: policy))
    }

    /// The same with a further step without a result.
    public func step(
        _ name: String, policy: SagaPolicy? = nil,
        do action: @escaping @Sendable (State, SagaContext) async throws -> Void,
        undo: (@Sendable (State, SagaContext) async throws -> Void)? = nil
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .action { state, context in
                    try await action(state, context)
                    return { _ in }
                }, undo: undo, policy: policy))
    }

    /// The same, which pauses here; the timer is durable.
    public func pause(_ name: String, for duration: Duration) -> Self {
        pause(name) { _, now in now.addingTimeInterval(duration.inSeconds) }
    }

    /// The same, which sleeps here until the time that `date` says, from the state and the present time; the timer is durable, and asked for once.
    public func pause(_ name: String, until date: @escaping @Sendable (State, Date) -> Date) -> Self {
        adding(SagaStep(name: name, work: .timer(date), undo: nil, policy: nil))
    }

    /// The same, which waits here for an event with the key that `key` makes of the state; its payload goes into the state.
    ///
    /// An event that came before, even before the instance, counts: it is kept (see ``Saga/keepingEarlyEvents(for:)``). Each event is taken by one wait of an instance. When none has
    /// come `within` that time, the saga does what `otherwise` says; without a time it waits for ever.
    public func wait<Payload>(
        _ name: String, for event: Event<Payload>, key: @escaping @Sendable (State) -> String,
        into result: any WritableKeyPath<State, Payload?> & Sendable, within time: Duration? = nil,
        otherwise: SagaTimeout = .turnBack
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .wait(
                    .init(
                        topic: event.name,
                        payload: { stored in
                            stored.version == event.version
                                ? stored.data : try JSON.encode(try stored.payload(event).payload)
                        }, key: { state, _ in key(state) }, within: time,
                        otherwise: otherwise,
                        accept: { data, version in
                            let payload = try event.decode(data, version: version ?? event.version)
                            return { $0[keyPath: result] = payload }
                        }, version: event.version, event: event.description)), undo: nil, policy: nil))
    }

    /// The same, which waits here for a person: for a signal with the step's name, whose value goes into the state.
    ///
    /// A signal is given by `sagas signal`, the admin door, or ``SagaJournal/signal(_:_:_:)``; one that came before is kept. Otherwise as a wait for an event.
    public func decision<Value: Wire>(
        _ name: String, into result: any WritableKeyPath<State, Value?> & Sendable, within time: Duration? = nil,
        otherwise: SagaTimeout = .turnBack
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .wait(
                    .init(
                        topic: SagaMessage.signal(name), payload: nil, key: { _, id in id.description }, within: time,
                        otherwise: otherwise,
                        accept: { data, _ in
                            let value = try JSON.decode(Value.self, from: data)
                            return { $0[keyPath: result] = value }
                        })), undo: nil, policy: nil))
    }

    /// The same, which runs another saga here and goes on when that is completed; what `result` makes of its last state goes into this one's.
    ///
    /// The child starts in the state that `start` makes of this one's, once. When it ends compensated, this step is refused; when it is stuck, the parent waits until an operator has
    /// brought it to an end. When the parent turns back meanwhile, the child is cancelled and its end waited for. `undo` undoes a child that was completed.
    public func child<ChildState: Wire, Result: Wire>(
        _ name: String, of saga: Saga<ChildState>, start: @escaping @Sendable (State) -> ChildState,
        into field: any WritableKeyPath<State, Result?> & Sendable,
        result: @escaping @Sendable (ChildState) -> Result?,
        undo: (@Sendable (State, SagaContext) async throws -> Void)? = nil
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .child(
                    .init(
                        saga: saga,
                        start: { String(decoding: try JSON.encode(start($0)), as: UTF8.self) },
                        accept: { text in
                            let value = result(try JSON.decode(ChildState.self, from: Array(text.utf8)))
                            return { $0[keyPath: field] = value }
                        })), undo: undo, policy: nil))
    }
}
