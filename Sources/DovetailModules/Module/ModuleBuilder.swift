import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSagas

/// Says what a module consists of, in the closure of ``Module``.
public struct ModuleBuilder<Provided: Contract> {
    let module: String
    let contract: Provided
    let environment: ModuleEnvironment
    var parts: ModuleParts

    init(module: String, contract: Provided, environment: ModuleEnvironment) {
        self.module = module
        self.contract = contract
        self.environment = environment
        parts = ModuleParts(contracts: [contract])
    }

    /// A client of another module's contract, wherever that module runs.
    public mutating func client<Called: Contract>(_ contract: Called) -> Client<Called> {
        parts.calls.append(contract)
        return Client(contract, callee: environment.callee(contract), caller: module)
    }

    /// Answers an endpoint.
    ///
    /// The handler throws a ``Problem`` that the contract declares, or lets errors of its calls through; anything else becomes `500` with a correlation id and no
    /// internals. It is cancelled at the caller's deadline.
    public mutating func handle<Input, Output>(
        _ endpoint: KeyPath<Provided, Endpoint<Input, Output>>,
        _ handler: @escaping @Sendable (Input, HandlerContext) async throws -> Output
    ) {
        add(contract[keyPath: endpoint], of: contract, handler)
    }

    /// Answers an endpoint of a further contract: another major version, provided beside the first.
    public mutating func handle<Other: Contract, Input, Output>(
        _ other: Other, _ endpoint: KeyPath<Other, Endpoint<Input, Output>>,
        _ handler: @escaping @Sendable (Input, HandlerContext) async throws -> Output
    ) {
        if !parts.contracts.contains(where: { $0.identity == other.identity }) { parts.contracts.append(other) }
        add(other[keyPath: endpoint], of: other, handler)
    }

    /// Says that the module decides on an aggregate, so that `events check-stored` looks whether it can still read what is in its streams. Commands do without it.
    public mutating func decides<State>(on aggregate: Aggregate<State>) {
        parts.aggregates.append(aggregate.eventReaders)
    }

    /// Keeps a read model.
    public mutating func project(_ projection: Projection) {
        requireNew(projection)
        parts.projections.append(projection)
    }

    /// Keeps a read model that changes in the transaction of an aggregate's events, for what has to be so when a command is answered, or must not come about at all, as a name that two have.
    ///
    /// It lies beside the log, as ``tables(_:)`` do, and is read by ``HandlerContext/snapshot(_:)``. What its functions throw refuses the command. It may listen to no events but the aggregate's, and
    /// each command waits for it, so others are kept by ``project(_:)``. One whose version is new is made afresh from the log before the module answers.
    public mutating func project<State>(_ projection: Projection, with aggregate: Aggregate<State>) {
        let known = Set(aggregate.events.map(\.name))
        for topic in projection.allTypes.subtracting(known).sorted() {
            preconditionFailure(
                "'\(projection.name)' changes with the events of '\(aggregate.category)', which does not know '\(topic)'"
            )
        }
        requireNew(projection)
        parts.inlineProjections.append((projection, aggregate.category))
    }

    private func requireNew(_ projection: Projection) {
        let all = parts.projections + parts.inlineProjections.map(\.projection)
        precondition(
            !all.contains { $0.name == projection.name }, "\(module) keeps two read models called '\(projection.name)'")
    }

    /// Runs a saga, and those that it has as children.
    public mutating func run<State>(_ saga: Saga<State>) {
        for saga in [saga] + saga.children where !parts.sagas.contains(where: { $0.name == saga.name }) {
            parts.sagas.append(saga)
        }
    }

    /// Keeps tables beside the log, for what has to change together with an event: each statement is executed once, in order. Steps are only ever added.
    public mutating func tables(_ steps: SQL...) {
        parts.tables += steps
    }

    private mutating func add<Input, Output>(
        _ endpoint: Endpoint<Input, Output>, of contract: any Contract,
        _ handler: @escaping @Sendable (Input, HandlerContext) async throws -> Output
    ) {
        let key = endpoint.key
        guard let description = contract.endpoints.first(where: { $0.key == key }) else {
            preconditionFailure(
                "\(module) handles '\(key)', which is not a stored property of the contract \(contract.identity)")
        }
        parts.handlers.append(HandlerEntry(endpoint, description, handler))
    }
}
