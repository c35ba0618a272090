import ArgumentParser
import DovetailCore
import DovetailModules

/// `privacy`: people whose data is kept.
struct PrivacyCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "privacy", abstract: "Forgets people, and shows whose personal data is kept.",
            subcommands: [Forget.self, Status.self, Subjects.self, BackupKeys.self])
    }

    /// Who is meant.
    struct Chosen: ParsableArguments {
        @Argument(help: "The subject's id, as user-7.")
        var subject: String
    }

    struct Forget: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "forget", abstract: "Makes a subject's personal data unreadable, everywhere and for good.",
                discussion:
                    "Its keys are deleted on this node; the others delete theirs when the event 'dovetail.privacy.subject-forgotten' reaches them. It cannot be undone."
            )
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Option(help: "Why; kept, so nothing personal belongs into it.")
        var reason: String?

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let status = try await admin.forgetSubject(
                    .init(subject: command.chosen.subject, reason: command.reason))
                say(command.node.json ? try line(status) : status.line)
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "status", abstract: "Shows what a node knows of a subject.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let status = try await admin.subject(.init(subject: command.chosen.subject))
                say(command.node.json ? try line(status) : status.line)
            }
        }
    }

    struct Subjects: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "subjects", abstract: "Lists the subjects that a node has keys of, or has forgotten.")
        }

        @OptionGroup var node: NodeOptions

        @Option(help: "Subjects whose ids come after this one.")
        var after: String?

        @Option(help: "How many at most.")
        var limit = 100

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let page = try await admin.subjects(.init(after: command.after, limit: command.limit))
                for subject in page.subjects { say(command.node.json ? try line(subject) : subject.line) }
                if page.subjects.isEmpty, !command.node.json { say("there are none") }
            }
        }
    }

    struct BackupKeys: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "backup-keys", abstract: "Copies a node's keys into a new file.",
                discussion:
                    "Keep it apart from the backups of the log. Brought back as <log>.keys beside the log, it forgets at the next start whom the log says to be forgotten."
            )
        }

        @OptionGroup var node: NodeOptions

        @Argument(help: "A file of the node's machine that is not there yet.")
        var file: String

        func run() async throws {
            let file = file
            try await node.ask(Program.modules, orStopped: true) { admin in
                _ = try await admin.backUpKeys(.init(file: file))
                say("the keys are in \(file)")
            }
        }
    }
}

extension AdminAPI.SubjectLine {
    /// What is known of it, in a line.
    fileprivate var line: String {
        if let forgottenAt {
            let why = reason.map { " (\($0))" } ?? ""
            return "\(subject): forgotten at \(Timestamp.text(forgottenAt) ?? "a time before")\(why)"
        }
        let first = since.flatMap { Timestamp.text($0) }.map { ", the first since \($0)" } ?? ""
        return "\(subject): \(keys) \(keys == 1 ? "key" : "keys")\(first)"
    }
}
