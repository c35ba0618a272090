import DovetailCore
import DovetailEvents
import Logging
import ServiceLifecycle
import Synchronization

/// A module's read models: the database that its projections keep, and queries on it.
///
/// Each projection is there in one or more builds. Queries are answered from the active one. A version that is new in the program, or an operator's ``rebuild(_:)``, is built
/// beside it, under names of its own, from the whole log; once it has caught up it takes the active one's place in one transaction, and that one is kept for ``rollBack(_:)``.
public final class ReadModel: Service {
    private struct State {
        /// The builds that have tables, by projection, as they were written last.
        var builds: [String: [ProjectionBuild]] = [:]
        /// Who keeps builds up to date, by cursor.
        var followers: [String: ProjectionFollower] = [:]
        /// The names of the active builds' tables; nil if they are as the program writes them.
        var names: TableNames?
    }

    let log: any EventLog
    let database: any Database
    private let projections: [Projection]
    /// Which of them stand behind the tables that queries name.
    let owners: TableOwners
    private let state = Mutex(State())
    /// How often what queries show has changed, for those that wait for it.
    let changes = Watermark(0)
    private let changeCount = Mutex<Int64>(0)
    /// Builds of a projection are changed one after the other: what is written, and who follows it.
    let turns = KeyedTurns()
    /// Followers that have to be run.
    private let arrivals: AsyncStream<ProjectionFollower>
    private let arrival: AsyncStream<ProjectionFollower>.Continuation

    /// How many events a new build may be behind the log when it becomes the active one: what it makes up for in a moment.
    static let switchingLag: Int64 = 1000

    /// The read models of `projections`, kept in `database` from the events of `log`.
    public init(_ projections: [Projection], from log: any EventLog, in database: any Database) {
        self.log = log
        self.database = database
        self.projections = projections
        owners = TableOwners(projections)
        (arrivals, arrival) = AsyncStream.makeStream()
    }

    /// Where each build is that the program keeps up to date, and what holds it up: the active ones under their projections' names.
    public var status: [(name: String, status: EffectivelyOnceReader.Status)] {
        state.withLock { state in
            projections.flatMap { projection in
                (state.builds[projection.name] ?? []).compactMap { build in
                    state.followers[build.cursor].map {
                        (build.state == .active ? build.projection : build.cursor, $0.reader.status)
                    }
                }
            }
        }
    }

    /// Makes the tables. A projection whose version is new begins to be built beside the old one; one whose cursor does not belong to this log is built afresh in its place.
    public func prepare() async throws {
        let identity = log.identity
        let head = log.head
        for projection in projections {
            let found = try await database.transaction("prepare \(projection.name)", as: .engine) { transaction in
                try ProjectionBuilds.prepare(projection, log: identity, head: head, in: transaction)
            }
            if let reason = found.reason {
                Logger(label: "dovetail.cqrs").warning(
                    "a projection is built afresh",
                    metadata: ["projection": "\(projection.name)", "reason": "\(reason)"])
            }
            try await follow(projection, found.builds)
        }
    }

    public func run() async throws {
        defer { changes.fail(ReadModelStopped()) }
        try await withThrowingDiscardingTaskGroup { followers in
            for await follower in arrivals {
                followers.addTask {
                    do { try await self.run(follower) } catch {
                        // Without this one the others would go on, and nobody would be told.
                        self.arrival.finish()
                        throw error
                    }
                }
            }
        }
    }

    private func run(_ follower: ProjectionFollower) async throws {
        try await follower.run {
            guard follower.build.state == .building, follower.build.switchesItself else { return }
            while true {
                let scanned = follower.reader.status.scanned
                if self.hasCaughtUp(follower), await self.takePlace(follower.build) { return }
                _ = try await follower.reader.waitForProgress(beyond: scanned)
            }
        }
    }

    /// Makes a build the active one that has caught up; true if there is nothing more to do for it.
    private func takePlace(_ build: ProjectionBuild) async -> Bool {
        let metadata: Logger.Metadata = [
            "projection": "\(build.projection)", "version": "\(build.version)", "build": "\(build.number)",
        ]
        do {
            try await makeActive(build)
            Logger(label: "dovetail.cqrs").notice(
                "a new build of a read model answers queries from now on", metadata: metadata)
            return true
        } catch let error as LogError where error.code == .statement {
            // An operator was first.
            return true
        } catch {
            Logger(label: "dovetail.cqrs").warning(
                "a new build of a read model could not take its place; it is tried again with the next events",
                metadata: metadata.merging(["error": "\(error)"]) { $1 })
            return false
        }
    }

