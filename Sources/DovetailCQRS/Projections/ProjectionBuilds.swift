import DovetailCore
import DovetailEvents
import Foundation

/// The record of a database's builds: rows beside the tables that they are about, so that they change together.
enum ProjectionBuilds {
    /// What a build's program has to be told when the program starts.
    struct Found: Sendable {
        var builds: [ProjectionBuild]
        /// Why the active one was built afresh in its place; nil if it was not.
        var reason: String?
    }

    private static let tables: [SQL] = [
        """
        CREATE TABLE IF NOT EXISTS dovetail_builds (
            projection TEXT NOT NULL, build BIGINT NOT NULL, version BIGINT NOT NULL, state TEXT NOT NULL,
            switches BIGINT NOT NULL, started_at BIGINT NOT NULL, drops TEXT NOT NULL, PRIMARY KEY (projection, build))
        """,
        """
        CREATE TABLE IF NOT EXISTS dovetail_parked (
            projection TEXT NOT NULL, build BIGINT NOT NULL, position BIGINT NOT NULL, type TEXT NOT NULL,
            version BIGINT NOT NULL, error TEXT NOT NULL, parked_at BIGINT NOT NULL,
            PRIMARY KEY (projection, build, position))
        """,
        "CREATE TABLE IF NOT EXISTS dovetail_projections (name TEXT PRIMARY KEY, version BIGINT NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS dovetail_build_tables (
            projection TEXT NOT NULL, build BIGINT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (projection, build))
        """,
        Cursor.table,
    ]

    /// Makes what a projection needs: its first build, a build of a version that is new, or the active one again where the log is not the one it was made from.
    static func prepare(
        _ projection: Projection, log: (log: UniqueID, epoch: Int), head: Int64, in transaction: Transaction
    ) throws -> Found {
        for table in tables { try transaction.execute(table) }
        try adopt(projection, in: transaction)
        let builds = try load(projection.name, in: transaction)
        guard let active = builds.first(where: { $0.state == .active }) else {
            try begin(projection, .active, switches: false, in: transaction)
            return Found(builds: try load(projection.name, in: transaction), reason: nil)
        }
        if let cursor = try Cursor.load(active.cursor, in: transaction), let reason = cursor.mismatch(log, head) {
            // What it was made from is no more: nothing of it is worth keeping.
            for build in builds { try drop(build, in: transaction) }
            try begin(projection, .active, switches: false, in: transaction)
            return Found(builds: try load(projection.name, in: transaction), reason: reason)
        }
        for build in builds where build.state != .active {
            // Cursors move with effects, so another build may have been further: it is of a log that is no more.
            if let cursor = try Cursor.load(build.cursor, in: transaction), cursor.mismatch(log, head) != nil {
                try drop(build, in: transaction)
            }
        }
        for build in builds where build.state == .building && projection.program(of: build.version) == nil {
            try drop(build, in: transaction)
        }
        let kept = try load(projection.name, in: transaction)
        try requireTables(of: projection, in: kept, transaction)
        if !kept.contains(where: { $0.version == projection.version }) {
            try begin(projection, .building, switches: true, in: transaction)
        }
        return Found(builds: try load(projection.name, in: transaction), reason: nil)
    }

    /// Makes the one build of a projection that is built in its place, under the names that are written, where its version or its log is another. Returns the build.
    static func prepareInPlace(
        _ projection: Projection, log: (log: UniqueID, epoch: Int), head: Int64, in transaction: Transaction
    ) throws -> ProjectionBuild {
        for table in tables { try transaction.execute(table) }
        let name = projection.name
        for build in try load(name, in: transaction) {
            let cursor = try Cursor.load(build.cursor, in: transaction)
            if build.version == projection.version, cursor?.mismatch(log, head) == nil {
                try requireTables(of: projection, in: [build], transaction)
                return build
            }
            try drop(build, in: transaction)
            try transaction.execute("DELETE FROM dovetail_builds WHERE projection = \(name)")
        }
        try begin(projection, .active, switches: false, in: transaction)
        return try load(name, in: transaction)[0]
    }

    /// Throws if the program says other tables for a version than a build of it was made with: its rows would be of one program, and those to come of another.
    ///
    /// A build that is not on record with its tables takes over those of the program.
    private static func requireTables(
        of projection: Projection, in builds: [ProjectionBuild], _ transaction: Transaction
    ) throws {
        for build in builds {
            guard let program = projection.program(of: build.version) else { continue }
            let fingerprint = ProjectionTables.fingerprint(of: program.tables)
            let known = try transaction.row(
                String.self,
                """
                SELECT fingerprint FROM dovetail_build_tables
                WHERE projection = \(build.projection) AND build = \(build.number)
                """)
            guard let known else {
                try record(fingerprint, of: build.projection, build.number, in: transaction)
                continue
            }
            guard known == fingerprint else {
                throw LogError(
                    .statement, projection.name,
                    "its tables are not those that version \(build.version) of it was built with (build \(build.number)); raise its version, and it is built anew from the log"
                )
            }
        }
    }

    private static func record(
        _ fingerprint: String, of projection: String, _ build: Int, in transaction: Transaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO dovetail_build_tables (projection, build, fingerprint)
            VALUES (\(projection), \(build), \(fingerprint))
            ON CONFLICT (projection, build) DO UPDATE SET fingerprint = excluded.fingerprint
            """)
    }

    /// Takes over what was made before there were builds.
    private static func adopt(_ projection: Projection, in transaction: Transaction) throws {
        let name = projection.name
        let old = try transaction.row(Int.self, "SELECT version FROM dovetail_projections WHERE name = \(name)")
        guard let old else { return }
        let drops = ProjectionTables(projection, build: 1).drops.joined(separator: ";\n")
        try transaction.execute(
            """
            INSERT INTO dovetail_builds (projection, build, version, state, switches, started_at, drops)
            VALUES (\(name), 1, \(old), 'active', 0, \(Date()), \(drops))
            """)
        try transaction.execute("DELETE FROM dovetail_projections WHERE name = \(name)")
    }

    /// Makes the tables of a new build. Its number is one that no build of the projection ever had, so that nothing of another can be taken for its own.
    static func begin(
        _ projection: Projection, _ state: ProjectionBuild.State, switches: Bool, in transaction: Transaction
    ) throws {
        let name = projection.name
        let last = try transaction.row(
            Int?.self, "SELECT max(build) FROM dovetail_builds WHERE projection = \(name)")
        let number = (last ?? nil).map { $0 + 1 } ?? 1
        let tables = ProjectionTables(projection, build: number)
        try tables.create(in: transaction)
        try transaction.execute(
            """
            INSERT INTO dovetail_builds (projection, build, version, state, switches, started_at, drops)
            VALUES (\(name), \(number), \(projection.version), \(state.rawValue), \(switches), \(Date()),
                \(tables.drops.joined(separator: ";\n")))
            """)
        try record(ProjectionTables.fingerprint(of: projection.tables), of: name, number, in: transaction)
    }

    /// Drops a build's tables and its cursor; its row stays, as history.
    static func drop(_ build: ProjectionBuild, in transaction: Transaction) throws {
        let drops = try transaction.row(
            String.self,
            "SELECT drops FROM dovetail_builds WHERE projection = \(build.projection) AND build = \(build.number)")
        for statement in (drops ?? "").split(separator: ";\n") {
            try transaction.execute(SQL(stringLiteral: String(statement)))
        }
        try transaction.execute("DELETE FROM dovetail_cursors WHERE name = \(build.cursor)")
        try transaction.execute(
            "DELETE FROM dovetail_parked WHERE projection = \(build.projection) AND build = \(build.number)")
        try transaction.execute(
            "DELETE FROM dovetail_build_tables WHERE projection = \(build.projection) AND build = \(build.number)")
        try set(build, .dropped, in: transaction)
    }

    static func set(_ build: ProjectionBuild, _ state: ProjectionBuild.State, in transaction: Transaction) throws {
        try transaction.execute(
            """
            UPDATE dovetail_builds SET state = \(state.rawValue), switches = 0
            WHERE projection = \(build.projection) AND build = \(build.number)
            """)
    }

    /// The builds of a projection that have tables, oldest first, as far as they are written.
    static func load(_ projection: String, in snapshot: Snapshot) throws -> [ProjectionBuild] {
        struct Row: Decodable {
            var build: Int, version: Int, state: ProjectionBuild.State, switches: Bool, startedAt: Date, parked: Int
            var scanned: Int64?
        }
        return try snapshot.rows(
            Row.self,
            """
            SELECT b.build, b.version, b.state, b.switches, b.started_at, c.scanned,
                (SELECT count(*) FROM dovetail_parked p WHERE p.projection = b.projection AND p.build = b.build) AS parked
            FROM dovetail_builds b LEFT JOIN dovetail_cursors c
                ON c.name = CASE WHEN b.build = 1 THEN b.projection ELSE b.projection || '#' || b.build END
            WHERE b.projection = \(projection) AND b.state <> 'dropped' ORDER BY b.build
            """
        ).map { row in
            var build = ProjectionBuild(
                projection: projection, number: row.build, version: row.version, state: row.state,
                startedAt: row.startedAt)
            build.scanned = row.scanned ?? 0
            build.parked = row.parked
            build.switchesItself = row.switches
            return build
        }
    }

    /// Puts an event aside that cannot be decoded.
    static func park(
        _ event: StoredEvent, _ error: UndecodableEvent, of build: ProjectionBuild, in transaction: Transaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO dovetail_parked (projection, build, position, type, version, error, parked_at)
            VALUES (\(build.projection), \(build.number), \(event.position.number), \(event.type), \(event.version),
                \(error.description), \(Date()))
            ON CONFLICT (projection, build, position) DO UPDATE SET error = excluded.error
            """)
    }
}

extension Cursor {
    /// Why what was made up to here does not belong to a log; nil if it does.
    fileprivate func mismatch(_ identity: (log: UniqueID, epoch: Int), _ head: Int64) -> String? {
        if log != identity.log || epoch != identity.epoch { return "the log was restored or replaced" }
        return scanned > head ? "it is ahead of its log" : nil
    }
}
