import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// The answers given under idempotency keys, kept in the log's database beside what they answer for.
struct Answers: Sendable {
    let log: any EventLog

    func prepare() async throws {
        try await log.migrate(
            Migrations(
                owner: "dovetail.answers",
                steps: [
                    """
                    CREATE TABLE dovetail_answers (
                        key TEXT PRIMARY KEY, module TEXT NOT NULL, answer TEXT NOT NULL, answered_at BIGINT NOT NULL)
                    """,
                    "ALTER TABLE dovetail_answers ADD COLUMN input TEXT",
                    "CREATE INDEX dovetail_answers_age ON dovetail_answers (answered_at)",
                ]))
    }

    /// How many answers go in one transaction: its commit holds nobody up.
    private static let step = 500

    /// Forgets the answers that were given before `date`, with their keys; returns how many.
    func forget(before date: Date) async throws -> Int {
        var total = 0
        while true {
            // Nothing is written where nothing goes.
            let isDue = try await log.snapshot { snapshot in
                try snapshot.row(
                    Bool.self, "SELECT EXISTS (SELECT 1 FROM dovetail_answers WHERE answered_at < \(date))")
            }
            guard isDue == true else { return total }
            total += try await log.transaction("answers", as: .engine) { transaction in
                try transaction.execute(
                    """
                    DELETE FROM dovetail_answers WHERE key IN (
                        SELECT key FROM dovetail_answers WHERE answered_at < \(date) ORDER BY answered_at
                        LIMIT \(Self.step))
                    """)
            }
            try Task.checkCancellation()
        }
    }

    private struct Kept: Decodable {
        var answer: String
        var input: String?
    }

    /// The kept answer of `key`, or what `body` returns, kept in the same transaction. Throws ``Problem/keyReused`` if the key was used with another input.
    func once<Value: Wire>(
        _ key: CommandKey, module: String, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await log.transaction(module, as: .module) { transaction in
            if let kept = try transaction.row(
                Kept.self, "SELECT answer, input FROM dovetail_answers WHERE key = \(key.name)")
            {
                if let input = key.input, let first = kept.input, input != first { throw Problem.keyReused }
                return try JSON.decode(Value.self, from: Array(kept.answer.utf8))
            }
            let value = try body(transaction)
            let text = String(decoding: try JSON.encode(value), as: UTF8.self)
            try transaction.asEngine {
                _ = try transaction.execute(
                    """
                    INSERT INTO dovetail_answers (key, module, answer, answered_at, input)
                    VALUES (\(key.name), \(module), \(text), \(Date()), \(key.input))
                    """)
            }
            return value
        }
    }
}
