import DovetailResilience
import Foundation

/// How a platform is deployed: what `platform.yaml` says, with a default for everything that it leaves out.
///
/// A file is read as a whole or not at all: ``load(file:environment:modules:)`` throws all that is wrong with it at once. An unknown key
/// is an error, as is one that has no effect.
public struct PlatformConfiguration: Sendable {
    /// The platform's name.
    public let platform: String
    /// The nodes, in the file's order: the first one is the one that runs unless another is named.
    public let nodes: [Node]
    /// The door from outside; nil: there is none.
    public let gateway: Gateway?
    /// The services outside of the platform that routes lead to, by name.
    public let upstreams: [String: Upstream]
    /// The policies that the file names, with what they extend.
    public let policies: [String: CallPolicy]
    /// Those of them that say how many calls run at a time: of the others' the gateway does not count its requests.
    let policiesWithBulkhead: Set<String>
    /// The policies of calls to modules that do not go under the policy `default`: module to policy.
    public let calls: [String: String]
    /// The operator's door.
    public let admin: Admin
    /// What the platform tells about itself.
    public let telemetry: Telemetry
    /// What the nodes know of each other.
    public let security: Security
    /// The door for events in any language; nil: there is none.
    public let events: Events?
    /// What is kept of sagas.
    public let sagas: Sagas
    /// How personal data is kept.
    public let privacy: Privacy
    /// Each value that was read, written or by default.
    private(set) var resolved: [ConfigurationPath: ResolvedValue] = [:]
}

extension PlatformConfiguration {
    init(reading section: SectionReader) {
        _ = section.required("version", .formatVersion, "The version of this format.")
        platform = section.required("platform", .name, "The platform's name.")
        nodes = section.required(
            "nodes", .named("nodes by name", PlatformConfiguration.Node.type), "The processes, by name."
        )
        .map(\.value)
        gateway = section.optional(
            "gateway", .section("a gateway section", PlatformConfiguration.Gateway.init), "The one door from outside.")
        upstreams = section.collection(
            "upstreams", .named("upstreams by name", PlatformConfiguration.Upstream.type),
            "Services outside of the platform, by name."
        ).byName()
        let read = section.collection(
            "policies", .named("policies by name") { _ in CallPolicy.configurationType }, "How calls are made, by name."
        )
        policies = read.map { (name: $0.name, value: $0.value.policy) }.byName()
        policiesWithBulkhead = Set(read.filter(\.value.saysBulkhead).map(\.name))
        calls = section.collection(
            "calls", .named("modules with their policies") { _ in .name }, "The policies of calls to modules."
        ).byName()
        admin = section.section(
            "admin", .section("an admin section", PlatformConfiguration.Admin.init), "The operator's door.")
        telemetry = section.section(
            "telemetry", .section("a telemetry section", PlatformConfiguration.Telemetry.init),
            "What the platform tells about itself.")
        security = section.section(
            "security", .section("a security section", PlatformConfiguration.Security.init),
            "What the nodes know of each other."
        )
        events = section.optional(
            "events", .section("an events section", PlatformConfiguration.Events.init),
            "The door for events in any language: CloudEvents over HTTP.")
        sagas = section.section(
            "sagas", .section("a sagas section", PlatformConfiguration.Sagas.init), "What is kept of sagas.")
        privacy = section.section(
            "privacy", .section("a privacy section", PlatformConfiguration.Privacy.init), "How personal data is kept.")
        if nodes.isEmpty { section.report("a platform has at least one node", key: "nodes") }
    }

    static var type: ConfigurationType<PlatformConfiguration> {
        .section("a platform") { PlatformConfiguration(reading: $0) }
    }