    /// Whether a build shows no less than the active one, and nearly all that there is.
    private func hasCaughtUp(_ follower: ProjectionFollower) -> Bool {
        let scanned = follower.reader.status.scanned
        return scanned >= activeScanned(follower.build.projection) && log.head - scanned <= Self.switchingLag
    }

    private func activeScanned(_ projection: String) -> Int64 {
        state.withLock { state in
            guard let active = state.builds[projection]?.first(where: { $0.state == .active }) else { return 0 }
            return state.followers[active.cursor]?.reader.status.scanned ?? active.scanned
        }
    }

    /// What queries are answered from at a moment: the active builds, who keeps them up to date, and their tables' names.
    var view: (names: TableNames?, active: [ActiveBuild]) {
        state.withLock { state in
            let active = projections.compactMap { projection in
                state.builds[projection.name]?.first { $0.state == .active }.map {
                    ActiveBuild(build: $0, follower: state.followers[$0.cursor])
                }
            }
            return (state.names, active)
        }
    }

    /// What queries show is another: those that wait for it are answered again. Called for changes that are none of a row's, as that somebody is forgotten.
    package func changed() {
        changes.advance(
            to: changeCount.withLock { count in
                count += 1
                return count
            })
    }

    // MARK: Builds

    /// The program of a projection. Throws `statement` if there is none of that name.
    func program(_ name: String) throws -> Projection {
        guard let projection = projections.first(where: { $0.name == name }) else {
            throw LogError(
                .statement, name,
                "there is no such read model; there are \(projections.map(\.name).joined(separator: ", "))")
        }
        return projection
    }

    /// Where the builds stand that have tables: as followed, where they are, otherwise as written.
    public func builds() async throws -> [ProjectionBuild] {
        var all: [ProjectionBuild] = []
        for projection in projections {
            let name = projection.name
            let written = try await database.snapshot { try ProjectionBuilds.load(name, in: $0) }
            let followers = state.withLock { $0.followers }
            all += written.map { build in
                guard var status = followers[build.cursor]?.status else { return build }
                (status.state, status.parked) = (build.state, build.parked)
                return status
            }
        }
        return all
    }

    /// Takes in how the builds of a projection are written: who has a program is followed, the names of the active ones hold from now on.
    func follow(_ projection: Projection, _ builds: [ProjectionBuild]) async throws {
        let known = state.withLock { $0.followers }
        var arrived: [ProjectionFollower] = []
        for build in builds where known[build.cursor] == nil {
            guard let program = projection.program(of: build.version) else { continue }
            let follower = ProjectionFollower(build, program, from: log, into: database) { [weak self] in
                self?.changed()
            }
            try await follower.reader.prepare()
            arrived.append(follower)
        }
        let gone = state.withLock { state in
            state.builds[projection.name] = builds
            for follower in arrived { state.followers[follower.build.cursor] = follower }
            let kept = Set(builds.map(\.cursor))
            let gone = state.followers.filter { $0.value.build.projection == projection.name && !kept.contains($0.key) }
            for cursor in gone.keys { state.followers[cursor] = nil }
            state.names = names(state.builds)
            return gone.values
        }
        for follower in gone { follower.stop() }
        for follower in arrived { arrival.yield(follower) }
        changed()
    }

    /// Ends those who keep builds up to date that are about to be dropped.
    func unfollow(_ projection: String, _ ends: (ProjectionBuild) -> Bool) {
        let gone = state.withLock { state in
            (state.builds[projection] ?? []).filter(ends).compactMap { state.followers.removeValue(forKey: $0.cursor) }
        }
        for follower in gone { follower.stop() }
    }

    private func names(_ builds: [String: [ProjectionBuild]]) -> TableNames? {
        var pairs: [String: String] = [:]
        for projection in projections {
            guard let active = builds[projection.name]?.first(where: { $0.state == .active }), active.number > 1 else {
                continue
            }
            let program = projection.program(of: active.version) ?? projection
            pairs.merge(ProjectionTables(program, build: active.number).pairs) { first, _ in first }
        }
        return pairs.isEmpty ? nil : TableNames(pairs)
    }
}
