import ArgumentParser
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules
import DovetailObservability
import Foundation

/// The options of the commands that ask a running node.
struct NodeOptions: ParsableArguments {
    @OptionGroup var options: ConfigurationOptions

    @Option(help: "The node to ask; the first one unless given.")
    var node: String?

    @Flag(help: "Prints JSON, one object a line.")
    var json = false

    /// Asks a node through its admin door. One that does not run is looked at in its store where the question allows it; otherwise it is said that it does not run.
    func ask<Value: Sendable>(
        _ modules: [Module], orStopped: Bool = false, _ question: @Sendable (Client<AdminAPI>) async throws -> Value
    ) async throws -> Value {
        let configuration = try options.load(ModuleCatalog(modules))
        let name = node ?? configuration.nodes.first?.name ?? ""
        guard configuration.nodes.contains(where: { $0.name == name }) else {
            complain("there is no node '\(name)' in \(options.config)")
            throw ExitCode(Exit.configuration)
        }
        let (client, transport) = configuration.adminClient(of: name, in: options.folder)
        do {
            let value = try await question(client)
            try await transport.shutdown()
            return value
        } catch {
            try? await transport.shutdown()
            if let error = error as? CallError, error.code == .unreachable {
                let isKept = configuration.node(named: name)?.store.engine == .sqlite
                if orStopped, isKept {
                    return try await askStopped(configuration, modules, name, question)
                }
                complain(
                    "node '\(name)' is not running: nothing answers at \(configuration.adminAddress(of: name, in: options.folder))"
                )
                throw ExitCode(Exit.unavailable)
            }
            complain("\(error)")
            throw ExitCode(Exit.failure)
        }
    }
}

extension NodeOptions {
    private func askStopped<Value: Sendable>(
        _ configuration: PlatformConfiguration, _ modules: [Module], _ name: String,
        _ question: @Sendable (Client<AdminAPI>) async throws -> Value
    ) async throws -> Value {
        do {
            let (client, vault, close) = try await Client<AdminAPI>.ofStopped(
                configuration, modules: modules, node: name, folder: options.folder)
            do {
                let value = try await PersonalData.$vault.withValue(vault) { try await question(client) }
                await close()
                return value
            } catch {
                await close()
                throw error
            }
        } catch {
            complain("\(error)")
            throw ExitCode((error as? LogError)?.code == .locked ? Exit.unavailable : Exit.failure)
        }
    }
}

/// `events`: looks into a node's log.
struct EventsCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "events", abstract: "Looks into a node's log, and at who reads it.",
            subcommands: [
                Tail.self, PublishCommand<Program>.self, SubscriptionsCommand<Program>.self,
                DeadLettersCommand<Program>.self, SeekCommand<Program>.self, ReplayCommand<Program>.self,
                ForgetCommand<Program>.self, ScheduleCommand<Program>.self, VerifyCommand<Program>.self,
                CheckStoredCommand<Program>.self, StreamsCommand<Program>.self,
                BackupCommand<Program>.self, RestoreCommand<Program>.self,
            ])
    }

    struct Tail: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "tail", abstract: "Prints events in the order of the log, and those to come.")
        }

        @OptionGroup var node: NodeOptions

        @Option(help: "Begins after this number; with the last ten events unless given.")
        var after: Int64?

        @Option(name: .customLong("type"), help: "Only events of this topic; may be given several times.")
        var types: [String] = []

        @Option(help: "Stops after so many.")
        var limit: Int?

        @Flag(inversion: .prefixedNo, help: "Waits for events to come.")
        var follow = true

        func run() async throws {
            let query = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let head = try await admin.status(.init()).head
                let events = try await admin.events(
                    .init(
                        after: query.after ?? max(0, head - 10), types: query.types.isEmpty ? nil : query.types,
                        limit: query.limit, follow: query.follow))
                for try await event in events {
                    if query.node.json {
                        say(String(decoding: try JSON.encode(event), as: UTF8.self))
                    } else {
                        let data = String(decoding: try JSON.encode(event.data), as: UTF8.self)
                        say(
                            "\(event.number)  \(event.time.clock)  \(event.type)  \(event.stream ?? event.key)  \(data)"
                        )
                    }
                }
            }
        }
    }
}

/// `trace`: one flow through all nodes.
struct TraceCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "trace", abstract: "Shows the spans of a trace, from all nodes that run.")
    }

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: "The trace id: 32 hexadecimal digits.")
    var id: String

    func run() async throws {
        let configuration = try options.load(ModuleCatalog(Program.modules))
        var spans: [FinishedSpan] = []
        for node in configuration.nodes {
            let (client, transport) = configuration.adminClient(of: node.name, in: options.folder)
            do {
                spans += try await client.trace(.init(id: id)).spans
            } catch {
                complain("node '\(node.name)' was not asked: \(error)")
            }
            try? await transport.shutdown()
        }
        say(TraceTimeline.render(spans))
    }
}

/// `status`: how a node does.
struct StatusCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "status", abstract: "Shows how a node does.")
    }

    @OptionGroup var node: NodeOptions

    func run() async throws {
        let json = node.json
        try await node.ask(Program.modules) { admin in
            let status = try await admin.status(.init())
            if json { return say(String(decoding: try JSON.encode(status), as: UTF8.self)) }
            say("\(status.platform): node \(status.node) with \(status.modules.joined(separator: ", "))")
            say("log: head \(status.head), durable on \(status.durability)")
            if let trouble = status.trouble { say("log: \(trouble)") }
            for view in status.views {
                say(
                    "view \(view.projection): at \(view.scanned), \(status.head - view.scanned) behind"
                        + (view.parked.flatMap { $0 > 0 ? ", \($0) events put aside" : nil } ?? "")
                        + (view.blocked.map { ", blocked by \($0)" } ?? ""))
            }
            for subscription in status.subscriptions { say("subscription \(subscription.line)") }
            for feed in status.feeds {
                say("\(feed.name): at \(feed.scanned) of \(feed.head)" + (feed.problem.map { ", \($0)" } ?? ""))
            }
            if status.scheduled > 0 { say("scheduled: \(status.scheduled) events") }
            if status.retention.reclaimed > 0 { say("retention: \(status.retention.reclaimed) events reclaimed") }
            if let hold = status.retention.hold { say("retention: held by \(hold)") }
            if let problem = status.retention.problem { say("retention: \(problem)") }
            for name in status.retention.forgotten {
                say("subscription \(name): known to the log, not to this program; see `events forget`")
            }
            for (state, count) in status.sagas.sorted(by: { $0.key < $1.key }) {
                let hint = state == "stuck" ? "; see `sagas list --status stuck`" : ""
                say("sagas \(state): \(count)\(hint)")
            }
            for reader in status.sagaReaders ?? [] { say("saga \(reader.line)") }
            for calls in status.calls {
                say(
                    "calls to \(calls.callee): \(calls.calls), \(calls.failed) failed, \(calls.retries) retries, circuit opened \(calls.circuitOpenings) times"
                )
            }
        }
    }
}

extension Date {
    /// The time of day in UTC, to the millisecond.
    var clock: String {
        let milliseconds = Int((timeIntervalSince1970 * 1000).rounded()) % 86_400_000
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let rest = milliseconds % 1000
        return "\(two(milliseconds / 3_600_000)):\(two(milliseconds / 60_000 % 60)):\(two(milliseconds / 1000 % 60))."
            + (rest < 10 ? "00\(rest)" : rest < 100 ? "0\(rest)" : "\(rest)")
    }
}
