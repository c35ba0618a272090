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
    private let state = Mutex(State())
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
            var scanned: Int64 = -1
            while true {
                if self.hasCaughtUp(follower) { break }
                scanned = try await follower.reader.waitForProgress(
                    beyond: max(scanned, follower.reader.status.scanned))
            }
            try await self.makeActive(follower.build)
            Logger(label: "dovetail.cqrs").notice(
                "a new build of a read model answers queries from now on",
                metadata: [
                    "projection": "\(follower.build.projection)", "version": "\(follower.build.version)",
                    "build": "\(follower.build.number)",
                ])
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

    /// Queries the read model as it is now; with `after`, as it is once every projection has reached that position.
    ///
    /// Throws `notReached` if that takes until `deadline`, and `foreignPosition` for a position that is not this log's.
    public func query<Value: Sendable>(
        after position: LogPosition? = nil, until deadline: MonotonicTime? = nil,
        _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws -> Value {
        if let position {
            let number = try log.number(of: position)
            for projection in projections {
                try await wait(for: number, projection.name, until: deadline ?? .now + .seconds(5))
            }
        }
        return try await read(body)
    }

    private func wait(for number: Int64, _ projection: String, until deadline: MonotonicTime) async throws {
        while true {
            let follower = state.withLock { state in
                state.builds[projection]?.first { $0.state == .active }.flatMap { state.followers[$0.cursor] }
            }
            if let follower { return try await follower.reader.wait(for: number, until: deadline) }
            // Nobody keeps the active build up to date: what it does not show yet is shown by the one that takes its place.
            let scanned = activeScanned(projection)
            if scanned >= number { return }
            guard MonotonicTime.now < deadline else {
                throw LogError(
                    .notReached, projection,
                    "its old version stands at \(scanned), and the new one has not caught up with \(number) in time")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func read<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        let names = state.withLock { $0.names }
        return try await database.snapshot { snapshot in
            guard let names else { return try body(snapshot) }
            return try snapshot.renaming(names, body)
        }
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
            let follower = ProjectionFollower(build, program, from: log, into: database)
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
