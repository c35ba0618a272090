import DovetailGateway
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// Takes over what the configuration file says of the gateway whenever it changes, or on SIGHUP: routes, upstreams, authenticators, certificates, limits.
/// The files with certificates and keys that it names are looked at like the file itself, by their contents.
///
/// Requests in flight end as they began. A file that is wrong changes nothing, and the log says what is wrong with it; so it does of a section that
/// takes a restart.
struct ConfigurationReload: Service {
    let node: Node
    let file: String
    let load: @Sendable () throws -> PlatformConfiguration

    /// How often the files are looked at.
    private static let interval = Duration.seconds(1)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            let watched = WatchedFiles(file: file, keys: node.configuration.filesOfKeys(in: node.folder))
            let (wakes, wake) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingNewest(1))
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sighup) { wake.yield("SIGHUP") }
                }
                group.addTask { await watched.watch(every: ConfigurationReload.interval) { wake.yield($0) } }
                var current = node.configuration
                for await reason in wakes {
                    current = await reload(current, because: reason)
                    watched.look(at: current.filesOfKeys(in: node.folder))
                }
                group.cancelAll()
            }
        }
    }

    /// The configuration that holds from now on.
    private func reload(_ current: PlatformConfiguration, because reason: String) async -> PlatformConfiguration {
        let logger = Logger(label: "dovetail.node")
        do {
            let next = try load()
            let restarts = current.sectionsThatTakeARestart(to: next)
            let before = try node.gatewayConfiguration(current)
            let after = try node.gatewayConfiguration(next)
            if let after, let gateway = node.gateway { try await gateway.apply(after) }
            node.cacheInvalidation?.apply(next)
            let changes = ConfigurationDifference(from: current, to: next, plans: (before, after)).lines
            logger.notice(
                "configuration reloaded",
                metadata: ["reason": "\(reason)", "changes": .array(changes.map { "\($0)" })])
            if !restarts.isEmpty {
                logger.warning(
                    "these sections of the configuration have changed, and take a restart",
                    metadata: ["sections": .array(restarts.map { "\($0)" })])
            }
            return next
        } catch {
            logger.error(
                "the configuration was not reloaded; the one from before goes on",
                metadata: ["reason": "\(reason)", "error": "\(error)"])
            return current
        }
    }
}

extension Node {
    /// What the gateway would do by `configuration`; nil if there is none on this node.
    fileprivate func gatewayConfiguration(_ configuration: PlatformConfiguration) throws -> GatewayConfiguration? {
        guard let section = configuration.gateway, section.node == name else { return nil }
        return try GatewayAssembly(
            configuration: configuration, gateway: section, catalog: catalog, node: name, table: table, folder: folder,
            recorder: nil
        ).compile()
    }
}

extension PlatformConfiguration {
    /// The sections that differ and are read at the start only.
    func sectionsThatTakeARestart(to next: PlatformConfiguration) -> [String] {
        let sections: [(name: String, isSame: Bool)] = [
            ("platform", platform == next.platform), ("nodes", nodes == next.nodes), ("calls", calls == next.calls),
            ("admin", admin == next.admin), ("telemetry", telemetry == next.telemetry),
            ("security", security == next.security), ("events", events == next.events),
            ("privacy", privacy == next.privacy), ("sagas", sagas == next.sagas),
            ("gateway.node", gateway?.node == next.gateway?.node),
            ("gateway.listen", gateway?.listen == next.gateway?.listen),
        ]
        return sections.filter { !$0.isSame }.map(\.name)
    }
}
