import DovetailCore
import DovetailEvents
import Logging
import ServiceLifecycle

/// A module's read models: the database that its projections keep, and queries on it.
public final class ReadModel: Service {
    private let log: any EventLog
    private let database: any Database
    private let projections: [Projection]
    private let readers: [EffectivelyOnceReader]

    /// The read models of `projections`, kept in `database` from the events of `log`.
    public init(_ projections: [Projection], from log: any EventLog, in database: any Database) {
        self.log = log
        self.database = database
        self.projections = projections
        readers = projections.map { projection in
            EffectivelyOnceReader(
                projection.name, from: log, into: database, types: projection.types, handler: projection.apply)
        }
    }

    /// Where each projection is, and what holds it up.
    public var status: [(name: String, status: EffectivelyOnceReader.Status)] {
        readers.map { ($0.name, $0.status) }
    }

    /// Makes the tables, and builds a projection afresh whose version changed or whose cursor does not belong to this log.
    public func prepare() async throws {
        let identity = log.identity
        let head = log.head
        for projection in projections {
            let reason = try await database.transaction("prepare \(projection.name)", as: .engine) { transaction in
                try transaction.execute(Cursor.table)
                try transaction.execute(
                    "CREATE TABLE IF NOT EXISTS dovetail_projections (name TEXT PRIMARY KEY, version BIGINT NOT NULL)")
                let built = try transaction.row(
                    Int.self, "SELECT version FROM dovetail_projections WHERE name = \(projection.name)")
                let cursor = try Cursor.load(projection.name, in: transaction)
                let reason: String? =
                    if built == nil {
                        nil
                    } else if built != projection.version {
                        "its version changed"
                    } else if let cursor, cursor.log != identity.log || cursor.epoch != identity.epoch {
                        "the log was restored or replaced"
                    } else if let cursor, cursor.scanned > head { "it is ahead of its log" } else { nil }
                if built != nil, reason == nil { return reason }
                for table in projection.tableNames.reversed() {
                    try transaction.execute(SQL(stringLiteral: "DROP TABLE IF EXISTS \(table)"))
                }
                for statement in projection.tables { try transaction.execute(statement) }
                try transaction.execute("DELETE FROM dovetail_cursors WHERE name = \(projection.name)")
                try transaction.execute(
                    """
                    INSERT INTO dovetail_projections (name, version) VALUES (\(projection.name), \(projection.version))
                    ON CONFLICT (name) DO UPDATE SET version = excluded.version
                    """)
                return reason
            }
            if let reason {
                Logger(label: "dovetail.cqrs").warning(
                    "a projection is built afresh",
                    metadata: ["projection": "\(projection.name)", "reason": "\(reason)"])
            }
        }
        for reader in readers { try await reader.prepare() }
    }

    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in readers { group.addTask { try await reader.run() } }
            try await group.waitForAll()
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
            for reader in readers {
                try await reader.wait(for: number, until: deadline ?? .now + .seconds(5))
            }
        }
        return try await database.snapshot(body)
    }
}
