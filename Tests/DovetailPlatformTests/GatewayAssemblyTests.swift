import DovetailModules
import Foundation
import Testing

@testable import DovetailGateway
@testable import DovetailPlatform

/// What the data plane is told of a file.
@Suite struct GatewayAssemblyTests {
    private func compile(_ routes: String, _ upstreams: String) throws -> GatewayConfiguration {
        let text = """
            version: 1
            platform: edge
            nodes: { main: { store: { engine: memory } } }
            gateway: { node: main, listen: 127.0.0.1:8080, routes: [\(routes)] }
            upstreams: { \(upstreams) }
            """
        let plan = try RoutePlan(parse(text), catalog: ModuleCatalog([]), folder: ".")
        return try #require(plan.compiled)
    }

    @Test func theExampleOfABusyGatewayStands() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Examples/Gateway/traffic.yaml")
        let plan = try RoutePlan(
            parse(String(contentsOf: file, encoding: .utf8)), catalog: ModuleCatalog([]), folder: ".")
        let routes = try #require(plan.compiled?.routes)
        #expect(routes.first { $0.path.description == "/reports/**" }?.maximumInFlight?.maximum == 10)
        #expect(routes.contains { $0.mirror?.upstream == "catalog-next" })
        #expect(routes.count { $0.path.description == "/orders/**" } == 3)
    }

    @Test func aRouteWaitsAsLongAsItSays() throws {
        let routes = ["", ", timeout: 3s", ", timeout: none"].enumerated().map { index, timeout in
            "{ path: /\(index), authentication: none, upstream: u\(timeout) }"
        }
        let compiled = try compile(routes.joined(separator: ", "), "u: { servers: [http://127.0.0.1:1] }")
        #expect(compiled.routes.map(\.timeout) == [.seconds(15), .seconds(3), nil])
    }

    @Test func anUpstreamIsSpokenToAsItSays() throws {
        for (words, spoken) in [("", Upstream.Transport.http1), (", protocol: http2", .http2)] {
            let compiled = try compile("", "u: { servers: [http://127.0.0.1:1]\(words) }")
            #expect(compiled.upstreams.map(\.protocol) == [spoken])
        }
    }
}
