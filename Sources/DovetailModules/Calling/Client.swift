import DovetailContracts
import DovetailCore

/// Calls a contract's endpoints by their names, with typed input and answer.
///
///     let receipt = try await payments.charge(.init(orderID: id, cents: 1250))
///
/// Deadline, principal, correlation and trace come from the task's ``CallContext``. A call throws the ``Problem`` that the callee answered, or ``CallError`` if no answer came; retries,
/// breaker and time-outs are those of the platform's policy for the callee. A call is sent again only where the contract says that it may be.
@dynamicMemberLookup
public struct Client<Called: Contract>: Sendable {
    private let contract: Called
    private let callee: any Callee
    private let caller: String

    package init(_ contract: Called, callee: any Callee, caller: String) {
        self.contract = contract
        self.callee = callee
        self.caller = caller
    }

    /// The endpoint as a function.
    public subscript<Input, Output>(
        dynamicMember endpoint: KeyPath<Called, Endpoint<Input, Output>>
    ) -> @Sendable (Input) async throws -> Output {
        let contract = contract
        let callee = callee
        let endpoint = contract[keyPath: endpoint]
        let key = endpoint.key
        let description = contract.endpoints.first { $0.key == key }
        return { input in
            guard let description else {
                preconditionFailure("'\(key)' is not a stored property of the contract \(contract.identity)")
            }
            var context = CallContext.current ?? CallContext()
            // One caller's key may cover several calls: each gets its own, the same each time the caller does the same.
            if let key = context.idempotencyKey {
                let form = try InputFingerprint.canonical(input)
                context.idempotencyKey =
                    UniqueID.derived(from: "call", key, contract.identity, description.key, form).description
            }
            context.after = nil
            return try await callee.call(endpoint, description, input, context: context)
        }
    }
}
