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
        try await node.ask(Program.modules) { admin in
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
            subcommands: [List.self, Show.self, Redrive.self, Discard.self])
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
            try await node.ask(Program.modules) { admin in
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
            try await node.ask(Program.modules) { admin in
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

    struct Redrive: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "redrive",
                abstract: "Has dead letters tried again, and in order what waits behind them.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The subscription.")
        var subscription: String

        @Argument(help: "The event's number; all of the subscription's unless given.")
        var number: Int64?

        func run() async throws {
            let command = self
            try await node.ask(Program.modules) { admin in
                if let number = command.number {
                    _ = try await admin.redrive(.init(subscription: command.subscription, position: number))
                    return say("\(number) is tried again")
                }
                _ = try await admin.subscriptions(command.subscription)
                var after: Int64 = 0
                var count = 0
                while true {
                    let page = try await admin.deadLetters(
                        .init(subscription: command.subscription, after: after, limit: 1000))
                    guard let last = page.letters.last else { break }
                    for letter in page.letters {
                        do {
                            _ = try await admin.redrive(
                                .init(subscription: command.subscription, position: letter.position))
                            count += 1
                        } catch AdminAPI.refused {
                            // It waits behind another of its key, and follows by itself.
                        }
                    }
                    after = last.position
                }
                say("\(count) are tried again")
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

    @Argument(help: "`beginning`, `now`, or the number of the event after which it goes on.")
    var place: Place

    enum Place: ExpressibleByArgument, Sendable {
        case now
        case after(Int64)

        init?(argument: String) {
            switch argument {
            case "now": self = .now
            case "beginning": self = .after(0)
            default:
                guard let number = Int64(argument), number >= 0 else { return nil }
                self = .after(number)
            }
        }
    }

    func run() async throws {
        let command = self
        try await node.ask(Program.modules) { admin in
            var number: Int64?
            if case .after(let given) = command.place { number = given }
            _ = try await admin.seek(.init(subscription: command.subscription, number: number))
            say("\(command.subscription) goes on after \(number.map { "\($0)" } ?? "the last event")")
        }
    }
}

extension Client<AdminAPI> {
    /// The node's subscriptions; with a name, that one, and an error that says which there are if there is none of it.
    fileprivate func subscriptions(_ name: String?) async throws -> [AdminAPI.Status.Subscription] {
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

private func line(_ value: some Encodable) throws -> String {
    String(decoding: try JSON.encode(value), as: UTF8.self)
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
