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
                    """
                ]))
    }

    /// The kept answer of `key`, or what `body` returns, kept in the same transaction.
    func once<Value: Wire>(
        _ key: String, module: String, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await log.transaction(module, as: .engine) { transaction in
            if let kept = try transaction.row(String.self, "SELECT answer FROM dovetail_answers WHERE key = \(key)") {
                return try JSON.decode(Value.self, from: Array(kept.utf8))
            }
            let value = try body(transaction)
            let text = String(decoding: try JSON.encode(value), as: UTF8.self)
            try transaction.execute(
                """
                INSERT INTO dovetail_answers (key, module, answer, answered_at)
                VALUES (\(key), \(module), \(text), \(Date()))
                """)
            return value
        }
    }
}
