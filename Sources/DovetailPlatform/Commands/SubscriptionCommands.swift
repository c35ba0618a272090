import ArgumentParser
import DovetailCore
import DovetailModules
import Foundation

/// `events subscriptions`: where each subscription stands.
struct SubscriptionsCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "subscriptions", abstract: "Shows where each subscription stands.")
    }

    @OptionGroup var node: NodeOptions

    func run() async throws {
        let json = node.json
        try await node.ask(Program.modules, orStopped: true) { admin in
            let subscriptions = try await admin.status(.init()).subscriptions
            for subscription in subscriptions {
                say(
                    json
                        ? try line(subscription)
                        : "\(subscription.line)  (\(subscription.topics.joined(separator: ", ")))")
            }
            if subscriptions.isEmpty, !json { say("no module of this node subscribes to events") }
        }
    }
}

/// `events dead-letters`: what subscriptions gave up on.
struct DeadLettersCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "dead-letters", abstract: "Shows what a subscription gave up on, and has it tried again.",
            subcommands: [List.self, Show.self, Group.self, Edit.self, Redrive.self, Discard.self])
    }

    struct List: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "list", abstract: "Lists dead letters, in the order of the log.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The subscription; all of them unless given.")
        var subscription: String?

        @Option(help: "At most so many of each subscription.")
        var limit = 20

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let chosen = try await admin.subscriptions(command.subscription)
                var count = 0
                for subscription in chosen where subscription.deadLetters > 0 {
                    let page = try await admin.deadLetters(.init(subscription: subscription.name, limit: command.limit))
                    for letter in page.letters {
                        say(
                            command.node.json
                                ? try line(letter)
                                : "\(subscription.name)  \(letter.position)  \(letter.diedAt.clock)  \(letter.type)  \(letter.key)  \(letter.reason) after \(letter.attempts): \(letter.error)"
                        )
                        count += 1
                    }
                    if page.letters.count < subscription.deadLetters, !command.node.json {
                        say(
                            "\(subscription.name)  … \(subscription.deadLetters - page.letters.count) more; see --limit"
                        )
                    }
                }
                if count == 0, !command.node.json { say("no dead letters") }
            }
        }
    }

    /// Which letter is meant.
    struct Letter: ParsableArguments {
        @Argument(help: "The subscription.")
        var subscription: String

        @Argument(help: "The event's number, as `dead-letters list` prints it.")
        var number: Int64
    }

    struct Show: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "show", abstract: "Shows a dead letter whole.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var letter: Letter

        func run() async throws {
            let (meant, json) = (letter, node.json)
            try await node.ask(Program.modules, orStopped: true) { admin in
                let page = try await admin.deadLetters(
                    .init(subscription: meant.subscription, after: meant.number - 1, limit: 1))
                guard let letter = page.letters.first, letter.position == meant.number else {
                    throw UnknownName("'\(meant.subscription)' has no dead letter at \(meant.number)")
                }
                if json { return say(try line(letter)) }
                say("\(letter.type) v\(letter.version) from \(letter.source), key \(letter.key), id \(letter.id)")
                say(
                    "\(letter.reason) after \(letter.attempts) attempts, \(letter.firstFailedAt.clock) to \(letter.diedAt.clock)"
                )
                say(letter.error)
                if let correlation = letter.correlationID { say("correlation \(correlation)") }
                if let trace = letter.traceparent { say("trace \(trace)") }
                say(try line(letter.data))
            }
        }
    }

    struct Group: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "group", abstract: "Counts dead letters by what they died of, the most first.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The subscription; all of them unless given.")
        var subscription: String?

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                var isEmpty = true
                for subscription in try await admin.subscriptions(command.subscription)
                where subscription.deadLetters > 0 {
                    for group in try await admin.deadLetterGroups(.init(subscription: subscription.name)).groups {
                        isEmpty = false
                        say(
                            command.node.json
                                ? try line(group)
                                : "\(subscription.name)  \(group.count)  \(group.type)  \(group.reason)  first at \(group.first), last \(group.lastDiedAt.clock)  \(group.error)"
                        )
                    }
                }
                if isEmpty, !command.node.json { say("no dead letters") }
            }
        }
    }

    struct Edit: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "edit", abstract: "Gives a dead letter another payload, with which it is redriven.",
                discussion: "The event in the log stays as it is; the intervention is on record.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var letter: Letter

        @Option(help: "The payload, as JSON.")
        var data: String

        func run() async throws {
            let letter = letter
            let data = try payload(data)
            try await node.ask(Program.modules, orStopped: true) { admin in
                _ = try await admin.editDeadLetter(
                    .init(subscription: letter.subscription, position: letter.number, data: data))
                say("\(letter.number) has another payload; redrive it")
            }
        }
    }

    struct Redrive: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "redrive",
                abstract: "Has dead letters tried again, and in order what waits behind them.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The subscription.")
        var subscription: String

        @Argument(help: "The event's number; all that are chosen by the options unless given.")
        var number: Int64?

        @Option(help: "Only of this topic.")
        var type: String?

        @Option(help: "Only for this reason: failed, undecodable, timedOut, crashed.")
        var reason: String?

        @Option(help: "Only those whose error has this in it.")
        var error: String?

        @Option(help: "At most so many a second.")
        var rate: Double?

        @Flag(help: "Only counts them.")
        var dryRun = false

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: command.dryRun) { admin in
                if let number = command.number, !command.dryRun {
                    _ = try await admin.redrive(.init(subscription: command.subscription, position: number))
                    return say("\(number) is tried again")
                }
                let lines = try await admin.redriveMany(
                    .init(
                        subscription: command.subscription, type: command.type, reason: command.reason,
                        error: command.error, rate: command.rate, dryRun: command.dryRun))
                for try await progress in lines {
                    if let failure = progress.failure { throw UnknownName(failure) }
                    if command.node.json {
                        say(try line(progress))
                    } else if progress.isDone {
                        say(
                            command.dryRun
                                ? "\(progress.chosen) of \(progress.seen) would be tried again"
                                : "\(progress.redriven) of \(progress.seen) are tried again, \(progress.waiting) wait behind others of their key"
                        )
                    } else {
                        tell("\(progress.seen) looked at, \(progress.redriven) on their way")
                    }
                }
            }
        }
    }

    struct Discard: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "discard", abstract: "Drops a dead letter for good; what waits behind it goes on.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var letter: Letter

        func run() async throws {
            let letter = letter
            try await node.ask(Program.modules) { admin in
                _ = try await admin.discard(.init(subscription: letter.subscription, position: letter.number))
                say("\(letter.number) is dropped")
            }
        }
    }
}

