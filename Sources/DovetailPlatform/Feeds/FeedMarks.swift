import DovetailCore
import DovetailEvents
import Foundation
import Logging

/// How far other nodes have read this node's log: what they have not read is not reclaimed, as long as they come now and then.
actor FeedMarks {
    /// Who has not come for so long does not come any more.
    private static let patience = 7 * 86_400.0
    /// A mark is written so often at most.
    private static let interval = 10.0

    private struct Row: Decodable {
        var reader: String
        var done: Int64
        var seenAt: Date
    }

    private let log: any EventLog
    private var written: [String: Date] = [:]

    init(log: any EventLog) {
        self.log = log
    }

    func prepare() async throws {
        try await log.migrate(
            Migrations(
                owner: "dovetail_feed_marks",
                steps: [
                    """
                    CREATE TABLE dovetail_feed_marks (
                        reader TEXT PRIMARY KEY, done BIGINT NOT NULL, seen_at BIGINT NOT NULL)
                    """
                ]))
    }

    /// A node asks for what comes after a place.
    func note(_ reader: String, done place: LogPosition?) async {
        let now = Date()
        guard now.timeIntervalSince(written[reader] ?? .distantPast) >= FeedMarks.interval else { return }
        written[reader] = now
        let done = place.flatMap { try? log.number(of: $0) } ?? 0
        do {
            try await log.transaction("feed mark", as: .engine) { transaction in
                _ = try transaction.execute(
                    """
                    INSERT INTO dovetail_feed_marks (reader, done, seen_at) VALUES (\(reader), \(done), \(now))
                    ON CONFLICT (reader) DO UPDATE SET done = excluded.done, seen_at = excluded.seen_at
                    """)
            }
        } catch {
            // An older mark holds more, which does no harm.
            Logger(label: "dovetail.feeds").debug("a mark was not written", metadata: ["error": "\(error)"])
        }
    }

    /// What other nodes have done with.
    func holds() async throws -> [RetentionHold] {
        let oldest = Date().addingTimeInterval(-FeedMarks.patience)
        return try await log.snapshot { snapshot in
            try snapshot.rows(Row.self, "SELECT * FROM dovetail_feed_marks WHERE seen_at > \(oldest)")
        }.map { RetentionHold(name: "the node \($0.reader)", done: $0.done) }
    }
}
