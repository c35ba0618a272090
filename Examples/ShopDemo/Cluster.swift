import Dovetail
import Foundation
import Synchronization

/// The shop's nodes as processes: started, watched, killed, stopped.
final class Cluster: Sendable {
    let program: String
    let config: String
    let nodes: [NodeInfo]
    private let processes = Mutex<[String: Process]>([:])
    /// Where in its log file each node's present run begins.
    private let logStarts = Mutex<[String: UInt64]>([:])

    /// What `shop nodes --json` says of a node.
    struct NodeInfo: Wire {
        var name: String, modules: [String], admin: String, gateway: String?
    }

    init(program: String, config: String) throws {
        self.program = program
        self.config = config
        let listing = try Cluster.output(of: program, ["nodes", "--json", "--config", config])
        nodes = try listing.split(separator: "\n").map { try JSON.decode(NodeInfo.self, from: Array($0.utf8)) }
    }

    /// Starts the nodes that others call before those that call them.
    func start() async throws {
        for node in nodes.reversed() { try launch(node) }
        for node in nodes { try await waitUntilUp(node) }
    }

    private func launch(_ node: NodeInfo) throws {
        let log = "data/\(node.name).log"
        guard FileManager.default.fileExists(atPath: log) || FileManager.default.createFile(atPath: log, contents: nil),
            let output = FileHandle(forWritingAtPath: log)
        else { throw DemoError("cannot write \(log)") }
        let start = try output.seekToEnd()
        logStarts.withLock { $0[node.name] = start }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["run", "--node", node.name, "--config", config]
        process.standardOutput = output
        process.standardError = output
        try process.run()
        processes.withLock { $0[node.name] = process }
    }

    private func waitUntilUp(_ node: NodeInfo) async throws {
        for attempt in 0..<600 {
            if let process = processes.withLock({ $0[node.name] }), !process.isRunning {
                throw DemoError(
                    "node '\(node.name)' ended with status \(process.terminationStatus):\n\(lastWords(of: node))")
            }
            if (try? await admin(node) { try await $0.status(.init()) }) != nil { return }
            if attempt == 20 { say("Waiting for node '\(node.name)' …") }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw DemoError("node '\(node.name)' does not come up; see data/\(node.name).log")
    }

    /// The last lines that a node has logged since it was started.
    private func lastWords(of node: NodeInfo) -> String {
        guard let file = FileHandle(forReadingAtPath: "data/\(node.name).log"),
            (try? file.seek(toOffset: logStarts.withLock { $0[node.name] ?? 0 })) != nil,
            let log = try? file.readToEnd()
        else { return "" }
        return String(decoding: log, as: UTF8.self).split(separator: "\n").suffix(5).joined(separator: "\n")
    }

    /// Kills nodes at random moments, and starts them again.
    func killAtRandom(times: Int) async throws {
        for time in 0..<times {
            try await Task.sleep(for: .milliseconds(Int.random(in: 150...1200)))
            guard let node = nodes.randomElement(),
                let process = processes.withLock({ $0[node.name] })
            else { continue }
            say("  kill \(time + 1) of \(times): SIGKILL to node '\(node.name)'")
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            try launch(node)
            try await waitUntilUp(node)
        }
    }

    /// Tells the nodes to stop, in the order in which requests come in, and waits for them.
    func stop() async {
        for node in nodes {
            guard let process = processes.withLock({ $0.removeValue(forKey: node.name) }), process.isRunning else {
                continue
            }
            process.terminate()
            process.waitUntilExit()
        }
    }

    /// Asks a node through its admin door.
    func admin<Value: Sendable>(
        _ node: NodeInfo, _ question: (Client<AdminAPI>) async throws -> Value
    ) async throws -> Value {
        guard let address = HTTPAddress(node.admin) else { throw DemoError("'\(node.admin)' is no address") }
        let (client, transport) = AdminAPI.client(at: address)
        do {
            let value = try await question(client)
            try await transport.shutdown()
            return value
        } catch {
            try? await transport.shutdown()
            throw error
        }
    }

    /// The node that runs a module.
    func home(of module: String) throws -> NodeInfo {
        guard let node = nodes.first(where: { $0.modules.contains(module) }) else {
            throw DemoError("no node runs the module '\(module)'")
        }
        return node
    }

    /// All events of the node that runs a module.
    func events(of module: String) async throws -> [AdminAPI.EventLine] {
        try await admin(try home(of: module)) { admin in
            var events: [AdminAPI.EventLine] = []
            for try await event in try await admin.events(.init(follow: false)) { events.append(event) }
            return events
        }
    }

    /// Waits until no saga is under way, and every event is handled; says how many are from time to time.
    func settle() async throws {
        let node = try home(of: "orders")
        var last = ""
        for round in 0..<1200 {
            let status = try await admin(node) { try await $0.status(.init()) }
            let sagas = status.sagas
            let open = (sagas["running"] ?? 0) + (sagas["compensating"] ?? 0)
            let line =
                "  \(sagas["completed"] ?? 0) confirmed, \(sagas["compensated"] ?? 0) compensated, \(open) under way"
            if open == 0, status.subscriptions.allSatisfy({ $0.lag == 0 }) {
                if line != last { say(line) }
                return
            }
            if round % 10 == 0, line != last {
                say(line)
                last = line
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw DemoError("the sagas do not come to an end; see `shop sagas list`")
    }

    /// The gateway, as an address to send requests to.
    func gateway() throws -> Gate {
        guard let text = nodes.compactMap(\.gateway).first, let address = HTTPAddress(text) else {
            throw DemoError("no node runs the gateway")
        }
        return Gate(address: address)
    }

    /// Development tokens of the shop's users.
    func tokens() async throws -> [String: String] {
        var tokens: [String: String] = [:]
        for number in 1...4 {
            let user = "user-\(number)"
            tokens[user] = try Cluster.output(
                of: program, ["token", user, "--scope", "orders:write orders:read users:read", "--config", config]
            ).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        return tokens
    }

    private static func output(of program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw DemoError("'\(([program] + arguments).joined(separator: " "))' failed")
        }
        return String(decoding: data, as: UTF8.self)
    }
}

/// What keeps the demo from going on, in words.
struct DemoError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
