import DovetailCore
import DovetailGateway
import Foundation
import Logging

/// The gateway alone, for measuring: `gateway-bench --listen PORT --upstream PORT [--routes N] [--loops N]`.
@main
struct GatewayBench {
    static func main() async throws {
        let listen = option("--listen") ?? 9080
        let upstream = option("--upstream") ?? 9081
        var routes = [
            Route(
                id: "all", path: try PathPattern("/**"), authentication: .none, destination: .http("backend"))
        ]
        for number in 0..<(option("--routes") ?? 1) - 1 {
            routes.append(
                Route(
                    id: "route-\(number)", path: try PathPattern("/service\(number)/items/{id}"), authentication: .none,
                    destination: .http("backend")))
        }
        let gateway = try Gateway(
            GatewayConfiguration(
                listen: .init(port: listen), routes: routes,
                upstreams: [Upstream(name: "backend", servers: [.init(host: "127.0.0.1", port: upstream)])]),
            eventLoops: option("--loops") ?? 1)
        try await gateway.run()
    }

    private static func option(_ name: String) -> Int? {
        let arguments = CommandLine.arguments
        guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
        return Int(arguments[index + 1])
    }
}
