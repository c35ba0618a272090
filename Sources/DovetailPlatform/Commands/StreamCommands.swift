import ArgumentParser
import DovetailCore
import DovetailModules

/// `events streams`: the streams of aggregates.
struct StreamsCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "streams",
            abstract: "Shows the stream of an aggregate, ends it, or lets go of its first events.",
            subcommands: [Show.self, Events.self, Delete.self, Restore.self, Truncate.self, Metadata.self])
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

    struct Events: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "events", abstract: "Prints a stream's events, the newest first.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Option(help: "Those of lower versions than this; from the end unless given.")
        var before: Int64?

        @Option(help: "So many at most, up to 1000.")
        var limit = 20

        func run() async throws {
            let query = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let page = try await admin.streamEvents(
                    .init(stream: query.chosen.stream, before: query.before, limit: query.limit))
                if query.node.json { return say(try line(page)) }
                for event in page.events {
                    let data = String(decoding: try JSON.encode(event.data), as: UTF8.self)
                    say("\(event.streamVersion ?? 0)  \(event.number)  \(event.time.clock)  \(event.type)  \(data)")
                }
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "delete", abstract: "Has a stream take no more events.",
                discussion:
                    "Its events stay, and can be read; see `restore` and `truncate`. With --for-good there is no way back: its events go, those that somebody still needs in later rounds of retention."
            )
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Flag(help: "Deletes it for good: it is never restored, and its events go.")
        var forGood = false

        func run() async throws {
            let command = self
            let stream = chosen.stream
            try await node.ask(Program.modules, orStopped: true) { admin in
                if command.forGood {
                    let status = try await admin.tombstoneStream(.init(stream: stream))
                    say(command.node.json ? try line(status) : status.line)
                    return
                }
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

    struct Metadata: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "metadata", abstract: "Shows what is said of a stream, or says it.",
                discussion:
                    "Without options it shows. Events beyond a limit go in the next round of retention, as far as nobody needs them; the aggregate needs an event that begins afresh, or a snapshot, in their place."
            )
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Option(help: "Of how many last events the stream is kept; 0: of all.")
        var maxCount: Int64?

        @Option(help: "How many seconds events are kept; 0: for good.")
        var maxAge: Int64?

        @Option(name: .customLong("set"), help: "A note as name=value; with an empty value it goes.")
        var values: [String] = []

        @Option(help: "The version of what is said that is expected.")
        var expect: Int64?

        func run() async throws {
            let command = self
            var notes: [String: String] = [:]
            for text in values {
                guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                    throw ValidationError("'\(text)' is no note; write name=value")
                }
                notes[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            let noted = notes
            try await node.ask(Program.modules, orStopped: true) { admin in
                let isQuestion = command.maxCount == nil && command.maxAge == nil && noted.isEmpty
                let said =
                    isQuestion
                    ? try await admin.streamMetadata(.init(stream: command.chosen.stream))
                    : try await admin.setStreamMetadata(
                        .init(
                            stream: command.chosen.stream, maxCount: command.maxCount, maxAge: command.maxAge,
                            values: noted, expected: command.expect))
                say(command.node.json ? try line(said) : said.line)
            }
        }
    }
}

extension AdminAPI.StreamMetadataLine {
    /// What is said, in a line.
    fileprivate var line: String {
        var parts: [String] = []
        if let maxCount = metadata.maxCount { parts.append("the last \(maxCount) events are kept") }
        if let maxAge = metadata.maxAge { parts.append("events are kept for \(maxAge) s") }
        parts += metadata.values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return
            "\(stream), version \(version): \(parts.isEmpty ? "nothing is said of it" : parts.joined(separator: ", "))"
    }
}

extension AdminAPI.StreamLine {
    /// Where it stands, in a line.
    fileprivate var line: String {
        var text = "\(stream): at version \(version)"
        if truncated > 0 { text += ", truncated through \(truncated)" }
        if let tombstonedAt {
            text += ", deleted for good since \(Timestamp.text(tombstonedAt) ?? "a time before")"
            if version > truncated {
                text += "; still needed, to go in a later round of retention: \(version - truncated)"
            }
        } else if let deletedAt {
            text += ", deleted at \(Timestamp.text(deletedAt) ?? "a time before")"
        }
        return text
    }
}
