import DovetailContracts
import DovetailCore
import DovetailEvents

/// A business transaction over several modules, as a value: steps that go forward, and what undoes each of them.
///
/// An event starts an instance. Each step's result is committed with the state and the next step, so an instance resumes where it was after any stop. When a step
/// fails for good before the pivot, what was done is undone in reverse order; after the pivot there is only forward.
///
///     Saga("place-order", startedBy: events.created) { PlacingOrder(order: $0) }
///         .step("reserve stock", into: \.reservation) { saga in … } undo: { saga in … }
///         .pivot()
///         .step("confirm order") { saga, context in … }
///
/// A step is carried out at least once: after a crash or a lost answer it is done again under the same idempotency key, which typed clients
/// send along by themselves. An undo may come for a step whose answer was lost, so it goes by the business key, not by the step's result.
public struct Saga<State: Wire>: Sendable {
    /// The durable name.
    public let name: String
    let trigger: EventTrigger<State>
    private(set) var steps: [SagaStep<State>] = []
    private(set) var pivotIndex: Int?
    private(set) var compensated: (@Sendable (State, Problem, SagaContext) async throws -> Void)?
    private(set) var policy = SagaPolicy()

    /// A saga whose instances are started by `event`, in the state that `start` makes of it.
    public init<Payload>(
        _ name: String, startedBy event: Event<Payload>, _ start: @escaping @Sendable (Payload) -> State
    ) {
        self.name = name
        trigger = EventTrigger(type: event.name, version: event.version) { stored in
            start(try stored.payload(event).payload)
        }
    }

    /// The same saga with a further step, whose result goes into the state.
    ///
    /// `undo` is called when a later step fails for good before the pivot, and when this step was given up in doubt.
    public func step<Result: Wire>(
        _ name: String, into result: any WritableKeyPath<State, Result?> & Sendable,
        do action: @escaping @Sendable (State) async throws -> Result,
        undo: @escaping @Sendable (State) async throws -> Void
    ) -> Self {
        adding(
            SagaStep(
                name: name,
                work: .action { state, _ in state[keyPath: result] = try await action(state) },
                undo: { state, _ in try await undo(state) }))
    }

    /// The same saga with a further step that has nothing to undo, and whose result goes into the state.
    public func step<Result: Wire>(
        _ name: String, into result: any WritableKeyPath<State, Result?> & Sendable,
        do action: @escaping @Sendable (State) async throws -> Result
    ) -> Self {
        adding(
            SagaStep(
                name: name, work: .action { state, _ in state[keyPath: result] = try await action(state) }, undo: nil))
    }

    /// The same saga with a further step without a result.
    public func step(
        _ name: String, do action: @escaping @Sendable (State, SagaContext) async throws -> Void,
        undo: (@Sendable (State, SagaContext) async throws -> Void)? = nil
    ) -> Self {
        adding(SagaStep(name: name, work: .action { state, context in try await action(state, context) }, undo: undo))
    }

    /// The same saga, which pauses here; the timer is durable.
    public func pause(_ name: String, for duration: Duration) -> Self {
        adding(SagaStep(name: name, work: .pause(duration), undo: nil))
    }

    /// The same saga with the point of no return here: the steps that follow are retried until they succeed.
    public func pivot() -> Self {
        precondition(pivotIndex == nil, "the saga '\(name)' has two pivots")
        var copy = self
        copy.pivotIndex = steps.count
        return copy
    }

    /// The same saga, which does `conclude` when everything was undone; `problem` is why.
    public func compensated(
        _ conclude: @escaping @Sendable (State, Problem, SagaContext) async throws -> Void
    ) -> Self {
        var copy = self
        copy.compensated = conclude
        return copy
    }

    /// The same saga under another policy of retries.
    public func policy(_ policy: SagaPolicy) -> Self {
        var copy = self
        copy.policy = policy
        return copy
    }

    private func adding(_ step: SagaStep<State>) -> Self {
        precondition(
            !steps.contains { $0.name == step.name }, "the saga '\(name)' has two steps called '\(step.name)'")
        var copy = self
        copy.steps.append(step)
        return copy
    }
}

/// What starts an instance.
struct EventTrigger<State: Sendable>: Sendable {
    let type: String
    let version: Int
    let start: @Sendable (StoredEvent) throws -> State
}

/// One step of a saga.
struct SagaStep<State: Sendable>: Sendable {
    enum Work: Sendable {
        case action(@Sendable (inout State, SagaContext) async throws -> Void)
        case pause(Duration)
    }

    let name: String
    let work: Work
    let undo: (@Sendable (State, SagaContext) async throws -> Void)?
}

/// How a saga's steps are retried, beyond what a client does within one call.
public struct SagaPolicy: Sendable {
    /// How often a step that was not refused for good is carried out before the saga turns back; before the pivot only.
    public var attempts: Int
    /// The first pause between attempts; it doubles each time.
    public var backoff: Duration
    /// The longest pause.
    public var maximumBackoff: Duration
    /// How long one attempt may take.
    public var timeout: Duration
    /// How often an undo that is refused for good, or any step after the pivot that is, is tried before the instance is stuck.
    public var attemptsBeforeStuck: Int

    /// A policy; the defaults give an unreachable callee about a minute before the saga turns back.
    public init(
        attempts: Int = 8, backoff: Duration = .milliseconds(500), maximumBackoff: Duration = .seconds(30),
        timeout: Duration = .seconds(30), attemptsBeforeStuck: Int = 5
    ) {
        self.attempts = attempts
        self.backoff = backoff
        self.maximumBackoff = maximumBackoff
        self.timeout = timeout
        self.attemptsBeforeStuck = attemptsBeforeStuck
    }

    /// The pause after the attempt with this number, from 1: half of it fixed, half random, so that instances do not march in step.
    func pause(after attempt: Int) -> Duration {
        let exponent = min(max(attempt - 1, 0), 20)
        let full = min(backoff * (1 << exponent), maximumBackoff)
        return full / 2 + full / 2 * Double.random(in: 0...1)
    }
}
