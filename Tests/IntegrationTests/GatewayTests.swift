import Foundation
import Testing

/// `dovetail run` as a gateway in front of services in another language: the example, as a user would meet it.
extension IntegrationTests {
    @Suite struct AtTheEdge {
        @Test(
            "The gateway's example does what its file says, and takes over what changes in it", .timeLimit(.minutes(2)))
        func example() async throws {
            let edge = try Edge()
            try await edge.start()
            defer { edge.stop() }

            let first = try await edge.get("/catalog/shoes")
            #expect(first.status == 200)
            #expect(try first.json["path"] as? String == "/shoes")
            #expect(first.headers["cache-status"] == "dovetail; fwd=uri-miss; fwd-status=200; stored")
            #expect(try await edge.get("/catalog/shoes").headers["cache-status"]?.hasPrefix("dovetail; hit") == true)
            #expect(try await edge.get("/catalog/shoes", ["X-Preview: 1"]).status == 401)
            #expect(try await edge.get("/catalog/shoes", ["X-Preview: 1"], ["-u", "ann:for-trying-out"]).status == 200)
            #expect(try await edge.get("/orders/7").status == 401)
            let order = try await edge.get("/orders/7", ["X-API-Key: acme-key-for-trying-out", "Cookie: a=1"])
            #expect(try order.json["path"] as? String == "/v2/orders/7")
            #expect(try order.json["edge"] as? String == "dovetail")
            #expect(try order.json["cookie"] is NSNull)
            #expect(order.headers["sunset"] != nil && order.headers["server"] == nil)
            #expect(try await edge.get("/old/x?y").headers["location"] == "/x?y")
            #expect(try await edge.get("/nothing").status == 404)
            try await madeOfSeveral(edge)
            try await whoCalls(edge)

            try edge.change {
                $0.replacing("/old/**", with: "/older/**").replacing("stripPrefix: /old ", with: "stripPrefix: /older ")
            }
            try await edge.until("taken over") { try await edge.get("/older/x").status == 301 }
            #expect(try await edge.get("/old/x").status == 404)
            try edge.change { $0 + "zebra: 1\n" }
            try await edge.until("refused") { edge.log.contains("the configuration was not reloaded") }
            #expect(edge.log.contains("unknown key"))
            #expect(try await edge.get("/older/x").status == 301, "what ran goes on")

            let difference = try await edge.run(["diff", "platform.yaml", "other.yaml"])
            #expect(difference.contains("! + /open/**: any /open/** becomes reachable, open to all"), "\(difference)")
            let explained = try await edge.run([
                "routes", "explain", "GET /catalog/shoes", "--header", "X-Preview: 1", "--config", "other.yaml",
            ])
            #expect(explained.hasPrefix("/catalog/** if X-Preview=* → /shoes"), "\(explained)")
            let checked = try await edge.run(["check"])
            #expect(checked.contains("0 errors, 0 warnings"), "\(checked)")
            let schema = try await edge.run(["schema"])
            #expect(schema.contains("https://json-schema.org/draft/2020-12/schema"))
        }

        private func madeOfSeveral(_ edge: Edge) async throws {
            let key = ["X-API-Key: acme-key-for-trying-out"]
            let overview = try await edge.get("/overview/7?size=44", key).json
            #expect((overview["order"] as? [String: Any])?["path"] as? String == "/v2/orders/7")
            #expect((overview["shoes"] as? [String: Any])?["path"] as? String == "/shoes?size=44")
            let requests = #"[{"id":1,"method":"GET","path":"/orders/7"},{"id":2,"method":"GET","path":"/nowhere"}]"#
            let batch = try await edge.get("/batch", key, ["--request", "POST", "--data", requests])
            let answers = try JSONSerialization.jsonObject(with: Data(batch.body.utf8)) as? [[String: Any]]
            #expect(answers?.compactMap { $0["status"] as? Int } == [200, 404])
        }

        private func whoCalls(_ edge: Edge) async throws {
            let mine = try await edge.get("/mine/7", ["Cookie: session=ann", "X-User: eve"])
            #expect(try mine.json["user"] as? String == "ann")
            #expect(try await edge.get("/mine/7", ["Cookie: session=eve"]).status == 401)
            for arguments in [["GET", "?a=b"], ["PUT", "", #"{"quantity": 2}"#]] {
                let url = "http://127.0.0.1:\(edge.port)/signed/orders/7\(arguments[1])"
                let sign = "\(Checkout.root)/Examples/Gateway/sign.py"
                let signed = try await Shell.run("python3", [sign, arguments[0], url] + arguments.dropFirst(2))
                #expect(signed.output.hasPrefix("200 "), "\(signed)")
            }
            #expect(try await edge.get("/signed/orders/7").status == 401)
        }
    }
}

/// The example on ports and in a folder of its own, without TLS: its certificate is for a person to make.
private final class Edge: Sendable {
    private let folder: TemporaryFolder
    let port = Ports.next()
    private let programs = Programs()

    private final class Programs: @unchecked Sendable {
        var all: [RunningProgram] = []
    }

    var log: String { (try? String(contentsOfFile: "\(folder.path)/run.log", encoding: .utf8)) ?? "" }
    private var file: String { "\(folder.path)/platform.yaml" }

    init() throws {
        folder = try TemporaryFolder()
        var (yaml, services) = (
            try Checkout.text("Examples/Gateway/platform.yaml"), try Checkout.text("Examples/Gateway/services.py")
        )
        for name in ["9001", "9002", "9003", "9004"] {
            let port = "\(Ports.next())"
            yaml = yaml.replacing(":\(name)", with: ":\(port)")
            services = services.replacing("service(\(name)", with: "service(\(port)")
        }
        yaml = yaml.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("  tls:") }
            .joined(separator: "\n").replacing("127.0.0.1:8443", with: "127.0.0.1:\(port)")
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: file))
        try Data(services.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/services.py"))
        let open = "\n    - { path: /open/**, authentication: none, upstream: orders }\n\nupstreams:"
        let other = yaml.replacing("\n\nupstreams:", with: open)
        try Data(other.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/other.yaml"))
    }

    func start() async throws {
        let services = "\(folder.path)/services.log"
        programs.all.append(
            try RunningProgram("python3", ["services.py"], in: folder.path, output: services, errors: services))
        try await until("the services are up") {
            (try? String(contentsOfFile: services, encoding: .utf8))?.contains("up") ?? false
        }
        programs.all.append(
            try RunningProgram(
                Checkout.program("dovetail"), ["run"], in: folder.path, output: "\(folder.path)/run.log",
                errors: "\(folder.path)/run.log"))
        try await until("the gateway is up") { log.contains("gateway  http") }
    }

    func stop() { for program in programs.all { program.send(SIGTERM) } }

    func get(_ path: String, _ headers: [String] = [], _ further: [String] = []) async throws -> Curl.Answer {
        try await Curl.send("GET", "http://127.0.0.1:\(port)\(path)", headers: headers, further: further)
    }

    func change(_ edit: (String) -> String) throws {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try Data(edit(text).utf8).write(to: URL(fileURLWithPath: file))
    }

    func run(_ arguments: [String]) async throws -> String {
        if arguments.first == "diff" { try change { $0.replacing("zebra: 1\n", with: "") } }
        return try await Shell.run(Checkout.program("dovetail"), arguments, in: folder.path).all
    }

    func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        for _ in 0..<400 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("in vain: \(what)\n\(log)")
    }
}
