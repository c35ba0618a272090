import ArgumentParser
import DovetailCore
import DovetailModules

/// `events check-stored`: whether today's program can read all that is stored.
struct CheckStoredCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "check-stored",
            abstract: "Decodes all stored events with this program, and names what it cannot read.",
            discussion:
                "Run it with a new program on a copy of the store, or on the stopped node, before it takes the old one's place. Ends with status 1 if something cannot be read."
        )
    }

    @OptionGroup var node: NodeOptions

    func run() async throws {
        let json = node.json
        let isReadable = try await node.ask(Program.modules, orStopped: true) { admin in
            var isReadable = false
            for try await progress in try await admin.checkStored(.init()) {
                if let failure = progress.failure { throw UnknownName(failure) }
                guard let findings = progress.findings else {
                    tell("\(progress.number) of \(progress.head)")
                    continue
                }
                isReadable = findings.isEmpty
                if json {
                    say(try line(progress))
                    continue
                }
                for finding in findings {
                    say(
                        "\(finding.type) v\(finding.version): \(finding.part) cannot read \(finding.count), the first at \(finding.first): \(finding.reason)"
                    )
                }
                for (type, count) in (progress.unread ?? [:]).sorted(by: { $0.key < $1.key }) {
                    say("\(type): no part of this program declares it; \(count) were passed over")
                }
                say(
                    isReadable
                        ? "this program can read all \(progress.events ?? 0) events"
                        : "this program cannot read all \(progress.events ?? 0) events")
            }
            return isReadable
        }
        if !isReadable { throw ExitCode(Exit.failure) }
    }
}
