import Foundation
import Synchronization

/// The shop's nodes as processes, in a folder and on ports of their own.
final class RunningShop: Sendable {
    let folder: TemporaryFolder
    let gatewayPort: Int
    let paymentsPort: Int
    private let environment: [String: String]
    private let nodes = Mutex<[String: RunningProgram]>([:])

    /// A shop that is not started; `edit` may change its configuration.
    init(
        environment: [String: String] = ["SHOP_WEATHER": "calm"], edit: (String) -> String = { $0 }
    ) throws {
        folder = try TemporaryFolder()
        (gatewayPort, paymentsPort) = (Ports.next(), Ports.next())
        self.environment = environment.merging([
            "GATEWAY_PORT": "\(gatewayPort)", "PAYMENTS_PORT": "\(paymentsPort)",
        ]) { $1 }
        let yaml = edit(try Checkout.text("Examples/Shop/platform.yaml"))
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/platform.yaml"))
        try FileManager.default.createDirectory(atPath: "\(folder.path)/data", withIntermediateDirectories: true)
    }

    var url: String { "http://127.0.0.1:\(gatewayPort)" }

    /// Runs a command of the shop to its end.
    func command(_ arguments: String..., limit: Duration = .seconds(60)) async throws -> Shell.Result {
        try await Shell.run(
            Checkout.program("shop"), arguments, in: folder.path, environment: environment, limit: limit)
    }

    /// Runs a command of the shop with further arguments.
    func command(_ arguments: String..., with further: [String]) async throws -> Shell.Result {
        try await Shell.run(
            Checkout.program("shop"), arguments + further, in: folder.path, environment: environment)
    }

    /// A token of a customer.
    func token(_ user: String = "user-1", scope: String = "orders:write orders:read users:read") async throws -> String
    {
        let result = try await command("token", user, "--scope", scope)
        guard result.status == 0 else { throw ShopError("no token: \(result.all)") }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Starts nodes and waits until they answer.
    func start(_ names: String...) async throws {
        for name in names {
            let log = "\(folder.path)/data/\(name).log"
            let node = try RunningProgram(
                Checkout.program("shop"), ["run", "--node", name], in: folder.path, environment: environment,
                output: log, errors: log)
            nodes.withLock { $0[name] = node }
        }
        for name in names { try await waitUntilUp(name) }
    }

    private func waitUntilUp(_ name: String) async throws {
        for _ in 0..<300 {
            guard let node = nodes.withLock({ $0[name] }), node.isRunning else { break }
            if try await command("status", "--node", name).status == 0 { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ShopError("node '\(name)' does not come up:\n\(log(of: name))")
    }

    func log(of name: String) -> String {
        (try? String(contentsOfFile: "\(folder.path)/data/\(name).log", encoding: .utf8)) ?? ""
    }

    /// Sends a node a signal and waits until it has ended.
    @discardableResult
    func stop(_ name: String, by signal: Int32 = SIGTERM) async -> Int32 {
        guard let node = nodes.withLock({ $0.removeValue(forKey: name) }) else { return -1 }
        node.send(signal)
        return await node.wait(atMost: .seconds(30))
    }

    func send(_ signal: Int32, to name: String) { nodes.withLock { $0[name] }?.send(signal) }

    func stop() async {
        for name in nodes.withLock({ Array($0.keys) }) { await stop(name) }
    }

    /// Asks until the answer is as wanted; the last one if it never is.
    func poll(
        _ path: String, token: String, until isWanted: (Curl.Answer) throws -> Bool
    ) async throws -> Curl.Answer {
        var answer = try await Curl.send(url: path, of: self, token: token)
        for _ in 0..<200 {
            if try isWanted(answer) { return answer }
            try await Task.sleep(for: .milliseconds(100))
            answer = try await Curl.send(url: path, of: self, token: token)
        }
        return answer
    }
}

extension Curl {
    fileprivate static func send(url path: String, of shop: RunningShop, token: String) async throws -> Answer {
        try await send("GET", shop.url + path, token: token)
    }
}

/// Runs `body` with a shop whose nodes are up, and stops them whatever happens.
func withShop<Value>(
    _ nodes: [String] = ["main", "payments"], environment: [String: String] = ["SHOP_WEATHER": "calm"],
    edit: (String) -> String = { $0 }, _ body: (RunningShop) async throws -> Value
) async throws -> Value {
    let shop = try RunningShop(environment: environment, edit: edit)
    do {
        for node in nodes.reversed() { try await shop.start(node) }
        let value = try await body(shop)
        await shop.stop()
        return value
    } catch {
        await shop.stop()
        throw error
    }
}

struct ShopError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Ports that this run has not given out; below the range that the system takes for outgoing connections.
enum Ports {
    private static let counter = Mutex(20_000 + Int(getpid()) % 9_000)

    static func next() -> Int {
        counter.withLock { port in
            repeat { port = port >= 31_000 ? 20_000 : port + 1 } while !isFree(port)
            return port
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        #if canImport(Darwin)
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #else
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
