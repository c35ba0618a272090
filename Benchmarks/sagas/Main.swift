import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailSagas
import Foundation

/// Sagas of three steps, each durable before the next begins: `sagas-bench CASE --folder PATH [--seconds N] [--sagas N]`; `scripts/bench/sagas` runs it beside its peers.
@main
struct SagasBench {
    static func main() async throws {
        do {
            let options = try Options(CommandLine.arguments)
            switch options.name {
            case "saga-3-steps": try await Starting(options).run()
            case "saga-locks": try await Starting(options, locks: .shared(8)).run()
            case "saga-locks-own": try await Starting(options, locks: .own).run()
            case "saga-3-steps-backlog": try await Backlog(options).run()
            default: throw UsageError(reason: "there is no case \(options.name)")
            }
        } catch let error as UsageError {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(64)
        }
    }
}

/// What to run, from the command line.
struct Options: Sendable {
    var name = ""
    var folder = ""
    var seconds = 3.0
    var sagas = 50_000

    init(_ arguments: [String]) throws(UsageError) {
        var rest = arguments.dropFirst()
        guard let name = rest.popFirst() else { throw UsageError(reason: "the case is missing") }
        self.name = name
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw UsageError(reason: "\(option) has no value") }
            switch option {
            case "--folder": folder = value
            case "--seconds": seconds = Double(value) ?? 0
            case "--sagas": sagas = Int(value) ?? 0
            default: throw UsageError(reason: "there is no option \(option)")
            }
        }
        guard !folder.isEmpty else { throw UsageError(reason: "--folder is missing") }
        guard seconds > 0, sagas > 0 else { throw UsageError(reason: "a number above zero is needed") }
    }
}

/// A command line that cannot be understood, or a case that did not do what it measures.
struct UsageError: Error, CustomStringConvertible {
    let reason: String
    var description: String { "sagas-bench: \(reason)" }
}
