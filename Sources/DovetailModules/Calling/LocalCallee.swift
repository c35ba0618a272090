import DovetailContracts
import DovetailCore
import DovetailResilience
import Tracing

/// A module on the same node: a direct call, under the same policy, deadline and trace as one over the network.
///
/// With `throughCodec` the input and the answer are encoded and decoded as on the network, so that nothing works only in process.
package struct LocalCallee: Callee {
    package let name: String
    private let table: @Sendable () -> EndpointTable?
    private let policies: PolicyExecutor
    private let throughCodec: Bool

    package init(
        name: String, table: @escaping @Sendable () -> EndpointTable?, policies: PolicyExecutor, throughCodec: Bool
    ) {
        self.name = name
        self.table = table
        self.policies = policies
        self.throughCodec = throughCodec
    }

    package func call<Input: Wire, Output: Sendable>(
        _ endpoint: Endpoint<Input, Output>, _ description: EndpointDescription, _ input: Input, context: CallContext
    ) async throws -> Output {
        guard let served = table()?.entry(for: description) else {
            throw CallError(
                .unreachable, callee: name, message: "this node does not serve \(description.key)", wasSent: false)
        }
        return try await policies.run(
            safety: description.safety(context), deadline: description.deadline(context)
        ) { attempt in
            try await withSpan(
                "\(description.contract.name).\(description.name)", context: context.trace, ofKind: .server
            ) { span in
                span.attributes["rpc.system"] = "dovetail"
                span.attributes["dovetail.attempt"] = attempt.number
                var call = context.limited(to: attempt.deadline)
                call.trace = span.context
                let handler = HandlerContext(call: call, runtime: served.runtime, endpoint: description) {
                    (try? JSON.encode(input, personal: .plain)).flatMap { InputFingerprint.of($0, []) }
                }
                if throughCodec {
                    let body = try await CallContext.$current.withValue(call) {
                        try await served.entry.bytes(try JSON.encode(input, personal: .plain), [], handler)
                    }
                    return try await endpoint.answer.decode(body)
                }
                let answer = try await CallContext.$current.withValue(call) {
                    try await served.entry.value(input, handler)
                }
                guard let answer = answer as? Output else {
                    throw CallError(
                        .invalidAnswer, callee: name,
                        message: "'\(description.key)' returns \(Output.self), and answered \(type(of: answer))",
                        wasSent: true)
                }
                return answer
            }
        }
    }
}

extension EndpointDescription {
    /// What a call may be sent again for.
    func safety(_ context: CallContext) -> RetrySafety {
        isRetriable(hasKey: context.idempotencyKey != nil) ? .always : .onlyIfNotSent
    }

    /// The nearer of the caller's deadline and the endpoint's own time.
    func deadline(_ context: CallContext) -> MonotonicTime? {
        context.limited(to: timeout.map { .now + $0 }).deadline
    }
}
