import DovetailContracts
import DovetailCore
import DovetailEvents

/// A business transaction over several modules, as a value: steps that go forward, and what undoes each of them.
///
/// An event starts an instance, or another saga does. Each step's result is committed with the state and the next step, so an instance resumes where it was after
/// any stop. When a step fails for good before the pivot, what was done is undone in reverse order; after the pivot there is only forward.
///
///     Saga("place-order", startedBy: events.created) { PlacingOrder(order: $0) }
///         .step("reserve stock", into: \.reservation) { saga in … } undo: { saga in … }
///         .pivot()
///         .step("confirm order") { saga, context in … }
///
/// A step is carried out at least once: after a crash or a lost answer it is done again under the same idempotency key, which typed clients
/// send along by themselves. An undo may come for a step whose answer was lost, so it goes by the business key, not by the step's result.
/// Steps are known by their names: one that is renamed is another step to the instances under way.
public struct Saga<State: Wire>: SagaBuilding {
    /// The durable name.
    public let name: String
    let trigger: EventTrigger<State>?
    private(set) var steps: [SagaStep<State>] = []
    /// The steps' places: stages one after the other, branches of a stage beside each other, steps of a branch in order.
    private(set) var stages: [[[Int]]] = []
    private(set) var pivotStage: Int?
    private(set) var compensated: (@Sendable (State, Problem, SagaContext) async throws -> Void)?
    private(set) var policy = SagaPolicy()
    /// How long a message that came before its instance waits for it.
    private(set) var keepsMessages = Duration.seconds(7 * 86_400)
    /// How long an instance that has ended is kept; nil: as long as the platform says.
    private(set) var keepsEnded: Duration?
    /// Whether an event that cannot be read is put aside.
    private(set) var parks = false

    /// A saga whose instances are started by `event`, in the state that `start` makes of it; each event starts one.
    public init<Payload>(
        _ name: String, startedBy event: Event<Payload>, _ start: @escaping @Sendable (Payload) -> State
    ) {
        self.name = name
        trigger = EventTrigger(type: event.name, event: event.description) { stored in
            start(try stored.payload(event).payload)
        }
    }

    /// A saga whose instances are started by another saga; see ``SagaBuilding/child(_:of:start:into:result:undo:)``.
    public init(_ name: String, of state: State.Type) {
        self.name = name
        trigger = nil
    }

    public func adding(_ step: SagaStep<State>) -> Self {
        var copy = self
        copy.append([[step]])
        return copy
    }

    /// The same saga, which then goes several ways at once and goes on when all of them are at their end.
    ///
    /// Each branch adds steps as the saga itself does. Results meet in the state: each goes into the field that its step names. When a branch fails for good, the others
    /// stop after the step that they are at, and what all of them have done is undone, the last first.
    public func parallel(_ branches: @Sendable (SagaBranch<State>) -> SagaBranch<State>...) -> Self {
        var copy = self
        copy.append(branches.map { $0(SagaBranch()).steps })
        return copy
    }

    /// The same saga with the point of no return here: the steps that follow are retried until they succeed.
    ///
    /// What follows has no undo, and a wait that follows goes on at its time-out: there is no way back that they could ask for.
    public func pivot() -> Self {
        precondition(pivotStage == nil, "the saga '\(name)' has two pivots")
        var copy = self
        copy.pivotStage = stages.count
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

    /// The same saga under another policy of retries; a step may have one of its own.
    public func policy(_ policy: SagaPolicy) -> Self {
        var copy = self
        copy.policy = policy
        return copy
    }

    /// The same saga, for which events that came before the instance that waits for them are kept so long; a week unless said.
    public func keepingEarlyEvents(for duration: Duration) -> Self {
        var copy = self
        copy.keepsMessages = duration
        return copy
    }

    /// The same saga, whose instances are kept so long after their end, with their journals; as long as the platform says unless said.
    public func keepingEnded(for duration: Duration) -> Self {
        var copy = self
        copy.keepsEnded = duration
        return copy
    }

    /// The same saga, which puts an event aside that it cannot read, on record, and goes on; otherwise it takes no event in until an operator has it passed over, or a program reads it.
    ///
    /// What was put aside is taken in when the saga starts with a program that can read it, as long as the log has it.
    public func parkingUndecodable() -> Self {
        var copy = self
        copy.parks = true
        return copy
    }

    private mutating func append(_ branches: [[SagaStep<State>]]) {
        var stage: [[Int]] = []
        for branch in branches where !branch.isEmpty {
            stage.append(Array(steps.count..<steps.count + branch.count))
            steps += branch
        }
        guard !stage.isEmpty else { return }
        stages.append(stage)
        if let mistake = plan.mistakes.first { preconditionFailure(mistake) }
    }

    /// What the rules need to know of it.
    var plan: SagaPlan {
        SagaPlan(
            saga: name, steps: steps.map { $0.plan(policy) }, stages: stages, pivot: pivotStage,
            concludes: compensated != nil, policy: policy)
    }
}

/// One of several ways that a saga goes at once.
public struct SagaBranch<State: Wire>: SagaBuilding {
    private(set) var steps: [SagaStep<State>] = []

    public func adding(_ step: SagaStep<State>) -> Self {
        var copy = self
        copy.steps.append(step)
        return copy
    }
}

/// What starts an instance.
struct EventTrigger<State: Sendable>: Sendable {
    let type: String
    let event: EventDescription
    /// The first state, of whatever version of the event the log holds; throws for one that no upcaster leads from.
    let start: @Sendable (StoredEvent) throws -> State
}
