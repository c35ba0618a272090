import ArgumentParser
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailSQLite
import Foundation

/// `events publish`: puts an event into a node's log.
struct PublishCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "publish", abstract: "Publishes an event; returns when it is durable.",
            discussion: "What a contract declares has to be what it says. Sent again under its id, nothing changes.")
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The topic, as order.placed.")
    var type: String

    @Option(help: "The payload, as JSON.")
    var data = "{}"

    @Option(help: "The value that orders it; the id unless given.")
    var key: String?

    @Option(help: "The payload's version.")
    var version: Int?

    @Option(help: "Who publishes it.")
    var source: String?

    @Option(help: "Its id; a new one unless given.")
    var id: String?

    @Option(help: "When it is published, as 2026-01-31T12:00:00Z; at once unless given.")
    var at: String?

    func run() async throws {
        let command = self
        let data = try payload(data)
        let due = try at.map { text in
            guard let date = Timestamp.date(text) else {
                throw ValidationError("--at has to be a time as 2026-01-31T12:00:00Z, and is '\(text)'")
            }
            return date
        }
        try await node.ask(Program.modules, orStopped: true) { admin in
            let published = try await admin.publish(
                .init(
                    type: command.type, version: command.version, key: command.key, source: command.source,
                    id: command.id, data: data, at: due))
            if command.node.json { return say(try line(published)) }
            let place = published.position.map { "at \($0)" } ?? "when its time has come"
            say("\(published.id) \(place)\(published.wasDuplicate ? " (it was there already)" : "")")
        }
    }
}

/// `events replay`: takes events of the past to a subscription's handler once more.
struct ReplayCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "replay", abstract: "Takes events of the past to a subscription's handler once more.",
            discussion:
                "The subscription stays where it is. What its handler does under the event's key is not done again; all else is."
        )
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The subscription.")
    var subscription: String

    @Option(help: "Begins there: `beginning`, a number, or a time.")
    var from: LogPlace

    @Option(help: "Ends with this number; the log's last one unless given.")
    var to: Int64?

    @Option(help: "At most so many a second.")
    var rate: Double?

    @Flag(help: "Only counts them.")
    var dryRun = false

    func run() async throws {
        let command = self
        try await node.ask(Program.modules, orStopped: command.dryRun) { admin in
            let lines = try await admin.replay(
                .init(
                    subscription: command.subscription, after: command.from.number, from: command.from.time,
                    end: command.to, rate: command.rate, dryRun: command.dryRun))
            for try await progress in lines {
                if let failure = progress.failure { throw UnknownName(failure) }
                if command.node.json {
                    say(try line(progress))
                } else if progress.isDone {
                    for failure in progress.failures { say(failure) }
                    say(
                        command.dryRun
                            ? "\(progress.matched) events would be replayed"
                            : "\(progress.handled) handled, \(progress.failed) failed, up to \(progress.end)")
                } else {
                    tell(
                        "\(progress.number) of \(progress.end), \(progress.handled) handled, \(progress.failed) failed")
                }
            }
        }
    }
}

/// `events forget`: forgets a subscription that no program has any more.
struct ForgetCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "forget",
            abstract: "Forgets a subscription that is no more part of the program, with its dead letters.",
            discussion: "Until then it holds back in the log what it has not seen.")
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The subscription.")
    var subscription: String

    func run() async throws {
        let name = subscription
        try await node.ask(Program.modules, orStopped: true) { admin in
            _ = try await admin.forget(.init(subscription: name))
            say("\(name) is forgotten")
        }
    }
}

/// `events schedule`: what waits for its time.
struct ScheduleCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "schedule", abstract: "Shows events that wait for their time, and takes them back.",
            subcommands: [List.self, Cancel.self], defaultSubcommand: List.self)
    }

    struct List: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "list", abstract: "Lists what waits, the next first.")
        }

        @OptionGroup var node: NodeOptions

        @Option(help: "At most so many.")
        var limit = 20

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let schedule = try await admin.scheduled(.init(limit: command.limit))
                for event in schedule.events {
                    say(
                        command.node.json
                            ? try line(event)
                            : "\(event.id)  \(Timestamp.text(event.due) ?? "")  \(event.type)  \(event.key)")
                }
                if schedule.events.isEmpty, !command.node.json { say("nothing waits") }
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "cancel", abstract: "Takes back an event that waits.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The event's id.")
        var id: String

        func run() async throws {
            let id = id
            try await node.ask(Program.modules, orStopped: true) { admin in
                _ = try await admin.cancelScheduled(.init(id: id))
                say("\(id) is taken back")
            }
        }
    }
}

/// `events verify`: looks through a whole log.
struct VerifyCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "verify", abstract: "Proves that a log is whole, or says what is broken where.",
            discussion:
                "Looks at every event, beside the work of a running node. Ends with status 1 if something is wrong.")
    }

    @OptionGroup var node: NodeOptions

    func run() async throws {
        let json = node.json
        let isWhole = try await node.ask(Program.modules, orStopped: true) { admin in
            var isWhole = false
            for try await progress in try await admin.verify(.init()) {
                if let failure = progress.failure { throw UnknownName(failure) }
                guard let findings = progress.findings else {
                    tell("\(progress.number) of \(progress.head)")
                    continue
                }
                isWhole = findings.isEmpty
                if json {
                    say(try line(progress))
                } else {
                    for finding in findings { say(finding) }
                    let sum =
                        "\(progress.events ?? 0) events, \(progress.reclaimed ?? 0) reclaimed, up to \(progress.head)"
                    say(isWhole ? "the log is whole: \(sum)" : "the log is damaged: \(sum); restore a backup")
                }
            }
            return isWhole
        }
        if !isWhole { throw ExitCode(Exit.failure) }
    }
}

/// `events backup`: copies a store while its node runs.
struct BackupCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "backup", abstract: "Copies a node's log and read models into a new folder, while it runs.")
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The folder, which must not be there yet; on the node's machine.")
    var target: String

    func run() async throws {
        let (json, folder) = (node.json, resolve(target, in: node.options.folder))
        try await node.ask(Program.modules, orStopped: true) { admin in
            for try await progress in try await admin.backup(.init(folder: folder)) {
                if let failure = progress.failure { throw UnknownName(failure) }
                if json {
                    say(try line(progress))
                } else if let head = progress.head {
                    say("\(folder): the log up to \(head)")
                } else {
                    tell("\(progress.step) \(Int(progress.done * 100)) %")
                }
            }
        }
    }
}

/// `events restore`: makes a store of a backup.
struct RestoreCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "restore", abstract: "Makes a node's store of a backup; the node must not have one.",
            discussion: "The log begins a new life: positions that were given out before are refused from then on.")
    }

    @OptionGroup var node: NodeOptions

    @Argument(help: "The backup's folder.")
    var backup: String

    func run() async throws {
        let configuration = try node.options.load(ModuleCatalog(Program.modules))
        let name = node.node ?? configuration.nodes.first?.name ?? ""
        guard let placement = configuration.node(named: name), let path = placement.store.path else {
            complain("there is no node '\(name)' with a store on disk in \(node.options.config)")
            throw ExitCode(Exit.configuration)
        }
        do {
            let manifest = try await SQLiteStore.restore(
                resolve(backup, in: node.options.folder), to: resolve(path, in: node.options.folder)
            ) { tell($0.step) }
            say(
                node.json
                    ? try line(manifest)
                    : "\(path): the log up to \(manifest.head), in a new life; see `events verify`")
        } catch {
            complain("\(error)")
            throw ExitCode((error as? LogError)?.code == .locked ? Exit.unavailable : Exit.failure)
        }
    }
}
