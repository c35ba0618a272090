import DovetailCore
import DovetailResilience
import Logging
import Synchronization

/// The policies of calls on this node: one executor to a callee, shared by all its callers, so that breaker and budget are exact.
final class CallPolicies: Sendable {
    private let configuration: PlatformConfiguration
    private let executors = Mutex<[String: PolicyExecutor]>([:])

    init(_ configuration: PlatformConfiguration) {
        self.configuration = configuration
    }

    /// What guards the calls to a module.
    func executor(for module: String) -> PolicyExecutor {
        executors.withLock { executors in
            if let known = executors[module] { return known }
            let executor = PolicyExecutor(callee: module, policy: configuration.policy(forModule: module)) { event in
                if case .circuit(let transition) = event {
                    Logger(label: "dovetail.calls").warning(
                        "a circuit breaker changed its state",
                        metadata: ["callee": "\(module)", "transition": "\(transition)"])
                }
            }
            executors[module] = executor
            return executor
        }
    }

    /// The counters of each callee, in order of their names.
    var counters: [(callee: String, counters: PolicyCounters)] {
        executors.withLock { $0.map { ($0.key, $0.value.counters) } }.sorted { $0.0 < $1.0 }
    }
}
