import DovetailContracts
import DovetailCore
import HTTPTypes

/// The provider of a contract, as a typed client sees it: in the same process, or at the end of a connection.
package protocol Callee: Sendable {
    /// The module's name, or the contract's where the module is not known.
    var name: String { get }

    /// Carries out a call under the policies towards this callee.
    func call<Input: Wire, Output: Sendable>(
        _ endpoint: Endpoint<Input, Output>, _ description: EndpointDescription, _ input: Input, context: CallContext
    ) async throws -> Output
}

/// A callee that nobody provides.
package struct UnreachableCallee: Callee {
    package let name: String

    package init(name: String) { self.name = name }

    package func call<Input: Wire, Output: Sendable>(
        _ endpoint: Endpoint<Input, Output>, _ description: EndpointDescription, _ input: Input, context: CallContext
    ) async throws -> Output {
        throw CallError(.unreachable, callee: name, message: "no node provides \(name)", wasSent: false)
    }
}
