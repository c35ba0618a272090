import ArgumentParser
import DovetailContracts
import DovetailGateway
import DovetailModules
import Foundation

/// The gateway's routes as the configuration and the contracts make them, without a node.
struct RoutePlan {
    let compiled: GatewayConfiguration?
    private let gateway: Gateway?
    private let routes: [Route]

    init(_ modules: [Module], _ options: ConfigurationOptions) throws {
        let catalog = ModuleCatalog(modules)
        let configuration = try options.load(catalog)
        do {
            try self.init(configuration, catalog: catalog, folder: options.folder)
        } catch {
            complain("\(error)")
            throw ExitCode(Exit.configuration)
        }
    }

    init(_ configuration: PlatformConfiguration, catalog: ModuleCatalog, folder: String) throws {
        guard let section = configuration.gateway else {
            (compiled, gateway, routes) = (nil, nil, [])
            return
        }
        let compiled = try GatewayAssembly(
            configuration: configuration, gateway: section, catalog: catalog, node: section.node,
            table: try EndpointTable([]), folder: folder, recorder: nil
        ).compile()
        self.compiled = compiled
        routes = compiled.routes
        gateway = try Gateway(compiled)
    }

    /// A line for each route.
    var lines: [String] {
        guard !routes.isEmpty else { return ["nothing can be reached from outside: no gateway, or no routes"] }
        let rows = routes.map { route in
            [
                route.methods.map(\.rawValue).sorted().joined(separator: ","),
                (route.host ?? "") + route.path.description
                    + (route.conditions.isEmpty
                        ? "" : " if \(route.conditions.map(\.description).joined(separator: " and "))"),
                route.id, access(route),
            ]
        }
        let widths = (0..<3).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index < 3 ? cell.padding(toLength: widths[index], withPad: " ", startingAt: 0) : cell
            }.joined(separator: "  ")
        }
    }

    private func access(_ route: Route) -> String {
        switch route.authentication {
        case .none: "open to all"
        case .named(let name):
            name + (route.scopes.isEmpty ? "" : " with \(route.scopes.sorted().joined(separator: " "))")
        }
    }

    /// Says where a request such as `GET /api/orders/7` goes.
    func explain(_ request: String, headers: [(String, String)] = []) throws -> [String] {
        let words = request.split(separator: " ")
        guard words.count == 2, let gateway else {
            throw ValidationError("a request is a method and a path, as 'GET /api/orders/7'")
        }
        let host = headers.first { $0.0.lowercased() == "host" }?.1
        let explanation = gateway.explain(
            method: String(words[0]), path: String(words[1]), host: host, headers: headers)
        return explanation.description.split(separator: "\n").map(String.init)
    }
}
