import Foundation

/// A program that runs one case of several, by its name on the command line: see ``Options``.
package enum Benchmark {
    /// Runs the case that the command line names, and prints what it found, if that is a rate. Ends the program with status 64 where the case cannot be run.
    package static func run(_ measure: @Sendable (Options) async throws -> Measurement?) async throws {
        do {
            try await measure(Options(CommandLine.arguments))?.report()
        } catch let error as UsageError {
            let program = CommandLine.arguments.first.map { URL(filePath: $0).lastPathComponent } ?? "benchmark"
            FileHandle.standardError.write(Data("\(program): \(error)\n".utf8))
            exit(64)
        }
    }

    /// Tells the script that runs it something, at once.
    package static func say(_ word: String) { FileHandle.standardOutput.write(Data("\(word)\n".utf8)) }
}
