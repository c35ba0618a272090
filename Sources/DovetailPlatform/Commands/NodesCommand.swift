import ArgumentParser
import DovetailContracts
import DovetailCore
import Foundation

/// `nodes`: which processes the platform is made of.
struct NodesCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "nodes", abstract: "Lists the nodes that the configuration has.")
    }

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Prints JSON, one object a line.")
    var json = false

    private struct Line: Encodable {
        var name: String, modules: [String], admin: String, gateway: String?, listen: String?
    }

    func run() async throws {
        let configuration = try options.load(ModuleCatalog(Program.modules))
        for node in configuration.nodes {
            let gateway = configuration.gateway.flatMap { $0.node == node.name ? "\($0.listen)" : nil }
            let line = Line(
                name: node.name, modules: node.modules,
                admin: configuration.adminAddress(of: node.name, in: options.folder).description, gateway: gateway,
                listen: node.listen?.description)
            if json {
                say(String(decoding: try JSON.encode(line), as: UTF8.self))
            } else {
                say(
                    "\(line.name)  \(line.modules.joined(separator: ", "))  admin \(line.admin)"
                        + (gateway.map { "  gateway \($0)" } ?? ""))
            }
        }
    }
}
