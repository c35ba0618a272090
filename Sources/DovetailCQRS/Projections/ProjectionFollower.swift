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

    /// Keeps `build` up to date; tells `onChange` of each change of its rows.
    init(
        _ build: ProjectionBuild, _ program: Projection, from log: any EventLog, into database: any Database,
        onChange: @escaping @Sendable () -> Void
    ) {
        self.build = build
        let names = ProjectionTables(program, build: build.number).names
        reader = EffectivelyOnceReader(
            build.cursor, from: log, into: database, types: program.types, batch: Self.batch, onEffects: onChange
        ) { event in
            do {
                let effect = try program.effect(of: event)
                guard let names else { return effect }
                return { try $0.renamingTables(names, effect) }
            } catch let error as UndecodableEvent where program.parks {
                return { try ProjectionBuilds.park(event, error, of: build, in: $0) }
            } catch {
                return { _ in throw error }
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
