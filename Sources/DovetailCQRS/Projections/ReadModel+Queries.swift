import DovetailCore
import DovetailEvents

/// Queries on the read models, and what they wait for.
extension ReadModel {
    /// After so long a query looks which read models it reads; those that are a moment behind are there by then.
    private static let patience = Duration.milliseconds(100)
    /// How long it waits before it looks again whether somebody is held up.
    private static let slice = Duration.milliseconds(50)

    /// Queries the read model as it is now; with `after`, as it is once every projection that it reads has reached that position.
    ///
    /// Where one is late, the query is made to see which tables its statements name, and made again when those are there: another read model of the module, which is held up or far behind, does not
    /// matter to it; a query that names none of their tables waits for all. Throws `notReached` if that takes until `deadline`, and before, naming event and reason, once an event holds up one that it reads and
    /// was tried several times; `foreignPosition` for a position that is not this log's.
    public func query<Value: Sendable>(
        after position: LogPosition? = nil, until deadline: MonotonicTime? = nil,
        _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws -> Value {
        guard let position else { return try await read(view.names, body) }
        let number = try log.number(of: position)
        let deadline = deadline ?? .now + .seconds(5)
        let patience = min(deadline, MonotonicTime.now + Self.patience)
        // The projections that the query was seen to read; nil before it was made.
        var wanted: Set<String>?
        while true {
            // What is waited for is what is read, though another build may become the active one meanwhile.
            let view = self.view
            let late = view.active.filter { $0.scanned < number }
            guard !late.isEmpty else { return try await read(view.names, body) }
            var awaited = late.filter { wanted?.contains($0.build.projection) ?? true }
            let isTime = wanted == nil && (MonotonicTime.now >= patience || late.contains { $0.isStandingStill })
            if awaited.isEmpty || isTime {
                let look = try await look(view.names, body)
                // What names none of their tables is there for the waiting.
                awaited =
                    look.projections.isEmpty ? late : late.filter { look.projections.contains($0.build.projection) }
                guard let first = awaited.first else { return try look.outcome.get() }
                wanted = awaited.reduce(into: [first.build.projection]) { $0.insert($1.build.projection) }
            }
            for one in awaited { try one.requireProgress(to: number, isLast: MonotonicTime.now >= deadline) }
            try await wait(for: awaited, number, until: min(deadline, MonotonicTime.now + Self.slice))
        }
    }

    /// What a query returns or throws as things are, and the projections that it reads for that.
    private func look<Value: Sendable>(
        _ names: TableNames?, _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws -> (outcome: Result<Value, any Error>, projections: Set<String>) {
        let tables = owners.names
        let (outcome, seen) = try await read(names) { snapshot in
            let watch = TableWatch(for: tables)
            let outcome = Result { try snapshot.watched(by: watch, body) }
            return (outcome, watch.seen)
        }
        return (outcome, owners.owners(of: seen))
    }

    private func wait(for active: [ActiveBuild], _ number: Int64, until end: MonotonicTime) async throws {
        for one in active {
            guard let follower = one.follower else {
                try await Task.sleep(for: .milliseconds(5))
                continue
            }
            do { try await follower.reader.wait(for: number, until: end) } catch let error as LogError
                where error.code == .notReached
            {}
        }
    }

    private func read<Value: Sendable>(
        _ names: TableNames?, _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws -> Value {
        try await database.snapshot { snapshot in
            guard let names else { return try body(snapshot) }
            return try snapshot.renaming(names, body)
        }
    }
}

/// A build that queries are answered from, and who keeps it up to date; nil if nobody does.
struct ActiveBuild: Sendable {
    var build: ProjectionBuild
    var follower: ProjectionFollower?

    var scanned: Int64 { follower?.reader.status.scanned ?? build.scanned }

    /// So often an event was tried that waiting for it is of no use: fewer failures may be the disk's, and pass.
    private static let attempts = 4

    /// Whether it does not get on at the moment.
    var isStandingStill: Bool { follower.map { $0.reader.status.blocked != nil } ?? true }

    /// Throws if it is held up by an event, or if it was waited for long enough.
    func requireProgress(to number: Int64, isLast: Bool) throws {
        let scanned = scanned
        if let blocked = follower?.reader.status.blocked, blocked.attempts >= Self.attempts {
            throw LogError(
                .notReached, build.projection,
                "it shows what happened up to \(scanned), and cannot get past the \(blocked.type) at \(blocked.position.number): \(blocked.error); see `projections list`"
            )
        }
        guard isLast, scanned < number else { return }
        throw LogError(
            .notReached, build.projection,
            follower == nil
                ? "its old version stands at \(scanned), and the new one has not caught up with \(number) in time"
                : "it is at \(scanned) and has not reached \(number) in time")
    }
}