/// `events seek`: sets a subscription to another place.
struct SeekCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "seek", abstract: "Sets a subscription to another place of the log.",
            discussion: "Back: all events from there come again. Forward: those in between are left out.")
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The subscription.")
    var subscription: String

    @Argument(
        help: "`beginning`, `now`, the number of the event after which it goes on, or a time (2026-01-31T12:00:00Z).")
    var place: LogPlace

    func run() async throws {
        let command = self
        try await node.ask(Program.modules, orStopped: true) { admin in
            let reached = try await admin.seek(
                .init(subscription: command.subscription, number: command.place.number, time: command.place.time))
            say("\(command.subscription) goes on after \(reached.number)")
        }
    }
}

/// A place in a log, as a person says it.
enum LogPlace: ExpressibleByArgument, Sendable {
    case now
    case after(Int64)
    case time(Date)

    init?(argument: String) {
        switch argument {
        case "now": self = .now
        case "beginning": self = .after(0)
        default:
            if let number = Int64(argument), number >= 0 {
                self = .after(number)
            } else if let date = Timestamp.date(argument) {
                self = .time(date)
            } else {
                return nil
            }
        }
    }

    var number: Int64? { if case .after(let number) = self { number } else { nil } }
    var time: Date? { if case .time(let date) = self { date } else { nil } }
}

extension Client<AdminAPI> {
    /// The node's subscriptions; with a name, that one, and an error that says which there are if there is none of it.
    func subscriptions(_ name: String?) async throws -> [AdminAPI.Status.Subscription] {
        let known = try await self.status(.init()).subscriptions
        guard let name else { return known }
        guard let found = known.first(where: { $0.name == name }) else {
            let names = known.map(\.name).joined(separator: ", ")
            throw UnknownName("there is no subscription '\(name)' on this node; there are: \(names)")
        }
        return [found]
    }
}

/// Something that was asked for by its name, and is not there.
struct UnknownName: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A value as JSON on a line.
func line(_ value: some Encodable) throws -> String {
    String(decoding: try JSON.encode(value), as: UTF8.self)
}

/// JSON that was given on the command line.
func payload(_ text: String) throws -> JSONValue {
    do { return try JSON.decode(JSONValue.self, from: Array(text.utf8)) } catch {
        complain("the payload is no JSON: \(error)")
        throw ExitCode(Exit.failure)
    }
}

/// Tells a person how far a long work is: on standard error, over the line before, and only where somebody looks.
func tell(_ progress: String) {
    guard isatty(2) == 1 else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K\(progress)".utf8))
}

extension AdminAPI.Status.Subscription {
    /// Where it stands, in a line.
    var line: String {
        var text = "\(name): at \(scanned), \(lag) behind"
        if let age, lag > 0 { text += " (\(Int(age.rounded())) s)" }
        if blockedKeys > 0 { text += ", \(blockedKeys) keys blocked" }
        if deadLetters > 0 { text += ", \(deadLetters) dead letters" }
        if let problem { text += ", \(problem)" }
        return text
    }
}
