import DovetailContracts
import DovetailCore
import DovetailResilience
import Tracing

/// A module on the same node: a direct call, under the same policy, deadline and trace as one over the network, and ending alike: a handler's error that is no
/// ``Problem`` comes as the one that a caller elsewhere would get.
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
                    let sent = try JSON.encode(input, personal: .plain)
                    let body = try await answering(description, call) {
                        try await served.entry.bytes(sent, [], handler)
                    }
                    return try await endpoint.answer.decode(body)
                }
                let answer = try await answering(description, call) { try await served.entry.value(input, handler) }
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

    /// Runs the handler; what it throws is to the caller what it would be over the network.
    private func answering<Value>(
        _ description: EndpointDescription, _ call: CallContext, _ handler: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await CallContext.$current.withValue(call) { try await handler() }
        } catch let error as CancellationError where Task.isCancelled {
            throw error
        } catch let problem as Problem {
            throw problem
        } catch {
            var problem = Problem.answering(
                error, of: "\(description.contract.name).\(description.name)", call)
            problem.instance = call.correlationID
            problem.contract = "\(description.contract.name)@\(description.contract.version)"
            throw problem
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
