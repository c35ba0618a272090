import ArgumentParser
import Dovetail
import Foundation

/// Starts the shop's nodes, sends orders through the gateway, tells what happened, and checks that the books balance.
///
/// It sees what any outsider sees: the gateway's HTTP, and the nodes' admin doors.
@main
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "shop-demo", abstract: "Shows the shop at work.")

    @Option(help: "The shop's program; the one beside this one unless given.")
    var shop: String?

    @Option(help: "The shop's configuration.")
    var config = "Examples/Shop/platform.yaml"

    @Option(help: "How many orders to send.")
    var orders = 300

    @Option(help: "How many customers order at a time.")
    var customers = 16

    @Option(help: "How many times a node is killed (SIGKILL) at a random moment while orders are under way.")
    var kills = 0

    @Flag(help: "Ends after the summary, with status 1 if an invariant is broken.")
    var once = false

    @Flag(help: "Clears the data folder first.")
    var reset = false

    func run() async throws {
        let program = shop ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/shop"
        if reset { try? FileManager.default.removeItem(atPath: "data") }
        try FileManager.default.createDirectory(atPath: "data", withIntermediateDirectories: true)

        let cluster = try Cluster(program: program, config: config)
        let isSound: Bool
        do {
            try await cluster.start()
            isSound = try await show(cluster)
        } catch {
            await cluster.stop()
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            throw ExitCode(1)
        }
        if !once {
            say("\nThe shop stays up; Ctrl-C stops it.")
            await Interruption.wait()
        }
        await cluster.stop()
        if !isSound { throw ExitCode(1) }
    }

    private func show(_ cluster: Cluster) async throws -> Bool {
        let gateway = try cluster.gateway()
        do {
            let isSound = try await show(cluster, gateway)
            await gateway.close()
            return isSound
        } catch {
            await gateway.close()
            throw error
        }
    }

    private func show(_ cluster: Cluster, _ gateway: Gate) async throws -> Bool {
        say("Sending \(orders) orders from \(customers) customers at a time through \(gateway.address) …")
        let traffic = Traffic(
            gateway: gateway, tokens: try await cluster.tokens(), orders: orders, customers: customers)
        let sent = try await withThrowingTaskGroup(of: Traffic.Result?.self) { group in
            group.addTask { try await traffic.run() }
            group.addTask {
                try await cluster.killAtRandom(times: kills)
                return nil
            }
            var result: Traffic.Result?
            for try await part in group { result = part ?? result }
            return result ?? Traffic.Result()
        }

        say("Waiting until every order is settled …")
        try await cluster.settle()

        let books = try await Books(cluster: cluster, gateway: gateway, tokens: traffic.tokens)
        let findings = books.findings(accepted: sent.accepted)
        try await Story(cluster: cluster, books: books, sent: sent).tell()
        if findings.isEmpty {
            say(
                """

                The books balance: stock never went below zero, money charged equals confirmed orders, every order is in a
                final state and was acknowledged once, and the read model equals a replay of the log.
                """)
        } else {
            say("\nTHE BOOKS DO NOT BALANCE:")
            for finding in findings.prefix(20) { say("  - \(finding)") }
            if findings.count > 20 { say("  … and \(findings.count - 20) more") }
        }
        try await invite(cluster, gateway, traffic.tokens)
        return findings.isEmpty
    }

    private func invite(_ cluster: Cluster, _ gateway: Gate, _ tokens: [String: String]) async throws {
        guard !once, let user = tokens.keys.min(), let token = tokens[user] else { return }
        say(
            """

            Try it:
              TOKEN=\(token)
              curl -s http://\(gateway.address)/api/products
              curl -s http://\(gateway.address)/api/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
                -H 'Idempotency-Key: my-first' -d '{"lines":[{"productID":"chisel","quantity":2}]}'
              curl -s http://\(gateway.address)/api/users/\(user)/orders?limit=3 -H "Authorization: Bearer $TOKEN"
              \(cluster.program) sagas list --config \(config)
              \(cluster.program) events tail --config \(config)
              \(cluster.program) events subscriptions --config \(config)
            """)
    }
}

/// Prints a line at once, also into a pipe or a file.
func say(_ text: String) {
    print(text)
    fflush(nil)
}
