import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// One step of a saga; made by the functions of ``SagaBuilding``.
public struct SagaStep<State: Wire>: Sendable {
    /// What a step's result does to the state. Applied to the state as it is when the step ends, so that branches do not undo each other's results.
    typealias Change = @Sendable (inout State) throws -> Void

    enum Work: Sendable {
        case action(@Sendable (State, SagaContext) async throws -> Change)
        case timer(@Sendable (State, Date) -> Date)
        case wait(Wait)
        case child(Child)
        case lock(Lock)
        case release(String)
    }

    /// Waits for a message: an event that was published, or a signal.
    struct Wait: Sendable {
        let topic: String
        /// The payload that it waits for, of whatever version of the event the log holds; nil for a signal. Throws for one that no upcaster leads from.
        let payload: (@Sendable (StoredEvent) throws -> [UInt8])?
        /// The key that the message has to have, from the state and the instance's id.
        let key: @Sendable (State, UniqueID) -> String
        let within: Duration?
        let otherwise: SagaTimeout
        /// What a message does to the state; of an event's payload with the version that it was kept in, nil for the present one.
        let accept: @Sendable ([UInt8], Int?) throws -> Change
        /// The version that payloads are kept in; nil for a signal.
        var version: Int?
        /// The event; nil for a signal.
        var event: EventDescription?
    }

    /// Waits until a resource is the instance's own.
    struct Lock: Sendable {
        let resource: String
        let key: @Sendable (State) -> String
        let within: Duration?
        let otherwise: SagaTimeout
    }

    /// Runs another saga.
    struct Child: Sendable {
        let saga: any AnySaga
        /// The child's first state, as JSON.
        let start: @Sendable (State) throws -> String
        /// What the child's last state does to this one's.
        let accept: @Sendable (String) throws -> Change
    }

    let name: String
    let work: Work
    let undo: (@Sendable (State, SagaContext) async throws -> Void)?
    let policy: SagaPolicy?

    func plan(_ standard: SagaPolicy) -> SagaPlan.Step {
        let kind: SagaPlan.Kind =
            switch work {
            case .action: .action
            case .timer: .timer
            case .wait(let wait): .wait(wait.within == nil ? .goOn : wait.otherwise)
            case .child(let child): .child(mayFail: !child.saga.beginsWithPivot)
            case .lock(let lock): .lock(lock.within == nil ? .goOn : lock.otherwise)
            case .release(let lock): .release(lock)
            }
        return SagaPlan.Step(name: name, kind: kind, canBeUndone: undo != nil, policy: policy ?? standard)
    }
}

/// What follows when something has not come in time.
public enum SagaTimeout: Sendable, Equatable {
    /// The saga turns back.
    case turnBack
    /// The saga goes on without it.
    case goOn
}
