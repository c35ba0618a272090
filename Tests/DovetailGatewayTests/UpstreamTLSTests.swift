import DovetailCore
import Foundation
import Testing

@testable import DovetailGateway

/// TLS towards upstreams, where both sides show a certificate. The server is a gateway itself.
@Suite(.timeLimit(.minutes(1)), .serialized) struct UpstreamTLSTests {
    private let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func inner(_ backend: Backend) throws -> GatewayConfiguration {
        var configuration = configuration(backend, routes: [try route("all", "/**")])
        let (chain, key) = try certificates.issue("server", for: ["inner.test"])
        configuration.tls = ListenerTLS(
            certificates: [.init(chain: chain, key: key)], clientAuthorities: certificates.authority)
        return configuration
    }

    private func outer(
        _ inner: RunningGateway, _ certificate: ListenerTLS.Certificate?, change: (inout Upstream) -> Void = { _ in }
    ) throws -> GatewayConfiguration {
        var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: inner.port)])
        upstream.tls = UpstreamTLS(
            serverName: "inner.test", authorities: certificates.authority, certificate: certificate)
        upstream.retry = nil
        upstream.circuitBreaker = nil
        change(&upstream)
        return GatewayConfiguration(listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
    }

    private func backend() async throws -> Backend {
        try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
    }

    @Test(arguments: [Upstream.Transport.http1, .http2])
    func aServerThatAsksForACertificateGetsTheGatewaysOwn(transport: Upstream.Transport) async throws {
        let backend = try await backend()
        let own = try certificates.issue("own", for: ["gateway"])
        let strange = try TestCertificates().issue("strange", for: ["gateway"])
        try await withGateway(try inner(backend)) { inner in
            for (certificate, status) in [
                (nil, 502), (ListenerTLS.Certificate(chain: own.chain, key: own.key), 200),
            ] {
                try await withGateway(try outer(inner, certificate) { $0.protocol = transport }) { gateway in
                    let answer = try await gateway.get("/")
                    #expect(answer?.status == status)
                }
            }
            // The file of the stranger is gone with its authority; it is no certificate at all.
            let gone = try outer(inner, .init(chain: strange.chain, key: strange.key))
            await #expect(throws: GatewayConfigurationError.self) { try await withGateway(gone) { _ in } }
        }
        await backend.stop()
    }

    @Test(arguments: [Upstream.Transport.http1, .http2])
    func aCertificateTowardsAnUpstreamIsReplacedUnderTheSamePath(transport: Upstream.Transport) async throws {
        let backend = try await backend()
        let stranger = try TestCertificates()
        let strange = try stranger.issue("strange", for: ["gateway"])
        let own = try certificates.issue("own", for: ["gateway"])
        let other = try certificates.issue("other", for: ["gateway"])
        let (chain, key) = (certificates.folder + "/live.pem", certificates.folder + "/live.key")
        func put(_ pair: (chain: String, key: String)) throws {
            for (from, to) in [(pair.chain, chain), (pair.key, key)] {
                try Data(contentsOf: URL(fileURLWithPath: from)).write(to: URL(fileURLWithPath: to))
            }
        }
        try put(strange)
        try await withGateway(try inner(backend)) { inner in
            let configuration = try outer(inner, .init(chain: chain, key: key)) {
                $0.protocol = transport
                $0.healthCheck = .init(path: "/probe", interval: .milliseconds(20), healthyAfter: 1)
            }
            try await withGateway(configuration) { gateway in
                #expect(try await gateway.get("/")?.status == 502)
                try put(own)
                #expect(try await gateway.get("/")?.status == 502, "until it is told")
                try await gateway.gateway.apply(configuration)
                #expect(try await gateway.get("/")?.status == 200)
                // Probes come in by the new one too.
                while !backend.requests.all.contains(where: { $0.line.hasPrefix("GET /probe") }) {
                    try await Task.sleep(for: .milliseconds(10))
                }
                try put((own.chain, other.key))
                do {
                    try await gateway.gateway.apply(configuration)
                    Issue.record("a key that is not the certificate's was taken")
                } catch {
                    #expect("\(error)".contains("upstream 'u'") && "\(error)".contains(chain))
                }
                #expect(try await gateway.get("/")?.status == 200, "the pair from before goes on")
                try put(own)
                let before = await gateway.gateway.metrics()
                try await gateway.gateway.apply(configuration)
                #expect(try await gateway.get("/")?.status == 200)
                #expect(before.upstreamErrors["u"] != nil)
            }
        }
        await backend.stop()
    }

    /// What did not change keeps its connections; breaker and budget go on when a certificate is renewed.
    @Test func whatTheFilesHoldDecidesAndNotThatTheyWereRead() async throws {
        let backend = try await backend()
        let own = try certificates.issue("own", for: ["gateway"])
        try await withGateway(try inner(backend)) { inner in
            let configuration = try outer(inner, .init(chain: own.chain, key: own.key))
            let one = try configuration.loadingTLS().upstreams[0]
            let same = try configuration.loadingTLS().upstreams[0]
            #expect(one.hasSameFiles(as: same))
            _ = try certificates.issue("own", for: ["gateway"])
            let renewed = try configuration.loadingTLS().upstreams[0]
            #expect(!one.hasSameFiles(as: renewed))
            #expect(one.isSame(as: renewed))
            let shared = SharedState(cacheBytes: 0, onRequestFinished: nil)
            #expect(shared.guards(for: one) === shared.guards(for: renewed))
        }
        await backend.stop()
    }
}
