import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSagas

/// A part of a platform: what it provides, what it keeps, what it reacts to.
///
/// A module knows others by their contracts only. Where it runs, beside the others or on a node of its own, is the platform's business: the same value serves
/// both.
///
///     let orders = Module("orders", provides: OrdersAPI()) { orders in
///         orders.handle(\.place) { input, context in … }
///     }
public struct Module: Sendable {
    /// The module's name, as `platform.yaml` places it.
    public let name: String
    private let assembly: @Sendable (ModuleEnvironment) -> ModuleParts

    /// A module that provides `contract`; `build` says how. It is run once for each node that starts the module.
    public init<Provided: Contract>(
        _ name: String, provides contract: Provided,
        _ build: @escaping @Sendable (inout ModuleBuilder<Provided>) -> Void
    ) {
        self.name = name
        assembly = { environment in
            var builder = ModuleBuilder(module: name, contract: contract, environment: environment)
            build(&builder)
            return builder.parts
        }
    }

    /// The module's parts, with clients that call through `environment`.
    package func assemble(in environment: ModuleEnvironment) -> ModuleParts {
        assembly(environment)
    }

    /// The module's parts, to look at: its clients lead nowhere.
    public var parts: ModuleParts { assembly(ModuleEnvironment { UnreachableCallee(name: $0.name) }) }
}

/// How a module's clients find their callees.
package struct ModuleEnvironment: Sendable {
    package let callee: @Sendable (any Contract) -> any Callee

    package init(callee: @escaping @Sendable (any Contract) -> any Callee) {
        self.callee = callee
    }
}

/// What a module consists of.
public struct ModuleParts: Sendable {
    /// The contracts it provides.
    public internal(set) var contracts: [any Contract]
    /// The contracts it calls.
    public internal(set) var calls: [any Contract] = []
    /// Its endpoints and what answers them.
    package internal(set) var handlers: [HandlerEntry] = []
    /// Its read models.
    public internal(set) var projections: [Projection] = []
    /// Its read models that change in the transaction of an aggregate's events, with the aggregates' categories.
    package internal(set) var inlineProjections: [(projection: Projection, category: String)] = []
    /// Its subscriptions.
    public internal(set) var subscriptions: [ModuleSubscription] = []
    /// Its sagas.
    public internal(set) var sagas: [any AnySaga] = []
    /// What reads the streams of the aggregates that it decides on.
    package internal(set) var aggregates: [EventReaders] = []
    /// Its tables beside the log.
    public internal(set) var tables: [SQL] = []
    /// The endpoints its contracts declare and nothing handles.
    public var unhandled: [EndpointDescription] {
        let handled = Set(handlers.map { "\($0.endpoint.contract.version) \($0.endpoint.key)" })
        return contracts.flatMap(\.endpoints).filter { !handled.contains("\($0.contract.version) \($0.key)") }
    }
}
