import ArgumentParser
import DovetailCore
import DovetailModules
import DovetailSagas
import Foundation

/// `sagas`: what the sagas of a node are at, and what an operator may do about it.
struct SagasCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "sagas", abstract: "Shows what the sagas of a node are at, and intervenes.",
            subcommands: [
                List.self, Show.self, Retry.self, Skip.self, Compensate.self, Cancel.self, Signal.self,
                SagaReadersCommand<Program>.self, SagaPassCommand<Program>.self,
                SagaCheckCommand<Program>.self, SagaDiagramCommand<Program>.self,
            ])
    }

    struct List: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "list", abstract: "Lists instances, the youngest first.")
        }

        @OptionGroup var node: NodeOptions

        @Option(help: "Only in this status: \(SagaStatus.allCases.map(\.rawValue).joined(separator: ", ")).")
        var status: SagaStatus?

        @Option(help: "Only of this saga.")
        var saga: String?

        @Option(help: "At most so many.")
        var limit = 20

        func run() async throws {
            let query = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let page = try await admin.sagas(.init(saga: query.saga, status: query.status, limit: query.limit))
                for record in page.sagas {
                    if query.node.json {
                        say(String(decoding: try JSON.encode(record), as: UTF8.self))
                    } else {
                        say(
                            "\(record.id)  \(record.startedAt.clock)  \(record.saga)  \(record.status.rawValue)\(record.place)"
                        )
                    }
                }
                if query.node.json { return }
                if page.sagas.isEmpty { say("no sagas") }
                for reader in try await admin.status(.init()).sagaReaders ?? [] where reader.blocked != nil {
                    complain("\(reader.line); see `sagas readers`")
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "show", abstract: "Shows an instance and its journal.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The instance's id, as `sagas list` prints it.")
        var id: String

        func run() async throws {
            let (id, json) = (id, node.json)
            try await node.ask(Program.modules, orStopped: true) { admin in
                let detail = try await admin.saga(.init(id: id))
                if json { return say(String(decoding: try JSON.encode(detail), as: UTF8.self)) }
                for line in detail.timeline { say(line) }
            }
        }
    }

    struct Retry: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "retry", abstract: "Has the steps that an instance is stuck at tried again, at once.")
        }

        @OptionGroup var intervention: InterventionOptions

        func run() async throws { try await intervention.ask(.retry, Program.modules) }
    }

    struct Skip: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "skip", abstract: "Counts the steps that an instance is stuck at as done.",
                discussion: "For what was done by hand. The step has no result; its undo is owed if it was in doubt.")
        }

        @OptionGroup var intervention: InterventionOptions

        func run() async throws { try await intervention.ask(.skip, Program.modules) }
    }

    struct Compensate: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "compensate", abstract: "Turns an instance back, also behind its pivot.")
        }

        @OptionGroup var intervention: InterventionOptions

        func run() async throws { try await intervention.ask(.compensate, Program.modules) }
    }

    struct Cancel: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "cancel", abstract: "Turns an instance back, if it is before its pivot.")
        }

        @OptionGroup var intervention: InterventionOptions

        func run() async throws { try await intervention.ask(.cancel, Program.modules) }
    }

    struct Signal: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "signal", abstract: "Tells an instance what was decided, once for each decision.")
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "The instance's id, as `sagas list` prints it.")
        var id: String

        @Argument(help: "The step that waits for it.")
        var name: String

        @Argument(help: "What was decided, as JSON.")
        var value: String

        func run() async throws {
            let command = self
            guard let value = try? JSON.decode(JSONValue.self, from: Array(value.utf8)) else {
                complain("'\(value)' is no JSON; text stands in quotes, as '\"yes\"'")
                throw ExitCode(Exit.failure)
            }
            try await node.ask(Program.modules, orStopped: true) { admin in
                _ = try await admin.signalSaga(.init(id: command.id, name: command.name, value: value))
                say("told; `sagas show \(command.id)` says what comes of it")
            }
        }
    }
}

/// What the commands that intervene have in common.
struct InterventionOptions: ParsableArguments {
    @OptionGroup var node: NodeOptions

