import DovetailContracts
import DovetailCore
import DovetailModules
import Foundation
import Synchronization

/// Stands in for the provider of a contract in a test: answers calls by functions, and notes them.
///
///     let inventory = StandIn(InventoryAPI())
///         .answering(\.reserve) { .init(orderID: $0.orderID) }
///     try await harness.add(placeOrder(inventory.client, payments.client))
///     …
///     #expect(inventory.calls.map(\.endpoint) == ["reserve"])
///
/// Inputs are encoded and decoded as on the network. No policy stands before it: what a function throws is what the caller gets, once. A call that no function was given
/// for ends in a ``CallError`` of code `unreachable`.
public final class StandIn<Provided: Contract>: Sendable {
    /// A call that came.
    public struct Call: Sendable, Hashable {
        /// The endpoint's name in the contract.
        public let endpoint: String
        /// The key under which it is known for once, if it has one.
        public let idempotencyKey: String?
        /// The input, as JSON.
        public let input: String
    }

    private typealias Answer = @Sendable (any Wire) async throws -> any Sendable

    private struct State {
        var answers: [String: Answer] = [:]
        var calls: [Call] = []
    }

    private let contract: Provided
    private let state = Mutex(State())

    /// A stand-in that answers nothing yet.
    public init(_ contract: Provided) { self.contract = contract }

    /// The same, which answers an endpoint so from now on.
    @discardableResult
    public func answering<Input: Wire, Output: Sendable>(
        _ endpoint: KeyPath<Provided, Endpoint<Input, Output>>,
        _ answer: @escaping @Sendable (Input) async throws -> Output
    ) -> StandIn {
        state.withLock { state in
            state.answers[contract[keyPath: endpoint].key] = { input in
                guard let input = input as? Input else { throw CancellationError() }
                return try await answer(input)
            }
        }
        return self
    }

    /// The client whose calls come here.
    public var client: Client<Provided> { Client(contract, callee: Callee(standIn: self), caller: "test") }

    /// The calls that came, in their order.
    public var calls: [Call] { state.withLock { $0.calls } }

    private struct Callee: DovetailModules.Callee {
        let standIn: StandIn
        var name: String { standIn.contract.name }

        func call<Input: Wire, Output: Sendable>(
            _ endpoint: Endpoint<Input, Output>, _ description: EndpointDescription, _ input: Input,
            context: CallContext
        ) async throws -> Output {
            let form = try JSON.encode(input, personal: .plain)
            let answer = standIn.state.withLock { state in
                state.calls.append(
                    Call(
                        endpoint: description.name, idempotencyKey: context.idempotencyKey,
                        input: String(decoding: form, as: UTF8.self)))
                return state.answers[endpoint.key]
            }
            let value = try await answer?(try JSON.decode(Input.self, from: form))
            guard let output = value as? Output else {
                throw CallError(
                    .unreachable, callee: name,
                    message: "the stand-in was not told how to answer '\(description.name)'; say it by `answering`",
                    wasSent: false)
            }
            return output
        }
    }
}
