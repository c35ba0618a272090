import ArgumentParser
import DovetailCore
import DovetailModules

/// `events streams`: the streams of aggregates.
struct StreamsCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "streams",
            abstract: "Shows the stream of an aggregate, ends it, or lets go of its first events.",
            subcommands: [Show.self, Delete.self, Restore.self, Truncate.self])
    }

    /// Which stream is meant.
    struct Chosen: ParsableArguments {
        @Argument(help: "The stream, as order-7.")
        var stream: String
    }

    struct Show: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "show", abstract: "Shows where a stream stands.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let status = try await admin.stream(.init(stream: command.chosen.stream))
                say(command.node.json ? try line(status) : status.line)
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "delete", abstract: "Has a stream take no more events.",
                discussion: "Its events stay, and can be read; see `restore` and `truncate`.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        func run() async throws {
            let stream = chosen.stream
            try await node.ask(Program.modules, orStopped: true) { admin in
                _ = try await admin.deleteStream(.init(stream: stream))
                say("\(stream) takes no more events")
            }
        }
    }

    struct Restore: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "restore", abstract: "Has a deleted stream take events again.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        func run() async throws {
            let stream = chosen.stream
            try await node.ask(Program.modules, orStopped: true) { admin in
                _ = try await admin.restoreStream(.init(stream: stream))
                say("\(stream) takes events again")
            }
        }
    }

    struct Truncate: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "truncate", abstract: "Removes a stream's first events for good.",
                discussion:
                    "Refused while a subscription or a read model has not done with them. The aggregate needs an event that begins afresh, or a snapshot, in their place."
            )
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Option(help: "The last version that goes.")
        var through: Int64

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let status = try await admin.truncateStream(
                    .init(stream: command.chosen.stream, through: command.through))
                say(command.node.json ? try line(status) : status.line)
            }
        }
    }
}

extension AdminAPI.StreamLine {
    /// Where it stands, in a line.
    fileprivate var line: String {
        var text = "\(stream): at version \(version)"
        if truncated > 0 { text += ", truncated through \(truncated)" }
        if let deletedAt { text += ", deleted at \(Timestamp.text(deletedAt) ?? "a time before")" }
        return text
    }
}
