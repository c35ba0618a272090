import ArgumentParser
import Foundation

/// The command line of a platform's program.
struct PlatformCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: ProcessInfo.processInfo.processName, abstract: "Runs a platform's nodes, and asks them.",
            subcommands: [
                RunCommand<Program>.self, CheckCommand<Program>.self, SchemaCommand.self, RoutesCommand<Program>.self,
                DiffCommand<Program>.self, EventsCommand<Program>.self, ProjectionsCommand<Program>.self,
                SagasCommand<Program>.self, PrivacyCommand<Program>.self, TraceCommand<Program>.self,
                StatusCommand<Program>.self,
                NodesCommand<Program>.self, OpenAPICommand<Program>.self, TokenCommand<Program>.self,
            ])
    }
}

/// The options that every command has: where the configuration is.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The configuration file.")
    var config = "platform.yaml"

    /// The folder that the configuration's relative paths start in: the working folder.
    var folder: String { FileManager.default.currentDirectoryPath }

    /// Reads and checks the configuration; what is wrong is printed, and ends the program with status 78.
    func load(_ catalog: ModuleCatalog) throws -> PlatformConfiguration {
        do {
            return try PlatformConfiguration.load(file: config, modules: catalog.declared)
        } catch {
            complain("\(error)")
            throw ExitCode(Exit.configuration)
        }
    }
}

/// The statuses that the program ends with, after sysexits(3).
enum Exit {
    static let failure: Int32 = 1
    static let unavailable: Int32 = 69
    static let configuration: Int32 = 78
}

/// Prints a line at once, also into a pipe or a file.
func say(_ text: String) {
    print(text)
    fflush(nil)
}

/// Prints to standard error.
func complain(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
}
