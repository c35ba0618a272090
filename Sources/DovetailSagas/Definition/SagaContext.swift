import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import Synchronization

/// What a step has at hand besides the saga's state.
public struct SagaContext: Sendable {
    /// The instance.
    public let sagaID: UniqueID
    /// The step's key, the same each time it is carried out: `sagaID/step`.
    public let idempotencyKey: String
    /// The call's context: correlation, trace, deadline.
    public let call: CallContext
    let locks: [SagaLock]
    let commands: CommandExecutor
    let source: String
    let ordinals = Ordinals()

    /// The fencing token of the lock that the step `lock` has taken; nil if it holds none.
    ///
    /// Of two instances that have held the same resource, the later has the higher token. A callee that refuses a lower one than it has seen is safe from a call of the earlier that comes late.
    public func fence(of lock: String) -> Int64? { locks.first { $0.step == lock && $0.token > 0 }?.token }

    /// Carries out a command on an aggregate of the saga's own node; once, however often the step is.
    @discardableResult
    public func execute<State>(
        _ aggregate: Aggregate<State>, _ id: String, _ decide: @Sendable (State) throws -> [NewEvent]
    ) async throws -> CommandOutcome {
        try await commands.execute(
            aggregate, id, key: "\(idempotencyKey)/\(ordinals.next())", source: source, context: call, decide)
    }
}

/// Numbers the commands of one handler or step, so that each has a key of its own.
package final class Ordinals: Sendable {
    private let value = Mutex(0)

    package init() {}

    package func next() -> Int {
        value.withLock { value in
            value += 1
            return value
        }
    }
}
