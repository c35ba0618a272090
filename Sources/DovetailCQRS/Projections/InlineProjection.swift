import DovetailContracts
import DovetailCore
import DovetailEvents
import Synchronization

/// A read model that changes in the transaction of an aggregate's events: it lies in the log's own database, and is never behind.
final class InlineProjection: Sendable {
    let module: String
    /// The events of these streams, and no others.
    private let category: String
    private let projection: Projection
    /// The projection under the name that it has on record: others lie in the same database.
    private let recorded: Projection
    private let log: any EventLog
    private let build: Mutex<ProjectionBuild>

    /// How many events are caught up with in one transaction.
    private static let batch = 1000

    init(_ projection: Projection, of category: String, as module: String, in log: any EventLog) {
        self.module = module
        self.category = category
        self.projection = projection
        recorded = projection.named("\(module)/\(projection.name)")
        self.log = log
        build = Mutex(
            ProjectionBuild(projection: projection.name, number: 1, version: 0, state: .active, startedAt: .distantPast)
        )
    }

    /// Where it stands.
    var status: ProjectionBuild {
        var build = build.withLock { $0 }
        build.projection = projection.name
        build.scanned = log.head
        build.isFollowed = true
        return build
    }

    /// Makes the tables, afresh if they are of another version or log, and catches up with the log: what was appended while nobody kept it.
    func prepare() async throws {
        let (identity, head) = (log.identity, log.head)
        let made = try await log.transaction("prepare \(recorded.name)", as: .engine) { transaction in
            try ProjectionBuilds.prepareInPlace(self.recorded, log: identity, head: head, in: transaction)
        }
        build.withLock { $0 = made }
        var scanned = made.scanned
        while scanned < log.head {
            try Task.checkCancellation()
            let page = try await log.events(after: scanned, types: projection.types, limit: Self.batch)
            try await log.transaction(module, as: .module) { transaction in
                try self.apply(page.events, reaching: page.scanned, in: transaction)
            }
            scanned = page.scanned
        }
    }

    /// Has the effect of events that are appended in this transaction.
    func apply(_ events: [StoredEvent], in transaction: Transaction) throws {
        guard let last = events.last(where: { projection.types.contains($0.type) }) else { return }
        try apply(events, reaching: last.position.number, in: transaction)
    }

    private func apply(_ events: [StoredEvent], reaching number: Int64, in transaction: Transaction) throws {
        for event in events {
            guard projection.types.contains(event.type), event.stream?.name.hasPrefix("\(category)-") == true else {
                continue
            }
            do {
                try projection.effect(of: event)(transaction)
            } catch let error as UndecodableEvent where projection.parks {
                let build = build.withLock { build in
                    build.parked += 1
                    return build
                }
                try transaction.asEngine { try ProjectionBuilds.park(event, error, of: build, in: transaction) }
            } catch let error as UndecodableEvent {
                throw LogError(
                    .statement, projection.name,
                    "it cannot get past the event at \(event.position.number): \(error); see `events check-stored`, or have it put aside by `parkingUndecodable()`"
                )
            }
        }
        let cursor = Cursor(log: log.identity.log, epoch: log.identity.epoch, scanned: number)
        try transaction.asEngine { try cursor.save(recorded.name, in: transaction) }
    }
}
