import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailHTTP
import DovetailModules
import HTTPTypes

/// The operator's door of a node. A Unix socket's file mode is its authentication; on TCP a token is asked for.
struct AdminDoor: RawHandler {
    private let node: Node
    private let table: EndpointTable
    /// Whether it is asked by the process that it is in, which needs no token.
    private let isDirect: Bool

    init(node: Node, isDirect: Bool = false) throws {
        self.node = node
        self.isDirect = isDirect
        let module = Module.admin(of: node)
        let runtime = ModuleRuntime(
            module: module.name, parts: module.assemble(in: ModuleEnvironment { UnreachableCallee(name: $0.name) }),
            log: node.store.log, views: node.store.log, commands: CommandExecutor(log: node.store.log))
        table = try EndpointTable([runtime], vault: node.store.keys)
    }

    func respond(to request: RawRequest) async -> RawResponse {
        if case .tcp = node.adminAddress, !isDirect {
            let token = node.configuration.admin.token?.revealed
            guard let token, request.headers[.authorization] == "Bearer \(token)" else {
                var refused = RawResponse.problem(
                    Problem("unauthenticated", status: 401)("the admin door asks for its token"))
                refused.headers[.wwwAuthenticate] = "Bearer"
                return refused
            }
        }
        switch request.path {
        case node.configuration.telemetry.prometheus.path: return await node.metrics()
        case "/openapi.json": return node.openAPI()
        case Health.live, Health.ready: return node.health(request.path)
        default: return await table.respond(to: request)
        }
    }
}

/// The listener for other nodes: the modules' endpoints, and what describes them.
struct NodeDoor: RawHandler {
    let node: Node

    func respond(to request: RawRequest) async -> RawResponse {
        switch request.path {
        case Health.live, Health.ready: return node.health(request.path)
        case "/openapi.json": return node.openAPI()
        default: return await node.table.respond(to: request)
        }
    }
}

/// Metrics and health on an address of their own.
struct MetricsDoor: RawHandler {
    let node: Node

    func respond(to request: RawRequest) async -> RawResponse {
        switch request.path {
        case node.configuration.telemetry.prometheus.path: return await node.metrics()
        case Health.live, Health.ready: return node.health(request.path)
        default: return .problem(Problem("not-found", status: 404))
        }
    }
}

extension Node {
    /// The OpenAPI document of the node's modules.
    func openAPI() -> RawResponse {
        do {
            let document = try OpenAPI.document(
                for: runtimes.flatMap(\.parts.contracts), title: configuration.platform)
            return RawResponse(
                status: .ok, headers: [.contentType: "application/json"], body: .bytes(try JSON.encode(document)))
        } catch {
            return .problem(Problem("undescribed", status: 500)("\(error)"))
        }
    }
}
