import DovetailEvents
import ServiceLifecycle

/// What carries the instances of a saga on a node.
public protocol SagaService: Service {
    /// Makes its tables and reads its place; idempotent. ``ServiceLifecycle/Service/run()`` does it by itself.
    func prepare() async throws

    /// What its reader has not done with: those events stay in the log. Nil if it listens to none.
    var hold: RetentionHold? { get }
}
