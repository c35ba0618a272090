import DovetailCore
import DovetailGateway
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle

/// A gateway on a free port, for the time of a test.
struct RunningGateway: Sendable {
    let gateway: Gateway
    let port: Int
    let group: ServiceGroup
    let finished: Recorded<RequestRecord>

    func client() async throws -> RawClient { try await RawClient(port: port) }

    /// One request on a connection of its own.
    func send(_ text: String) async throws -> ReceivedResponse? {
        let client = try await client()
        try await client.send(text)
        let response = await client.response(toHead: text.hasPrefix("HEAD"))
        await client.close()
        return response
    }

    func get(_ path: String, fields: [String] = []) async throws -> ReceivedResponse? {
        let lines = fields.map { $0 + "\r\n" }.joined()
        return try await send("GET \(path) HTTP/1.1\r\nHost: gateway.test\r\n\(lines)\r\n")
    }
}

/// Runs a gateway by `configuration` around `body`, and shuts it down.
func withGateway(
    _ configuration: GatewayConfiguration, loops: Int = 1, rateLimits: (any RateLimitStore)? = nil,
    _ body: (RunningGateway) async throws -> Void
) async throws {
    let finished = Recorded<RequestRecord>()
    var logger = Logger(label: "test")
    logger.logLevel = .error
    let gateway = try Gateway(
        configuration, eventLoops: loops, logger: logger, onRequestFinished: { finished.append($0) },
        rateLimits: rateLimits)
    let group = ServiceGroup(configuration: .init(services: [.init(service: gateway)], logger: logger))
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        do {
            let port = try await gateway.boundPort
            try await body(RunningGateway(gateway: gateway, port: port, group: group, finished: finished))
        } catch {
            await group.triggerGracefulShutdown()
            throw error
        }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
    }
}

/// A configuration of one upstream `u` with the given routes.
func configuration(
    _ backend: Backend, routes: [Route], upstream change: (inout Upstream) -> Void = { _ in }
) -> GatewayConfiguration {
    var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: backend.port)])
    change(&upstream)
    return GatewayConfiguration(
        listen: .init(port: 0), routes: routes, upstreams: [upstream], timeouts: .init(drain: .seconds(10)))
}

/// A configuration of one upstream `u` that speaks HTTP/2 in clear text, and a route to it for all paths.
func http2(
    _ port: Int, change: (inout Upstream) -> Void = { _ in }
) throws -> GatewayConfiguration {
    var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: port)])
    upstream.protocol = .http2
    change(&upstream)
    return GatewayConfiguration(
        listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream],
        timeouts: .init(drain: .seconds(5)))
}

/// A gate that is closed until somebody opens it.
final class Gate: Sendable {
    private let opened = Recorded<Void>()

    func open() { opened.append(()) }
    func wait() async { await opened.wait(for: 1) }
}
