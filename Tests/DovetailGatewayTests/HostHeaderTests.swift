import NIOHPACK
import NIOHTTP2
import Testing

@testable import DovetailGateway

@Suite(.timeLimit(.minutes(1)))
struct HostHeaderTests {
    @Test(arguments: [Upstream.HostHeader.client, .server, .fixed("api.internal:8443")])
    func serversAreToldTheHostThatTheConfigurationSays(_ header: Upstream.HostHeader) async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let expected =
            switch header {
            case .client: "gateway.test"
            case .server: "127.0.0.1:\(backend.port)"
            case .fixed(let host): host
            }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")]) { $0.hostHeader = header }) {
            gateway in
            let answer = try await gateway.get("/x")
            #expect(answer?.status == 200)
            let seen = try #require(backend.requests.all.first)
            #expect(seen.values("host") == [expected])
            #expect(seen.values("x-forwarded-host") == ["gateway.test"])
        }
        await backend.stop()
    }

    @Test func theAuthorityOfHTTP2IsTheSame() async throws {
        let backend = try await HTTP2Backend { _ in
            [.headers(.init(headers: HPACKHeaders([(":status", "204")]), endStream: true))]
        }
        try await withGateway(try http2(backend.port) { $0.hostHeader = .fixed("api.internal") }) { gateway in
            let answer = try await gateway.get("/x")
            #expect(answer?.status == 204)
            let seen = try #require(backend.requests.all.first)
            #expect(seen.first(name: ":authority") == "api.internal")
            #expect(seen.first(name: "x-forwarded-host") == "gateway.test")
            #expect(!seen.contains(name: "host"))
        }
        await backend.stop()
    }

    /// A probe asks as requests do.
    @Test func healthIsAskedForUnderTheSameName() async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let settings = configuration(backend, routes: [try route("all", "/**")]) {
            $0.hostHeader = .fixed("api.internal")
            $0.healthCheck = .init(path: "/health", interval: .milliseconds(50))
        }
        try await withGateway(settings) { _ in
            await backend.requests.wait(for: 1)
            #expect(backend.requests.all.first?.values("host") == ["api.internal"])
        }
        await backend.stop()
    }

    @Test func thePortThatTheSchemeImpliesIsLeftOut() {
        var upstream = Upstream(
            name: "u", servers: [.init(host: "api.internal", port: 443), .init(host: "::1", port: 80)])
        upstream.hostHeader = .server
        #expect(upstream.servers.map(upstream.host) == ["api.internal:443", "[::1]"])
        upstream.tls = UpstreamTLS()
        #expect(upstream.servers.map(upstream.host) == ["api.internal", "[::1]:80"])
    }

    @Test func aHostThatIsNoneIsRefused() throws {
        for host in ["", "a b", "a/b", "a:b"] {
            var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: 1)])
            upstream.hostHeader = .fixed(host)
            let configuration = GatewayConfiguration(listen: .init(port: 0), routes: [], upstreams: [upstream])
            #expect(throws: GatewayConfigurationError.self, "\(host)") { try configuration.validate() }
        }
    }
}
