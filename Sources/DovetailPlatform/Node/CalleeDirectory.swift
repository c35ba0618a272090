import DovetailContracts
import DovetailCore
import DovetailHTTP
import DovetailModules
import DovetailResilience
import Synchronization

/// Finds the callee of a contract: beside the caller, or on another node.
final class CalleeDirectory: Sendable {
    private let configuration: PlatformConfiguration
    private let node: String
    private let catalog: ModuleCatalog
    private let table: Late<EndpointTable>
    private let policies: CallPolicies
    private let throughCodec: Bool
    private let opened = Mutex<[String: HTTPTransport]>([:])

    init(
        configuration: PlatformConfiguration, node: String, catalog: ModuleCatalog, table: Late<EndpointTable>,
        policies: CallPolicies, throughCodec: Bool
    ) {
        self.configuration = configuration
        self.node = node
        self.catalog = catalog
        self.table = table
        self.policies = policies
        self.throughCodec = throughCodec
    }

    /// The connections to other nodes.
    var transports: [HTTPTransport] { opened.withLock { Array($0.values) } }

    func callee(for contract: any Contract) -> any Callee {
        guard let module = catalog.provider(of: contract.identity),
            let home = configuration.nodes.first(where: { $0.modules.contains(module) })
        else { return UnreachableCallee(name: contract.identity) }
        let executor = policies.executor(for: module)
        if home.name == node {
            let table = table
            return LocalCallee(name: module, table: { table.value }, policies: executor, throughCodec: throughCodec)
        }
        return remote(home, name: module, executor)
    }

    /// A client of what another node has for its fellows; who calls does the retrying.
    func feed(of other: PlatformConfiguration.Node) -> Client<FeedAPI> {
        let executor = PolicyExecutor(callee: other.name, policy: .unguarded)
        return Client(FeedAPI(), callee: remote(other, name: other.name, executor), caller: node)
    }

    private func remote(
        _ home: PlatformConfiguration.Node, name: String, _ executor: PolicyExecutor
    ) -> any Callee {
        guard let address = home.address else { return UnreachableCallee(name: name) }
        let transport = opened.withLock { opened in
            if let known = opened[home.name] { return known }
            let transport = HTTPTransport(to: address, callee: home.name)
            opened[home.name] = transport
            return transport
        }
        return RemoteCallee(
            name: name, transport: transport, policies: executor,
            nodeToken: configuration.security.nodeToken?.revealed)
    }
}

extension PlatformConfiguration.Node {
    /// Where other nodes reach this one; nil if they cannot.
    var address: HTTPAddress? {
        url.map { .tcp(host: $0.host, port: $0.port) } ?? listen?.httpAddress
    }
}
