import ArgumentParser
import DovetailCore
import DovetailModules
import DovetailSagas

/// `sagas readers`: what takes in the events that start sagas and that they wait for.
struct SagaReadersCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "readers",
            abstract: "Shows how far sagas have read their events, what holds them up, and what was put aside.",
            discussion:
                "What a saga cannot read it does not get past: no instance starts then, and none sees what it waits for. `events check-stored` says what else there is of the kind."
        )
    }

    @OptionGroup var node: NodeOptions

    func run() async throws {
        let json = node.json
        try await node.ask(Program.modules) { admin in
            let list = try await admin.sagaReaders(.init())
            if json { return say(String(decoding: try JSON.encode(list), as: UTF8.self)) }
            for reader in list.readers { say(reader.line) }
            if list.readers.isEmpty { say("no saga of this node reads events") }
            for event in list.parked {
                say("put aside by \(event.saga): \(event.type) v\(event.version) at \(event.position): \(event.error)")
            }
        }
    }
}

/// `sagas pass`: has the event put aside that a saga cannot read.
struct SagaPassCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "pass", abstract: "Has the event put aside that a saga's reader cannot get past.",
            discussion:
                "On record. The reader goes on at its next try, within half a minute; the event is taken in when the node starts with a program that can read it."
        )
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The saga's name.")
    var saga: String

    @Argument(help: "The event's number in the log, as `sagas readers` prints it.")
    var position: Int64

    @Option(help: "Why, for the record.")
    var reason: String?

    func run() async throws {
        let command = self
        try await node.ask(Program.modules) { admin in
            _ = try await admin.passSagaEvent(
                .init(saga: command.saga, position: command.position, reason: command.reason))
            say("put aside, and on record; `sagas readers` says how far the saga comes")
        }
    }
}

extension AdminAPI.SagaReader {
    /// The reader, as an operator reads it.
    var line: String {
        "\(saga): at \(scanned), \(lag) behind" + (parked.flatMap { $0 > 0 ? ", \($0) events put aside" : nil } ?? "")
            + (blocked.map { ", blocked by \($0)" } ?? "")
    }
}