    @Argument(help: "The instance's id, as `sagas list` prints it.")
    var id: String

    @Option(help: "Only what it is at in this step.")
    var step: String?

    @Option(help: "Why, for the record.")
    var reason: String?

    /// Asks the node for it; one that is stopped keeps it, and does it when it runs.
    func ask(_ action: SagaIntervention.Action, _ modules: [Module]) async throws {
        let options = self
        try await node.ask(modules, orStopped: true) { admin in
            _ = try await admin.interveneInSaga(
                .init(id: options.id, action: action, step: options.step, reason: options.reason))
            say("asked for, and on record; `sagas show \(options.id)` says what comes of it")
        }
    }
}

/// `sagas diagram`: a saga as it is defined.
struct SagaDiagramCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "diagram", abstract: "Draws a saga, as a Mermaid flowchart.")
    }

    @Argument(help: "The saga's name.")
    var name: String

    func run() async throws {
        let sagas = ModuleCatalog(Program.modules).looked.flatMap(\.parts.sagas).map(\.description)
        guard let saga = sagas.first(where: { $0.name == name }) else {
            complain("there is no saga '\(name)'; there are \(sagas.map(\.name).joined(separator: ", "))")
            throw ExitCode(Exit.failure)
        }
        say(saga.mermaid)
    }
}

extension SagaStatus: ExpressibleByArgument {}

extension SagaRecord {
    /// The steps it is at, for a line of a list.
    fileprivate var place: String { steps.isEmpty ? "" : " at \(steps.joined(separator: ", "))" }
}

extension AdminAPI.SagaDetail {
    /// The instance and its journal, as an operator reads it.
    fileprivate var timeline: [String] {
        var lines = ["\(record.saga) \(record.id): \(record.status.rawValue)", "correlation \(record.correlationID)"]
        if let parent = record.parent { lines.append("child of \(parent)") }
        for entry in journal {
            let attempt = entry.attempt > 1 ? " (attempt \(entry.attempt))" : ""
            let detail = entry.detail.map { "  \($0)" } ?? ""
            let took = entry.finishedAt.timeIntervalSince(entry.startedAt)
            let duration = took > 0 ? " in \(Int((took * 1000).rounded())) ms" : ""
            let step = entry.step.isEmpty ? "" : " \(entry.step)"
            lines.append(
                "  \(entry.finishedAt.clock)  \(entry.kind.rawValue)\(step): \(entry.outcome.rawValue)\(attempt)\(duration)\(detail)"
            )
        }
        if let damage = record.damage { lines.append("  its row cannot be read: \(damage)") }
        for lock in locks ?? [] where lock.id == record.id {
            let holder = (locks ?? []).first { $0.resource == lock.resource && $0.key == lock.key && $0.state == .held }
            let place = "\(lock.resource) '\(lock.key)' at \(lock.step)"
            switch lock.state {
            case .held: lines.append("  holds \(place), with the token \(lock.token)")
            case .waiting:
                lines.append("  waits for \(place), held by \(holder.map { "\($0.saga) \($0.id)" } ?? "nobody")")
            case .deadlock: lines.append("  was refused \(place): its holder waits for what it holds itself")
            }
        }
        for task in record.progress.tasks {
            let step = task.step.isEmpty ? "compensated" : task.step
            if task.isStuck {
                lines.append("  stuck at \(step): \(task.failure ?? "")")
                lines.append("  mend the cause and `sagas retry`, or `skip` what was done by hand, or `compensate`")
            } else if let awaits = task.awaits, task.isArmed {
                let until = task.dueAt.map { " until \(Timestamp.text($0) ?? $0.clock)" } ?? ""
                lines.append("  at \(step): waits for \(awaits.topic) with key \(awaits.key)\(until)")
            } else {
                let due = task.dueAt.map { ", due at \(Timestamp.text($0) ?? $0.clock)" } ?? ""
                lines.append("  at \(step)\(due)\(task.attempts > 0 ? ", after \(task.attempts) attempts" : "")")
            }
        }
        return lines
    }
}
