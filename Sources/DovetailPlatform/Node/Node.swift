import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailGateway
import DovetailHTTP
import DovetailModules
import DovetailObservability
import DovetailPrivacy
import DovetailResilience
import DovetailSagas
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// One process of a platform, wired from its configuration: store, modules, clients, listeners.
///
/// Everything is made in ``start(_:modules:node:options:)``, so that what is wrong is said before the first request; ``run()`` serves until it is told to stop.
package struct Node: Sendable {
    /// How a node is run, beyond what the configuration says.
    package struct Options: Sendable {
        /// Calls within the process go through the codec, so that nothing works only there.
        package var throughCodec = false
        /// How long it waits for a store that another process has open: a command that looks into it, or the node that it follows.
        package var patience = Duration.zero
        /// The folder that relative paths start in.
        package var folder = FileManager.default.currentDirectoryPath

        package init() {}
    }

    package let name: String
    package let configuration: PlatformConfiguration
    let catalog: ModuleCatalog
    let store: Store
    let runtimes: [ModuleRuntime]
    /// Carries out commands, and keeps the states of aggregates in memory.
    let commands: CommandExecutor
    let bus: EventBus
    let scheduler: EventScheduler
    let sagaWakeUps: SagaWakeUps
    let retention: Retention
    let privacy: Privacy
    /// Who needs events besides the durable subscriptions that the log knows itself.
    let holds: @Sendable () async throws -> [RetentionHold]
    let feeds: [EventFeed]
    let table: EndpointTable
    let telemetry: Telemetry
    let policies: CallPolicies
    let transports: [HTTPTransport]
    let gateway: Gateway?
    let cacheInvalidation: CacheInvalidation?
    let eventDoor: EventDoor?
    let webhooks: WebhookSender?
    let folder: String

    /// Opens the store, makes the tables, wires modules and gateway. Throws what keeps the node from running, in words.
    package static func start(
        _ configuration: PlatformConfiguration, modules: [Module], node name: String, telemetry: Telemetry,
        options: Options = Options()
    ) async throws -> Node {
        guard let placement = configuration.nodes.first(where: { $0.name == name }) else {
            throw PlatformError(
                "there is no node '\(name)'; platform.yaml has \(configuration.nodes.map(\.name).joined(separator: ", "))"
            )
        }
        let catalog = ModuleCatalog(modules)
        let store = try await Store.open(
            placement.store, privacy: configuration.privacy, in: options.folder, patience: options.patience)
        do {
            let privacy = Privacy(store.keys, log: store.log)
            try await privacy.prepare()
            let commands = CommandExecutor(log: store.log)
            store.keys.onForgetting { _ in commands.dropStates() }
            let policies = CallPolicies(configuration)
            let table = Late<EndpointTable>()
            let directory = CalleeDirectory(
                configuration: configuration, node: name, catalog: catalog, table: table, policies: policies,
                throughCodec: options.throughCodec)
            let environment = ModuleEnvironment { directory.callee(for: $0) }
            let scheduler = EventScheduler(log: store.log)
            try await scheduler.prepare()
            let sagaWakeUps = SagaWakeUps()
            var runtimes: [ModuleRuntime] = []
            for module in modules where placement.modules.contains(module.name) {
                let runtime = ModuleRuntime(
                    module: module.name, parts: module.assemble(in: environment), log: store.log,
                    views: try store.views(module: module.name), commands: commands, scheduler: scheduler,
                    sagas: sagaWakeUps, keepEndedSagas: configuration.sagas.keepEnded
                ) { try await privacy.forget($0, reason: $1) }
                if let finding = runtime.parts.contracts.flatMap(\.findings).first(where: { $0.severity == .error }) {
                    throw PlatformError("\(finding.place): \(finding.message)")
                }
                if let missing = runtime.parts.unhandled.first {
                    throw PlatformError(
                        "the module '\(module.name)' promises '\(missing.key)' (\(missing.name)) and handles it nowhere"
                    )
                }
                runtimes.append(runtime)
            }
            try await SagaJournal(log: store.log).prepare()
            for runtime in runtimes { try await runtime.prepare() }
            // No row changes, and what is read of it does.
            store.keys.onForgetting { [runtimes] _ in for runtime in runtimes { runtime.readModel.changed() } }
            let outside = configuration.events.flatMap { $0.node == name ? OutsideSubscriptions($0) : nil }
            let bus = EventBus(
                log: store.log, subscriptions: runtimes.flatMap(\.subscriptions) + (outside?.subscriptions ?? []))
            try await bus.prepare()
            let token = configuration.security.nodeToken?.revealed
            let marks = FeedMarks(log: store.log)
            try await marks.prepare()
            let holds: @Sendable () async throws -> [RetentionHold] = { [runtimes] in
                try await runtimes.flatMap(\.holds) + bus.holds + marks.holds()
            }
            let retention = Retention(log: store.log, rules: placement.store.retention, holds: holds)
            let feed = Module.feed(of: store.log, marks: marks)
            let fellows = ModuleRuntime(
                module: feed.name, parts: feed.parts, log: store.log, views: store.log, commands: commands)
            let served = try EndpointTable(runtimes + [fellows], nodeToken: token, vault: store.keys)
            table.value = served
            let gateway = try configuration.gateway.flatMap { gateway in
                gateway.node == name
                    ? try GatewayAssembly(
                        configuration: configuration, gateway: gateway, catalog: catalog, node: name, table: served,
                        folder: options.folder, recorder: telemetry.gatewayRecorder
                    ).make() : nil
            }
            // What it keeps of answers may say what is to be forgotten.
            if let gateway { store.keys.onForgetting { _ in gateway.clearCache() } }
            let feeds = FeedPlan(configuration: configuration, catalog: catalog).topics(for: placement).map {
                other, topics in
                let topics = topics.map(\.description)
                let client = directory.feed(of: other)
                return EventFeed("feed \(other.name): \(topics.joined(separator: ", "))", into: store.log) { after in
                    try await client.read(.init(after: after, topics: topics, wait: 20_000, reader: name))
                }
            }
            let eventDoor = configuration.events.flatMap { settings in
                outside.map { outside in
                    EventDoor(
                        log: store.log, scheduler: scheduler, settings: settings,
                        declared: DeclaredEvents(catalog.looked.flatMap(\.parts.contracts)), queues: outside.queues)
                }
            }
            return Node(
                name: name, configuration: configuration, catalog: catalog, store: store, runtimes: runtimes,
                commands: commands, bus: bus,
                scheduler: scheduler, sagaWakeUps: sagaWakeUps, retention: retention, privacy: privacy,
                holds: holds, feeds: feeds,
                table: served,
                telemetry: telemetry,
                policies: policies,
                transports: directory.transports,
                gateway: gateway,
                cacheInvalidation: gateway.flatMap {
                    CacheInvalidation(
                        configuration, gateway: $0, log: store.log, catalog: catalog, runtimes: runtimes)
                }, eventDoor: eventDoor, webhooks: outside?.sender, folder: options.folder)
        } catch {
            await store.close()
            throw error
        }
    }

    /// Serves until it is cancelled or told to shut down, then lets accepted requests finish and closes the store.
    ///
    /// The gateway stops first, the listeners next, then subscriptions, sagas and projections: what the last requests set off is in the log and goes on at the next start.
    /// - Parameters:
    ///   - signals: The signals that tell it to shut down.
    ///   - reloading: The configuration's file, and how it is read: what it says of the gateway is taken over whenever it changes.
    ///   - onServing: Called once, when every door is open.
    package func run(
        signals: [UnixSignal] = [],
        reloading: (file: String, load: @Sendable () throws -> PlatformConfiguration)? = nil,
        onServing: @escaping @Sendable () async -> Void = {}
    ) async throws {
        let doors = try doors()
        var services: [any Service] = transports
        services += runtimes.flatMap(\.services).map { UntilShutdown($0) }
        services.append(UntilShutdown(scheduler))
        services.append(UntilShutdown(retention))
        if let keep = configuration.nodes.first(where: { $0.name == name })?.store.keepKeys {
            services.append(UntilShutdown(KeyRetention(log: store.log, commands: commands, keep: keep)))
        }
        services.append(UntilShutdown(privacy))
        if let webhooks { services.append(webhooks) }
        services.append(bus)
        services += feeds.map { UntilShutdown($0) }
        if let cacheInvalidation { services.append(UntilShutdown(cacheInvalidation)) }
        services.append(telemetry)
        if let reloading, gateway != nil {
            services.append(ConfigurationReload(node: self, file: reloading.file, load: reloading.load))
        }
        services += doors
        services.append(Announcement(doors: doors, onServing: onServing))
        let group = ServiceGroup(
            services: services, gracefulShutdownSignals: signals, logger: Logger(label: "dovetail.node"))
        do {
            try await PersonalData.$vault.withValue(store.keys) { try await group.run() }
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    /// Where the node can be reached: the door that shuts first stands last.
    private func doors() throws -> [any Door] {
        if case .unix(let path) = adminAddress {
            // A store on disk has made it already; what is wrong with it is said by the door.
            try? FileManager.default.createDirectory(
                atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        }
        var doors: [any Door] = [HTTPServer(adminAddress, handler: try AdminDoor(node: self))]
        if let listen = placement.listen {
            doors.append(HTTPServer(listen.httpAddress, handler: NodeDoor(node: self)))
        }
        if let prometheus = configuration.telemetry.prometheus.listen {
            doors.append(HTTPServer(prometheus.httpAddress, handler: MetricsDoor(node: self)))
        }
        if let eventDoor, let section = configuration.events {
            doors.append(
                HTTPServer(
                    section.listen.httpAddress, configuration: .init(maximumBodyBytes: section.largestBody),
                    handler: eventDoor))
        }
        if let gateway, let section = configuration.gateway {
            doors.append(GatewayDoor(gateway: gateway, address: section.listen.httpAddress))
        }
        return doors
    }

    var placement: PlatformConfiguration.Node {
        configuration.nodes.first { $0.name == name } ?? configuration.nodes[0]
    }

    var adminAddress: HTTPAddress {
        configuration.adminAddress(of: name, in: folder)
    }
}

extension PlatformConfiguration {
    /// Where a node's admin door is.
    func adminAddress(of node: String, in folder: String) -> HTTPAddress {
        let address = admin.listen(node: node, isFirst: nodes.first?.name == node)
        if case .unix(let path) = address { return .unix(path: resolve(path, in: folder)) }
        return address.httpAddress
    }
}

extension ListenAddress {
    var httpAddress: HTTPAddress {
        switch self {
        case .tcp(let host, let port): .tcp(host: host, port: port)
        case .unix(let path): .unix(path: path)
        }
    }
}

/// A service that is cancelled when the group shuts down: it keeps its place and needs no farewell.
private struct UntilShutdown: Service {
    let service: any Service

    init(_ service: any Service) { self.service = service }

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await service.run() }
    }
}

/// What keeps a platform from running, in words.
package struct PlatformError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
