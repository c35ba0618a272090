import ArgumentParser
import DovetailEvents
import DovetailHTTP
import DovetailModules
import Foundation
import Logging
import UnixSignals

/// `run`: starts a node and serves until it is told to stop.
struct RunCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "run", abstract: "Starts a node.",
            discussion: """
                Stops on SIGTERM or Ctrl-C, when the requests it has accepted are answered. What the configuration says of the gateway is taken over \
                when the file changes, and on SIGHUP.
                """)
    }

    @OptionGroup var options: ConfigurationOptions

    @Option(help: "The node to start; the first one unless given.")
    var node: String?

    @Flag(help: "Calls within the process go through the JSON codec too, so that nothing works only there.")
    var dev = false

    func run() async throws {
        let catalog = ModuleCatalog(Program.modules)
        let configuration = try options.load(catalog)
        guard let name = node ?? configuration.nodes.first?.name else {
            complain("\(options.config): no node is configured")
            throw ExitCode(Exit.configuration)
        }
        var nodeOptions = Node.Options()
        nodeOptions.throughCodec = dev
        nodeOptions.patience = .seconds(3)
        nodeOptions.folder = options.folder
        do {
            let telemetry = try Telemetry.bootstrap(configuration, node: name)
            let node = try await Node.start(
                configuration, modules: Program.modules, node: name, telemetry: telemetry, options: nodeOptions)
            let (file, declared) = (options.config, catalog.declared)
            try await node.run(
                signals: [.sigterm, .sigint],
                reloading: (file, { try PlatformConfiguration.load(file: file, modules: declared) })
            ) { say(node.summary) }
        } catch let error as ListenError {
            complain("\(error)")
            throw ExitCode(Exit.unavailable)
        } catch let error as LogError {
            complain("\(error)")
            throw ExitCode(error.code == .locked ? Exit.unavailable : Exit.failure)
        } catch {
            complain("\(error)")
            throw ExitCode(Exit.failure)
        }
    }
}

extension Node {
    /// What a person wants to know when a node comes up.
    fileprivate var summary: String {
        let modules = runtimes.isEmpty ? "" : " with \(runtimes.map(\.module).joined(separator: ", "))"
        var lines = ["\(configuration.platform): node \(name)\(modules)"]
        if let gateway = configuration.gateway, gateway.node == name {
            lines.append("  gateway  \(gateway.tls == nil ? "http" : "https")://\(gateway.listen)")
        }
        if let listen = placement.listen { lines.append("  modules  http://\(listen)  (for the other nodes)") }
        if let events = configuration.events, eventDoor != nil { lines.append("  events   http://\(events.listen)") }
        lines.append("  admin    \(adminAddress)")
        lines.append(
            "  log      \(store.log.durability == .disk ? "fsync before each answer" : store.log.durability.rawValue), head \(store.log.head)"
        )
        return lines.joined(separator: "\n")
    }
}
