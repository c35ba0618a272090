import ArgumentParser
import DovetailModules
import Foundation

/// `check`: looks a platform over before it runs.
struct CheckCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "check", abstract: "Looks the platform over: configuration, contracts, patterns in use.",
            discussion: "Ends with status 78 if the configuration is wrong, 1 if something would not work.")
    }

    @OptionGroup var options: ConfigurationOptions

    @Flag(help: "Prints the JSON Schema of platform.yaml.")
    var schema = false

    func run() async throws {
        if schema { return say(PlatformConfiguration.jsonSchema()) }
        let catalog = ModuleCatalog(Program.modules)
        let configuration = try options.load(catalog)
        let report = PlatformCheck(configuration, catalog: catalog, folder: options.folder).report()
        say(report.text)
        if report.hasErrors { throw ExitCode(Exit.failure) }
    }
}

/// `schema`: what a configuration file may say, for editors.
struct SchemaCommand: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "schema", abstract: "Prints the JSON Schema of platform.yaml.",
            discussion: "Editors complete and check by it: # yaml-language-server: $schema=./platform.schema.json")
    }

    func run() async throws { say(PlatformConfiguration.jsonSchema()) }
}