    /// Reads a file.
    ///
    /// Blocks until it is read: for the start of a program. Throws every issue of the file, with its line and column.
    /// - Parameters:
    ///   - file: The file's path; messages name it as it is given.
    ///   - environment: What `${NAME}` stands for.
    ///   - modules: The program's modules. Given, the file must place each of them and no others.
    public static func load(
        file: String, environment: [String: String] = ProcessInfo.processInfo.environment,
        modules: [DeclaredModule]? = nil
    ) throws(ConfigurationError) -> PlatformConfiguration {
        var bytes = Data()
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
            defer { try? handle.close() }
            // One byte more than is allowed tells that there is too much, even of a device that never ends.
            while bytes.count <= ConfigurationDocument.maximumBytes,
                let chunk = try handle.read(upToCount: ConfigurationDocument.maximumBytes + 1 - bytes.count),
                !chunk.isEmpty
            {
                bytes.append(chunk)
            }
        } catch {
            let reason = (error as NSError).localizedDescription
            let issue = ConfigurationIssue(
                file: file, position: nil, path: .top, message: "the file cannot be read: \(reason)")
            throw ConfigurationError(issues: [issue])
        }
        return try parse(bytes, file: file, environment: environment, modules: modules)
    }

    /// Reads the bytes of a file; see ``load(file:environment:modules:)``.
    public static func parse(
        _ bytes: some Collection<UInt8>, file: String = "platform.yaml", environment: [String: String] = [:],
        modules: [DeclaredModule]? = nil
    ) throws(ConfigurationError) -> PlatformConfiguration {
        let issues = IssueCollector(file: file)
        guard var root = ConfigurationDocument.read(bytes, environment: environment, issues: issues) else {
            try issues.throwIfAny()
            throw ConfigurationError(issues: [])
        }
        root = PolicyInheritance.resolve(root, issues: issues)
        let place = ConfigurationPlace(path: .top, issues: issues)
        guard var configuration = type.read(root, place) else {
            try issues.throwIfAny()
            throw ConfigurationError(issues: [])
        }
        configuration.resolved = place.values.values
        ConfigurationChecks(configuration, root: root, issues: issues).run(modules: modules)
        try issues.throwIfAny()
        return configuration
    }

    /// The JSON Schema (2020-12) of the file, made of the declarations that read it. Editors complete and check by it.
    public static func jsonSchema() -> String {
        var schema: SchemaValue = [
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A Dovetail platform",
        ]
        if case .object(let members) = type.schema {
            for member in members { schema = schema.with(member.name, member.value) }
        }
        let variable: SchemaValue = [
            "description": "Text from the environment: ${NAME} or ${NAME:-default}", "type": "string",
            "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
        ]
        return schema.with("$defs", ["variable": variable]).text() + "\n"
    }

    /// The node of this name.
    public func node(named name: String) -> PlatformConfiguration.Node? { nodes.first { $0.name == name } }

    /// The policy of calls to a module: the one in `calls`, else `default`, else one of defaults.
    public func policy(forModule module: String) -> CallPolicy { policy(named: calls[module]) }

    /// The policy of calls to an upstream: its own, else `default`, else one of defaults. It has a bulkhead only where the file says one.
    public func policy(forUpstream upstream: String) -> CallPolicy { gatewayPolicy(named: upstreams[upstream]?.policy) }

    /// The policy of the gateway's requests to a module on another node: that of calls to it, with a bulkhead only where the file says one.
    func gatewayPolicy(forModule module: String) -> CallPolicy { gatewayPolicy(named: calls[module]) }

    private func gatewayPolicy(named name: String?) -> CallPolicy {
        var policy = policy(named: name)
        if !policiesWithBulkhead.contains(name ?? "default") { policy.bulkhead = nil }
        return policy
    }

    private func policy(named name: String?) -> CallPolicy {
        policies[name ?? "default"] ?? CallPolicy()
    }
}

extension ConfigurationType where Value == Int {
    fileprivate static var formatVersion: ConfigurationType {
        scalar("1, the version of this format", schema: ["const": 1], example: 1) { $0 == "1" ? 1 : nil }
    }
}

extension Sequence {
    fileprivate func byName<Value>() -> [String: Value] where Element == (name: String, value: Value) {
        Dictionary(map { ($0.name, $0.value) }) { first, _ in first }
    }
}
