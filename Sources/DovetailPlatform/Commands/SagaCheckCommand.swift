import ArgumentParser
import DovetailCore
import DovetailModules
import DovetailSagas

/// `sagas check`: whether what is under way can go on under this program.
struct SagaCheckCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "check",
            abstract: "Names the instances under way that this program's definitions would break.",
            discussion:
                "Run the new program's check before it replaces the old one. Ends with status 1 if there are any.")
    }

    @OptionGroup var node: NodeOptions

    func run() async throws {
        let json = node.json
        let sagas = ModuleCatalog(Program.modules).looked.flatMap(\.parts.sagas)
        let fit = try await node.ask(Program.modules, orStopped: true) { admin in
            var open: [SagaRecord] = []
            for status in SagaStatus.allCases where !status.hasEnded {
                var before: Int64?
                while true {
                    let page = try await admin.sagas(.init(status: status, before: before, limit: 1000)).sagas
                    open += page
                    guard let last = page.last else { break }
                    before = last.number
                }
            }
            // A node of before knows none.
            let plans = (try? await admin.sagaPlans(.init()).plans) ?? []
            return SagaFit(of: open, under: plans, in: sagas)
        }
        if json {
            say(String(decoding: try JSON.encode(fit), as: UTF8.self))
        } else {
            for misfit in fit.misfits { say("\(misfit.id)  \(misfit.saga)  \(misfit.reason)") }
            say("\(fit.checked) instances under way, \(fit.misfits.count) of them would break")
        }
        if !fit.misfits.isEmpty { throw ExitCode(Exit.failure) }
    }
}
