import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailGateway
import DovetailModules
import Logging
import ServiceLifecycle
import Synchronization

/// Throws answers that the gateway keeps away when an event on the node's log makes them stale, as contracts declare.
///
/// It reads the log from where it was at the start, when nothing is kept yet. What is read of an event's effect comes a moment after the event: so an answer is
/// thrown away when its event comes, and once more when the node's read models have seen it, or after a second where the answer comes from another node.
final class CacheInvalidation: Service {
    /// What makes which path stale.
    private struct Rule: Sendable {
        var invalidation: AnswerCaching.Invalidation
        /// What a route puts before the paths of a contract.
        var prefix: String
    }

    private static let settling = Duration.seconds(1)

    private let gateway: Gateway
    private let log: any EventLog
    private let catalog: ModuleCatalog
    private let runtimes: [ModuleRuntime]
    private let start: Int64
    /// All that contracts of the platform declare, whatever the routes are at the moment.
    private let topics: Set<String>
    private let rules: Mutex<[String: [Rule]]>

    /// Nil where no contract declares anything: then no log is read for it.
    init?(
        _ configuration: PlatformConfiguration, gateway: Gateway, log: any EventLog, catalog: ModuleCatalog,
        runtimes: [ModuleRuntime]
    ) {
        topics = Set(
            catalog.looked.flatMap { $0.parts.contracts }.flatMap(\.endpoints).flatMap { endpoint in
                endpoint.caching?.invalidations.map(\.topic) ?? []
            })
        guard !topics.isEmpty else { return nil }
        self.gateway = gateway
        self.log = log
        self.catalog = catalog
        self.runtimes = runtimes
        start = log.head
        rules = Mutex(CacheInvalidation.rules(configuration, catalog))
    }

    /// Goes by another configuration from now on.
    func apply(_ configuration: PlatformConfiguration) {
        let next = CacheInvalidation.rules(configuration, catalog)
        rules.withLock { $0 = next }
    }

    /// The topics that make answers of a gateway's routes stale.
    static func topics(_ configuration: PlatformConfiguration, _ catalog: ModuleCatalog) -> [String] {
        rules(configuration, catalog).keys.sorted()
    }

    private static func rules(_ configuration: PlatformConfiguration, _ catalog: ModuleCatalog) -> [String: [Rule]] {
        var rules: [String: [Rule]] = [:]
        for route in configuration.gateway?.routes ?? [] {
            guard case .contract(let reference) = route.target,
                let contract = catalog.contract(reference.description)
            else { continue }
            for endpoint in contract.endpoints {
                for invalidation in endpoint.caching?.invalidations ?? [] {
                    let prefix = route.path == "/" ? "" : route.path
                    rules[invalidation.topic, default: []].append(Rule(invalidation: invalidation, prefix: prefix))
                }
            }
        }
        return rules
    }

    /// Runs until it is cancelled. Where the log cannot be read, what is kept is thrown away, and it goes on with what comes then.
    func run() async throws {
        let (events, told) = AsyncStream<(number: Int64, paths: [String])>.makeStream(
            bufferingPolicy: .bufferingNewest(4096))
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await event in events { await self.throwAwayAgain(event.paths, at: event.number) }
            }
            var number = start
            while !Task.isCancelled {
                do {
                    try await follow(after: number, told)
                } catch {
                    guard !Task.isCancelled else { break }
                    Logger(label: "dovetail.gateway").warning(
                        "the events that make kept answers stale cannot be read; all answers were thrown away",
                        metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: CacheInvalidation.settling)
                }
                number = log.head
                gateway.clearCache()
            }
            told.finish()
            group.cancelAll()
        }
    }

    private func follow(
        after number: Int64, _ told: AsyncStream<(number: Int64, paths: [String])>.Continuation
    ) async throws {
        let tail = LogTail(log: log, number: number, types: topics, follow: true)
        while let event = try await tail.next() {
            let paths = stale(by: event)
            guard !paths.isEmpty else { continue }
            for path in paths { gateway.invalidate(path: path) }
            if case .dropped = told.yield((event.position.number, paths)) { gateway.clearCache() }
        }
    }

    private func stale(by event: StoredEvent) -> [String] {
        let rules = rules.withLock { $0[event.type] ?? [] }
        return rules.compactMap { rule in
            guard rule.invalidation.versions.contains(event.version) else { return nil }
            do {
                return try rule.invalidation.path(event.data, event.version).map { rule.prefix + $0 }
            } catch {
                // Of which answers it speaks is not known: then of all.
                gateway.clearCache()
                Logger(label: "dovetail.gateway").warning(
                    "an event that makes kept answers stale cannot be read; all of them were thrown away",
                    metadata: ["type": "\(event.type)", "position": "\(event.position)", "error": "\(error)"])
                return nil
            }
        }
    }

    /// Throws away what was asked for between the event and its effect.
    private func throwAwayAgain(_ paths: [String], at number: Int64) async {
        let deadline = MonotonicTime.now + CacheInvalidation.settling
        repeat {
            try? await Task.sleep(for: .milliseconds(5))
        } while !Task.isCancelled && MonotonicTime.now < deadline && !haveSeen(number)
        for path in paths { gateway.invalidate(path: path) }
    }

    /// Whether what the node's modules answer from shows the event: all of them are here, and have got so far.
    private func haveSeen(_ number: Int64) -> Bool {
        runtimes.count == catalog.modules.count
            && runtimes.allSatisfy { runtime in runtime.readModel.status.allSatisfy { $0.status.scanned >= number } }
    }
}
