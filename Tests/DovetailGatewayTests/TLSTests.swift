import DovetailCore
import Foundation
import Testing

@testable import DovetailGateway

/// TLS and HTTP/2 as curl speaks them.
@Suite(.timeLimit(.minutes(1)), .serialized) struct TLSTests {
    private let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func echo() async throws -> Backend {
        try await Backend { request in
            let body =
                "\(request.line)\n\(request.values("x-forwarded-proto"))\n\(request.values("cookie"))\n\(request.body.count)"
            return [.send("HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")]
        }
    }

    private func secured(_ backend: Backend, _ names: [[String]]) throws -> GatewayConfiguration {
        var configuration = configuration(backend, routes: [try route("all", "/**")])
        configuration.tls = ListenerTLS(
            certificates: try names.enumerated().map { index, names in
                let (chain, key) = try certificates.issue("server-\(index)", for: names)
                return .init(chain: chain, key: key)
            })
        return configuration
    }

    private func ask(
        _ gateway: RunningGateway, _ host: String, _ path: String = "/x", _ options: [String] = []
    ) async throws -> (output: String, status: Int32) {
        try await curl(
            ["--cacert", certificates.authority, "--resolve", "\(host):\(gateway.port):127.0.0.1"] + options
                + ["https://\(host):\(gateway.port)\(path)"])
    }

    @Test func eachNameGetsItsCertificateAndEachClientItsProtocol() async throws {
        let backend = try await echo()
        let configuration = try secured(backend, [["a.test"], ["b.test", "*.c.test"]])
        try await withGateway(configuration) { gateway in
            for host in ["a.test", "b.test", "deep.c.test"] {
                for version in ["--http1.1", "--http2"] {
                    let answer = try await ask(
                        gateway, host, "/x", [version, "--write-out", "\n%{http_version} %{ssl_verify_result}"])
                    #expect(
                        answer.output
                            == "GET /x HTTP/1.1\n[\"https\"]\n[]\n0\n\(version == "--http2" ? "2" : "1.1") 0",
                        "\(host) \(version)")
                }
            }
            // Nobody's name: the first certificate, which curl does not believe.
            #expect(try await ask(gateway, "other.test").status == 60)
            #expect(try await ask(gateway, "too.deep.c.test").status == 60)
        }
        await backend.stop()
    }

    @Test func bodiesAndManyStreamsGoThroughHTTP2() async throws {
        let backend = try await echo()
        let large = try await Backend { _ in
            let piece = String(repeating: "x", count: 65_536)
            return [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
                + (0..<64).map { _ in .send("10000\r\n\(piece)\r\n") } + [.send("0\r\n\r\n")]
        }
        var configuration = try secured(backend, [["a.test"]])
        var all = try route("large", "/large")
        all.destination = .http("large")
        configuration.routes.append(all)
        configuration.routes[0].maximumBodyBytes = 10_000_000
        configuration.upstreams.append(Upstream(name: "large", servers: [.init(host: "127.0.0.1", port: large.port)]))
        try await withGateway(configuration) { gateway in
            let file = certificates.folder + "/body"
            try Data(repeating: 7, count: 3_000_000).write(to: URL(fileURLWithPath: file))
            let declared = try await ask(gateway, "a.test", "/up", ["--http2", "--data-binary", "@\(file)"])
            #expect(declared.output.hasSuffix("\n3000000"), "\(declared.output)")
            let streamed = try await ask(
                gateway, "a.test", "/up", ["--http2", "-H", "content-length:", "-T", file, "-X", "POST"])
            #expect(streamed.output.hasSuffix("\n3000000"), "\(streamed.output)")
            let answer = try await ask(
                gateway, "a.test", "/large", ["--http2", "--output", "/dev/null", "--write-out", "%{size_download}"])
            #expect(answer.output == "\(64 * 65_536)")
            let cookies = try await ask(
                gateway, "a.test", "/x", ["--http2", "-H", "cookie: a=1", "-H", "cookie: b=2"])
            #expect(cookies.output.contains("[\"a=1; b=2\"]"), "\(cookies.output)")
            let head = try await ask(gateway, "a.test", "/x", ["--http2", "--head"])
            #expect(head.output.contains("HTTP/2 200") && head.output.contains("x-own: 1"))
            let missing = try await ask(
                gateway, "a.test", "/x", ["--http2", "-X", "TRACE", "--write-out", "%{http_code}"])
            #expect(missing.output.hasSuffix("501"), "\(missing.output)")
            // Thirty streams of one connection.
            let parallel = try await ask(
                gateway, "a.test", "/p[1-30]",
                ["--http2", "--parallel", "--parallel-max", "30", "--write-out", "%{http_code}-%{http_version}\n"])
            #expect(parallel.output.components(separatedBy: "200-2\n").count == 31, "\(parallel.output)")
        }
        await backend.stop()
        await large.stop()
    }

    @Test func http2InClearTextByPriorKnowledge() async throws {
        let backend = try await echo()
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let answer = try await curl([
                "--http2-prior-knowledge", "--write-out", "\n%{http_version}", "http://127.0.0.1:\(gateway.port)/x",
            ])
            #expect(answer.output == "GET /x HTTP/1.1\n[\"http\"]\n[]\n0\n2")
        }
        await backend.stop()
    }

    @Test(arguments: ["--http1.1", "--http2"])
    func aNameInTheCertificateIsThePrincipal(_ version: String) async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        var configuration = try secured(backend, [["a.test"]])
        configuration.tls?.clientAuthorities = certificates.authority
        configuration.tls?.isClientCertificateOptional = true
        configuration.routes.append(
            Route(
                id: "partners", path: try PathPattern("/partners"), authentication: .named("certificates"),
                scopes: ["read"], destination: .http("u")))
        configuration.authenticators["certificates"] = .certificates([
            .init(subject: "acme", certificateName: "client.acme.test", scopes: ["read"])
        ])
        let known = try certificates.issue("known", for: ["other.test", "client.acme.test"])
        let unknown = try certificates.issue("unknown", for: ["client.other.test"])
        try await withGateway(configuration) { gateway in
            func status(_ path: String, _ certificate: (chain: String, key: String)?) async throws -> String {
                let identity = certificate.map { ["--cert", $0.chain, "--key", $0.key] } ?? []
                return try await ask(
                    gateway, "a.test", path, [version, "-o", "/dev/null", "-w", "%{http_code}"] + identity
                )
                .output
            }
            let statuses = [
                try await status("/partners", known), try await status("/partners", unknown),
                try await status("/partners", nil), try await status("/x", nil),
            ]
            #expect(statuses == ["200", "401", "401", "200"])
            await gateway.finished.wait(for: 4)
            #expect(gateway.finished.all.compactMap(\.principal) == ["acme"])
        }
        await backend.stop()
    }

    @Test func withoutAClientCertificateOfTheAuthorityNobodyIsLetIn() async throws {
        let backend = try await echo()
        var configuration = try secured(backend, [["a.test"]])
        configuration.tls?.clientAuthorities = certificates.authority
        let (chain, key) = try certificates.issue("client", for: ["client"])
        let stranger = try TestCertificates()
        let (otherChain, otherKey) = try stranger.issue("client", for: ["client"])
        try await withGateway(configuration) { gateway in
            #expect(try await ask(gateway, "a.test").status != 0)
            #expect(try await ask(gateway, "a.test", "/x", ["--cert", otherChain, "--key", otherKey]).status != 0)
            let answer = try await ask(gateway, "a.test", "/x", ["--cert", chain, "--key", key])
            #expect(answer.output.hasPrefix("GET /x"), "\(answer.output)")
            #expect(backend.requests.all.count == 1)
        }
        await backend.stop()
    }

    @Test func certificatesAreReplacedWhileItRunsAndABadOneIsRefused() async throws {
        let backend = try await echo()
        var configuration = try secured(backend, [["a.test"]])
        try await withGateway(configuration) { gateway in
            #expect(try await ask(gateway, "a.test").status == 0)
            let (chain, key) = try certificates.issue("renewed", for: ["b.test"])
            let (_, otherKey) = try certificates.issue("other", for: ["b.test"])
            configuration.tls?.certificates = [.init(chain: chain, key: otherKey)]
            await #expect(throws: GatewayConfigurationError.self) { try await gateway.gateway.apply(configuration) }
            #expect(try await ask(gateway, "a.test").status == 0, "what ran goes on")
            configuration.tls?.certificates = [.init(chain: chain, key: key)]
            try await gateway.gateway.apply(configuration)
            #expect(try await ask(gateway, "b.test").status == 0)
            #expect(try await ask(gateway, "a.test").status == 60)
        }
        await backend.stop()
    }

    @Test func anUpstreamOverTLSIsHeldAgainstItsName() async throws {
        // The gateway itself is the server over TLS.
        let backend = try await echo()
        let inner = try secured(backend, [["inner.test"]])
        try await withGateway(inner) { inner in
            for (name, authority, status) in [
                ("inner.test", certificates.authority, 200), ("other.test", certificates.authority, 502),
                ("inner.test", nil, 502),
            ] {
                var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: inner.port)])
                upstream.tls = UpstreamTLS(serverName: name, authorities: authority)
                upstream.retry = nil
                let outer = GatewayConfiguration(
                    listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
                try await withGateway(outer) { outer in
                    let response = try await outer.get("/through")
                    #expect(response?.status == status, "\(name) \(response?.text ?? "")")
                    if status == 200 { #expect(response?.text.hasPrefix("GET /through") == true) }
                }
            }
        }
        await backend.stop()
    }

    /// Pools of an upstream over TLS come and go while their connections still say goodbye.
    @Test func anUpstreamOverTLSChangesWhileItIsUsed() async throws {
        let backend = try await echo()
        let inner = try secured(backend, [["inner.test"]])
        try await withGateway(inner) { inner in
            func outer(_ number: Int) throws -> GatewayConfiguration {
                var upstream = Upstream(name: "u", servers: [.init(host: "127.0.0.1", port: inner.port)])
                upstream.tls = UpstreamTLS(serverName: "inner.test", authorities: certificates.authority)
                upstream.poolSize = 10 + number
                upstream.healthCheck = .init(path: "/health", interval: .milliseconds(20), unhealthyAfter: 1)
                return GatewayConfiguration(
                    listen: .init(port: 0), routes: [try route("all", "/**")], upstreams: [upstream])
            }
            try await withGateway(try outer(0)) { gateway in
                for number in 1...20 {
                    #expect(try await gateway.get("/x")?.status == 200)
                    try await gateway.gateway.apply(try outer(number))
                }
                // Health checks speak TLS as well.
                while !backend.requests.all.contains(where: { $0.line.hasPrefix("GET /health") }) {
                    try await Task.sleep(for: .milliseconds(10))
                }
                #expect(try await gateway.get("/x")?.status == 200)
            }
        }
        await backend.stop()
    }

    @Test func authoritiesOfClientsChangeWithTheConfiguration() async throws {
        let backend = try await echo()
        var configuration = try secured(backend, [["a.test"]])
        try await withGateway(configuration) { gateway in
            #expect(try await ask(gateway, "a.test").status == 0)
            configuration.tls?.clientAuthorities = certificates.authority
            try await gateway.gateway.apply(configuration)
            #expect(try await ask(gateway, "a.test").status != 0, "from now on a certificate is asked for")
        }
        await backend.stop()
    }

    @Test func pathsThatGoUpAreRefusedOverHTTP2() async throws {
        let backend = try await echo()
        let configuration = try secured(backend, [["a.test"]])
        try await withGateway(configuration) { gateway in
            let path = try await ask(
                gateway, "a.test", "/a/../../b", ["--http2", "--path-as-is", "--write-out", "%{http_code}"])
            #expect(path.output.hasSuffix("400"), "\(path.output)")
        }
        await backend.stop()
    }
}
