import DovetailCore
import DovetailEvents
import Synchronization

/// Keeps one build of a read model up to date, for as long as it is wanted.
final class ProjectionFollower: Sendable {
    let build: ProjectionBuild
    let reader: EffectivelyOnceReader
    private let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    /// How many events are applied in one transaction: enough that its commit does not count.
    private static let batch = 1000

    init(_ build: ProjectionBuild, _ program: Projection, from log: any EventLog, into database: any Database) {
        self.build = build
        let names = ProjectionTables(program, build: build.number).names
        let apply: @Sendable (StoredEvent, Transaction) throws -> Void = { event, transaction in
            guard let names else { return try program.apply(event, transaction) }
            try transaction.renamingTables(names) { try program.apply(event, $0) }
        }
        reader = EffectivelyOnceReader(
            build.cursor, from: log, into: database, types: program.types, batch: Self.batch
        ) { event, transaction in
            do { try apply(event, transaction) } catch let error as UndecodableEvent where program.parks {
                try ProjectionBuilds.park(event, error, of: build, in: transaction)
            }
        }
        (ends, end) = AsyncStream.makeStream()
    }

    /// Runs until it is stopped or cancelled. `beside` runs as long as it does.
    func run(beside: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await self.reader.run()
                return true
            }
            group.addTask {
                for await _ in self.ends {}
                return true
            }
            group.addTask {
                try await beside()
                return false
            }
            defer { group.cancelAll() }
            while let isOver = try await group.next(), !isOver {}
        }
    }

    /// Has it end, once what it is at is done.
    func stop() { end.finish() }

    /// The build as it stands.
    var status: ProjectionBuild {
        var build = build
        let status = reader.status
        build.scanned = status.scanned
        build.isFollowed = true
        build.blocked = status.blocked.map {
            .init(position: $0.position.number, type: $0.type, error: $0.error, attempts: $0.attempts)
        }
        return build
    }
}
