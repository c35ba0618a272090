import Foundation
import Testing

/// `dovetail run` as a gateway that is operated: certificates are renewed, signals come, a balancer asks whether it is ready.
extension IntegrationTests {
    @Suite struct OperatedAtTheEdge {
        @Test(
            "A certificate that is renewed under its path is taken over, and a pair that does not fit is not",
            .timeLimit(.minutes(2)))
        func renewal() async throws {
            let edge = try await OperatedEdge()
            defer { edge.stop() }
            #expect(try await edge.ask("/old/x", "first").status == 301)
            #expect(try await edge.health("/health/live").status == 200)
            #expect(try await edge.health("/health/ready").status == 200)
            #expect(try await edge.health("/metrics").body.contains("dovetail_gateway_requests_total"))

            try await edge.issue("second")
            try edge.install("second", ".pem")
            try await edge.until("the pair that does not fit is refused") {
                edge.log.contains("the configuration was not reloaded") && edge.log.contains("edge.pem")
            }
            #expect(try await edge.ask("/old/x", "first").status == 301, "the pair from before goes on")
            try edge.install("second", ".key")
            try await edge.until("the new one is shown") { (try? await edge.ask("/old/x", "second"))?.status == 301 }
            #expect(edge.log.contains("a file with certificates or keys changed"))
            await #expect(throws: (any Error).self) { try await edge.ask("/old/x", "first") }

            #expect(!edge.log.contains("SIGHUP"))
            edge.send(SIGHUP)
            try await edge.until("it is told by a signal") { edge.log.contains("SIGHUP") }
            #expect(try await edge.ask("/old/x", "second").status == 301)
        }

        @Test("While requests end a gateway says that it is not ready, and is alive", .timeLimit(.minutes(2)))
        func draining() async throws {
            let edge = try await OperatedEdge()
            defer { edge.stop() }
            #expect(try await edge.health("/health/ready").status == 200)
            async let slow = edge.ask("/slow", "first")
            try await edge.until("the service has the request") { edge.exists("asked") }
            edge.send(SIGTERM)
            try await edge.until("it is not ready") { try await edge.health("/health/ready").status == 503 }
            #expect(try await edge.health("/health/ready").body.contains("draining"))
            #expect(try await edge.health("/health/live").status == 200)
            try edge.write("go", "")
            #expect(try await slow.status == 200)
            #expect(await edge.exitStatus() == 0)
        }
    }
}

/// A gateway with TLS, a service that answers when a file is there, and metrics on a listener of their own.
private final class OperatedEdge: Sendable {
    private let folder: TemporaryFolder
    private let port = Ports.next()
    private let metricsPort = Ports.next()
    private let servicePort = Ports.next()
    private let gateway: RunningProgram
    private let service: RunningProgram

    private static let slow = """
        import http.server, os, sys, time
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                open("asked", "w").close()
                while not os.path.exists("go"): time.sleep(0.02)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
        """

    var log: String { (try? String(contentsOfFile: "\(folder.path)/run.log", encoding: .utf8)) ?? "" }

    init() async throws {
        let folder = try TemporaryFolder()
        self.folder = folder
        let yaml = """
            version: 1
            platform: edge
            nodes: { main: { store: { engine: memory } } }
            gateway:
              node: main
              listen: 127.0.0.1:\(port)
              tls: { certificates: [{ chain: edge.pem, key: edge.key }] }
              routes:
                - { path: /old/**, authentication: none, redirect: { status: 301 }, rewrite: { stripPrefix: /old } }
                - { path: /slow, authentication: none, upstream: slow }
            upstreams: { slow: { servers: [http://127.0.0.1:\(servicePort)] } }
            telemetry: { accessLog: off, prometheus: { listen: 127.0.0.1:\(metricsPort) } }

            """
        for (name, text) in [("platform.yaml", yaml), ("slow.py", OperatedEdge.slow)] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/\(name)"))
        }
        try await OperatedEdge.issue("first", in: folder.path)
        for end in [".pem", ".key"] { try OperatedEdge.install("first", end, in: folder.path) }
        service = try RunningProgram(
            "python3", ["slow.py", "\(servicePort)"], in: folder.path, output: "\(folder.path)/slow.log",
            errors: "\(folder.path)/slow.log")
        gateway = try RunningProgram(
            Checkout.program("dovetail"), ["run"], in: folder.path, output: "\(folder.path)/run.log",
            errors: "\(folder.path)/run.log")
        try await until("the gateway is up") { (try? await health("/health/live"))?.status == 200 }
        try await until("the gateway listens") { (try? await ask("/old/x", "first"))?.status == 301 }
    }

    func stop() {
        service.send(SIGTERM)
        gateway.send(SIGTERM)
    }

    func send(_ signal: Int32) { gateway.send(signal) }
    func exitStatus() async -> Int32 { await gateway.wait() }
    func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder.path)/\(file)") }

    func write(_ file: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/\(file)"))
    }

    /// Asks the gateway, and believes this certificate alone.
    func ask(_ path: String, _ certificate: String) async throws -> Curl.Answer {
        try await Curl.send(
            "GET", "https://localhost:\(port)\(path)", further: ["--cacert", "\(folder.path)/\(certificate).pem"])
    }

    func health(_ path: String) async throws -> Curl.Answer {
        try await Curl.send("GET", "http://127.0.0.1:\(metricsPort)\(path)")
    }

    /// Makes a certificate with its key.
    func issue(_ name: String) async throws { try await OperatedEdge.issue(name, in: folder.path) }

    /// Puts a file of it where the gateway looks.
    func install(_ name: String, _ end: String) throws { try OperatedEdge.install(name, end, in: folder.path) }

    private static func issue(_ name: String, in folder: String) async throws {
        let made = try await Shell.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-keyout", "\(name).key", "-out", "\(name).pem", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost",
            ], in: folder)
        #expect(made.status == 0, "\(made.all)")
    }

    private static func install(_ name: String, _ end: String, in folder: String) throws {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)\(end)"))
        try bytes.write(to: URL(fileURLWithPath: "\(folder)/edge\(end)"))
    }

    func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        for _ in 0..<400 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("in vain: \(what)\n\(log)")
    }
}
