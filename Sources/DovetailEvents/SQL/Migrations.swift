import DovetailCore

/// The tables that an owner keeps in a database, as steps that are each taken once, in order.
///
/// Steps are only ever added: a step that was taken and has changed since is an error, not a surprise.
public struct Migrations: Sendable {
    /// Who owns the tables.
    public var owner: String
    /// The steps, oldest first.
    public var steps: [SQL]

    /// The tables of `owner`.
    public init(owner: String, steps: [SQL]) {
        self.owner = owner
        self.steps = steps
    }
}

extension Database {
    /// Takes the steps that were not taken yet, all in one transaction.
    ///
    /// Throws ``LogError`` `unreadable` if a step that was taken reads differently now, or if the database knows steps that the program does not.
    public func migrate(_ migrations: Migrations) async throws {
        try await transaction("migrate \(migrations.owner)", as: .engine) { transaction in
            try transaction.execute(
                """
                CREATE TABLE IF NOT EXISTS dovetail_migrations (
                    owner TEXT NOT NULL, step BIGINT NOT NULL, statement TEXT NOT NULL, PRIMARY KEY (owner, step))
                """)
            let owner = migrations.owner
            let taken = try transaction.rows(
                String.self, "SELECT statement FROM dovetail_migrations WHERE owner = \(owner) ORDER BY step")
            guard taken.count <= migrations.steps.count else {
                throw LogError(
                    .unreadable, owner,
                    "its tables are at step \(taken.count), and this program knows only \(migrations.steps.count): it is older than the data"
                )
            }
            for (index, step) in migrations.steps.enumerated() {
                if index < taken.count {
                    guard taken[index] == step.text else {
                        throw LogError(
                            .unreadable, owner,
                            "step \(index + 1) of its tables has changed since it was taken; add a step instead")
                    }
                    continue
                }
                try transaction.execute(step)
                try transaction.execute(
                    "INSERT INTO dovetail_migrations (owner, step, statement) VALUES (\(owner), \(index), \(step.text))"
                )
            }
        }
    }
}
