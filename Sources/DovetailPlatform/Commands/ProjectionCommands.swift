import ArgumentParser
import DovetailCore
import DovetailModules
import Foundation

/// `projections`: the read models of a node and their builds.
struct ProjectionsCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "projections", abstract: "Shows the read models of a node, and has them built again.",
            discussion:
                "A new build stands beside the one that answers queries, catches up, and takes its place in one step; that one is kept for a way back.",
            subcommands: [List.self, Rebuild.self, Switch.self, RollBack.self, Drop.self],
            defaultSubcommand: List.self)
    }

    /// Which read model is meant.
    struct Chosen: ParsableArguments {
        @Argument(help: "The read model; as module/name, where several have the name.")
        var projection: String
    }

    struct List: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "list", abstract: "Lists the builds, and how far they are.")
        }

        @OptionGroup var node: NodeOptions

        func run() async throws {
            let json = node.json
            try await node.ask(Program.modules, orStopped: true) { admin in
                let builds = try await admin.projections(.init()).builds
                for build in builds { say(json ? try line(build) : build.line) }
                if builds.isEmpty, !json { say("no module of this node has a read model") }
            }
        }
    }

    struct Rebuild: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "rebuild", abstract: "Begins to build a read model again, beside the one that answers.",
                discussion: "On a node that is stopped, it begins at its next start.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Flag(help: "Has it answer queries by itself once it has caught up.")
        var `switch` = false

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let place = try await admin.projection(command.chosen.projection)
                let build = try await admin.rebuildProjection(
                    .init(module: place.module, projection: place.projection, switching: command.switch))
                say(command.node.json ? try line(build) : build.line)
            }
        }
    }

    struct Switch: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "switch", abstract: "Has queries answered from the build that was under way.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let build = try await admin.switchProjection(try await admin.projection(command.chosen.projection))
                say(command.node.json ? try line(build) : build.line)
            }
        }
    }

    struct RollBack: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "rollback", abstract: "Has queries answered from the build that was active before.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let build = try await admin.rollBackProjection(try await admin.projection(command.chosen.projection))
                say(command.node.json ? try line(build) : build.line)
            }
        }
    }

    struct Drop: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "drop", abstract: "Drops a build that is not the active one.")
        }

        @OptionGroup var node: NodeOptions
        @OptionGroup var chosen: Chosen

        @Option(help: "The build's number.")
        var build: Int

        func run() async throws {
            let command = self
            try await node.ask(Program.modules, orStopped: true) { admin in
                let place = try await admin.projection(command.chosen.projection)
                _ = try await admin.dropProjection(
                    .init(module: place.module, projection: place.projection, build: command.build))
                say("build \(command.build) of \(place.module)/\(place.projection) is dropped")
            }
        }
    }
}

extension Client<AdminAPI> {
    /// The read model of a name, or of `module/name`; an error that says which there are if it is none, or several.
    fileprivate func projection(_ name: String) async throws -> AdminAPI.ByProjection {
        let known = Set(try await self.projections(.init()).builds.map { "\($0.module)/\($0.projection)" }).sorted()
        let found = known.filter { $0 == name || $0.hasSuffix("/\(name)") }
        guard let only = found.first, found.count == 1, let slash = only.firstIndex(of: "/") else {
            let names = (found.isEmpty ? known : found).joined(separator: ", ")
            throw UnknownName(
                found.isEmpty
                    ? "there is no read model '\(name)' on this node; there are: \(names)"
                    : "'\(name)' may be \(names); name its module too")
        }
        return .init(module: String(only[..<slash]), projection: String(only[only.index(after: slash)...]))
    }
}

extension AdminAPI.ProjectionList.Build {
    /// Where it stands, in a line.
    fileprivate var line: String {
        var text = "\(module)/\(projection) v\(version), build \(build): \(state), at \(scanned), \(lag) behind"
        if !isFollowed { text += ", not kept up to date" }
        if parked > 0 { text += ", \(parked) events put aside" }
        if let blocked { text += ", blocked by \(blocked)" }
        return text
    }
}
