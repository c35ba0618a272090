import DovetailCore
import DovetailEvents
import Foundation

/// What an operator may do with builds. Each is one transaction of the read models' database, and holds when it returns.
extension ReadModel {
    /// Begins to build a read model again from the whole log, beside the active build. Returns the new build.
    ///
    /// It is built while the read model runs, and becomes the active one by ``makeActive(_:)``, or with `switching` by itself when it has caught up. Throws `statement` if there is no such
    /// read model, or if one is being built already.
    @discardableResult
    public func rebuild(_ name: String, switching: Bool = false) async throws -> ProjectionBuild {
        let projection = try program(name)
        let builds = try await change(projection, "rebuild") { builds, transaction in
            if let building = builds.first(where: { $0.state == .building }) {
                throw LogError(
                    .statement, name,
                    "build \(building.number) of it is under way; switch to it, or drop it first")
            }
            try ProjectionBuilds.begin(projection, .building, switches: switching, in: transaction)
        }
        guard let build = builds.last else { throw LogError(.statement, name, "its build was dropped at once") }
        return build
    }

    /// Has queries answered from the build that was under way; the active one is kept for a way back, and one that was kept before is dropped.
    ///
    /// Throws `notReached` if it has not caught up with the active one, `statement` if none is under way.
    @discardableResult
    public func makeActive(_ name: String) async throws -> ProjectionBuild {
        guard let building = try await builds().first(where: { $0.projection == name && $0.state == .building }) else {
            _ = try program(name)
            throw LogError(.statement, name, "no build of it is under way; begin one with `projections rebuild`")
        }
        let active = try await builds().first { $0.projection == name && $0.state == .active }
        let lag = log.head - building.scanned
        guard building.scanned >= active?.scanned ?? 0, lag <= Self.switchingLag else {
            let why =
                building.blocked.map { ": it cannot get past the \($0.type) at \($0.position), \($0.error)" } ?? ""
            throw LogError(
                .notReached, name,
                "build \(building.number) is at \(building.scanned), \(lag) behind the log\(why); try again when it has caught up"
            )
        }
        return try await makeActive(building)
    }

    @discardableResult
    func makeActive(_ build: ProjectionBuild) async throws -> ProjectionBuild {
        let name = build.projection
        let builds = try await change(try program(name), "switch", ending: { $0.state == .previous }) {
            builds, transaction in
            guard let building = builds.first(where: { $0.number == build.number && $0.state == .building }) else {
                throw LogError(.statement, name, "build \(build.number) is under way no more; look at it again")
            }
            for other in builds where other.state == .previous { try ProjectionBuilds.drop(other, in: transaction) }
            for other in builds where other.state == .active {
                try ProjectionBuilds.set(other, .previous, in: transaction)
            }
            try ProjectionBuilds.set(building, .active, in: transaction)
        }
        return builds.first { $0.state == .active } ?? build
    }

    /// Has queries answered from the build that was active before; the active one takes its place, so that doing it again undoes it. Returns the one that is active now.
    ///
    /// A build whose version is no more part of the program stands where it stood when that was replaced: ``ProjectionBuild/isFollowed``. Throws `statement` if none was kept.
    @discardableResult
    public func rollBack(_ name: String) async throws -> ProjectionBuild {
        let builds = try await change(try program(name), "roll back") { builds, transaction in
            guard let previous = builds.last(where: { $0.state == .previous }) else {
                throw LogError(.statement, name, "no earlier build of it was kept; there is no way back")
            }
            for other in builds where other.state == .active {
                try ProjectionBuilds.set(other, .previous, in: transaction)
            }
            try ProjectionBuilds.set(previous, .active, in: transaction)
        }
        guard let active = builds.first(where: { $0.state == .active }) else {
            throw LogError(.statement, name, "it has no active build; restart the node, which makes one")
        }
        let isFollowed = try await self.builds().first { $0.cursor == active.cursor }?.isFollowed ?? false
        var answer = active
        answer.isFollowed = isFollowed
        return answer
    }

    /// Drops a build that is not the active one: the one under way, or the one that was kept. Its tables are gone then. Throws `statement` if it is not there.
    public func drop(_ name: String, build number: Int) async throws {
        _ = try await change(
            try program(name), "drop", ending: { $0.number == number && $0.state != .active }
        ) { builds, transaction in
            guard let build = builds.first(where: { $0.number == number }) else {
                let all = builds.map { String($0.number) }.joined(separator: ", ")
                throw LogError(.statement, name, "there is no build \(number) of it; there are \(all)")
            }
            guard build.state != .active else {
                throw LogError(.statement, name, "build \(number) answers queries; switch to another one first")
            }
            try ProjectionBuilds.drop(build, in: transaction)
        }
    }

    /// Changes the builds of a projection in one transaction, then takes in how they are. Those that it ends are not followed any more from before.
    ///
    /// A follower that was ended is not begun again here, since it may still be at work: what could not be dropped for it stands still until the next start.
    private func change(
        _ projection: Projection, _ label: String, ending ends: (ProjectionBuild) -> Bool = { _ in false },
        _ body: @escaping @Sendable ([ProjectionBuild], Transaction) throws -> Void
    ) async throws -> [ProjectionBuild] {
        let name = projection.name
        return try await turns.withTurn(name) {
            unfollow(name, ends)
            let builds: [ProjectionBuild]
            do {
                builds = try await database.transaction("\(label) \(name)", as: .engine) { transaction in
                    try body(try ProjectionBuilds.load(name, in: transaction), transaction)
                    return try ProjectionBuilds.load(name, in: transaction)
                }
            } catch {
                // Nothing has changed: who was followed is followed on.
                let known = try? await database.snapshot { try ProjectionBuilds.load(name, in: $0) }
                if let known { try? await follow(projection, known) }
                throw error
            }
            try await follow(projection, builds)
            return builds
        }
    }
}
