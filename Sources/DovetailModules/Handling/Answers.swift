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
                ]))
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
