import ArgumentParser
import DovetailContracts
import DovetailCore
import DovetailGateway
import DovetailModules
import Foundation
import JWTKit

/// `routes`: what can be reached from outside, from the configuration and the contracts.
struct RoutesCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "routes", abstract: "Shows what can be reached from outside.",
            subcommands: [List.self, Explain.self], defaultSubcommand: List.self)
    }

    struct List: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "list", abstract: "Lists the gateway's routes.")
        }

        @OptionGroup var options: ConfigurationOptions

        func run() async throws {
            let plan = try RoutePlan(Program.modules, options)
            for line in plan.lines { say(line) }
        }
    }

    struct Explain: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "explain", abstract: "Says where a request goes, and why.")
        }

        @OptionGroup var options: ConfigurationOptions

        @Argument(help: "A request, as 'GET /api/orders/7'.")
        var request: String

        @Option(name: [.customShort("H"), .long], help: "A header of the request, as 'X-Beta: 1'; may be given again.")
        var header: [String] = []

        func run() async throws {
            let headers = try header.map { text in
                let parts = text.split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else { throw ValidationError("a header is a name and a value, as 'X-Beta: 1'") }
                return (String(parts[0]), parts[1].trimmingCharacters(in: .whitespaces))
            }
            for line in try RoutePlan(Program.modules, options).explain(request, headers: headers) { say(line) }
        }
    }
}

/// `diff`: what changes for those outside.
struct DiffCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "diff", abstract: "Says what changes from one configuration file to another.",
            discussion: """
                A line for each route, upstream, authenticator, policy and section that differs, with the routes that it concerns and the old and the \
                new value of each key, and for each section that takes a restart. What opens something, or takes away what protects it, begins with an \
                exclamation mark.
                """)
    }

    @Argument(help: "The file as it is.") var old: String
    @Argument(help: "The file as it is to be.") var new: String

    func run() async throws {
        let catalog = ModuleCatalog(Program.modules)
        let folder = FileManager.default.currentDirectoryPath
        do {
            let configurations = try [old, new].map {
                try PlatformConfiguration.load(file: $0, modules: catalog.declared)
            }
            let plans = try configurations.map { try RoutePlan($0, catalog: catalog, folder: folder).compiled }
            let restarts = configurations[0].sectionsThatTakeARestart(to: configurations[1])
            let lines = ConfigurationDifference(
                from: configurations[0], to: configurations[1], plans: (plans[0], plans[1])
            ).lines
            for line in lines { say(line) }
            for section in restarts { say("~ \(section) changes, and takes a restart") }
            if lines.isEmpty, restarts.isEmpty { say("nothing changes") }
        } catch {
            complain("\(error)")
            throw ExitCode(Exit.configuration)
        }
    }
}

/// `openapi`: the documents of the contracts.
struct OpenAPICommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "openapi", abstract: "Prints the OpenAPI 3.1 document of modules.")
    }

    @Argument(help: "The modules; all of them unless given.")
    var modules: [String] = []

    func run() async throws {
        let catalog = ModuleCatalog(Program.modules)
        if let unknown = modules.first(where: { catalog.parts[$0] == nil }) {
            complain(
                "there is no module '\(unknown)'; there are \(catalog.modules.map(\.name).joined(separator: ", "))")
            throw ExitCode(Exit.failure)
        }
        let chosen = catalog.modules.filter { modules.isEmpty || modules.contains($0.name) }
        let contracts = chosen.flatMap { catalog.parts[$0.name]?.contracts ?? [] }
        let document = try OpenAPI.document(
            for: contracts, title: chosen.map(\.name).joined(separator: ", "))
        say(String(decoding: try JSON.encode(document), as: UTF8.self))
    }
}

/// `token`: a token for trying the platform out.
struct TokenCommand<Program: Platform>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "token", abstract: "Prints a token for trying the platform out.",
            discussion: "Works for authenticators with a shared secret only; others' tokens come from their issuer.")
    }

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: "Whom the token is for (`sub`).")
    var subject: String

    @Option(help: "What it permits, words with spaces between them.")
    var scope = ""

    @Option(help: "The authenticator; the first one unless given.")
    var authenticator: String?

    @Option(help: "How many minutes it is valid.")
    var minutes = 60

    func run() async throws {
        let configuration = try options.load(ModuleCatalog(Program.modules))
        let authenticators = configuration.gateway?.authentication ?? [:]
        guard let name = authenticator ?? authenticators.keys.sorted().first,
            case .jwt(let jwt)? = authenticators[name], case .secret(let secret) = jwt.keys
        else {
            complain("no authenticator with a shared secret is configured\(authenticator.map { " as '\($0)'" } ?? "")")
            throw ExitCode(Exit.configuration)
        }
        let keys = JWTKeyCollection()
        await keys.add(hmac: .init(stringLiteral: secret.revealed), digestAlgorithm: .sha256)
        let claims = DevelopmentClaims(
            iss: .init(value: jwt.issuer), aud: .init(value: jwt.audience), sub: .init(value: subject),
            exp: .init(value: Date().addingTimeInterval(Double(minutes) * 60)), scope: scope)
        say(try await keys.sign(claims))
    }
}

/// What a token for trying out says.
private struct DevelopmentClaims: JWTPayload {
    var iss: IssuerClaim
    var aud: AudienceClaim
    var sub: SubjectClaim
    var exp: ExpirationClaim
    var scope: String

    func verify(using algorithm: some JWTAlgorithm) throws {
        try exp.verifyNotExpired()
    }
}
