import BenchmarkSupport
import DovetailCQRS
import DovetailCore
import DovetailEvents
import DovetailSQLite

/// A read model with a row for each of a thousand keys, built again beside the one that answers, until it has taken its place.
enum Rebuilding {
    private static let sums = Projection(
        "sums", version: 1, tables: "CREATE TABLE sums (id TEXT PRIMARY KEY, sum BIGINT NOT NULL, n BIGINT NOT NULL)"
    )
    .on(Tally.added) { added, tables in
        try tables.execute(
            """
            INSERT INTO sums (id, sum, n) VALUES (\(added.event.key), \(added.amount), 1)
            ON CONFLICT (id) DO UPDATE SET sum = sums.sum + excluded.sum, n = sums.n + 1
            """)
    }

    static func measure(_ store: SQLiteStore, _ options: Options) async throws -> Measurement {
        try Tally.check()
        let log = store.log
        let drafts = (0..<1000).map { number in
            var added = Tally.sample
            added.id = "tally-\(10_000 + number)"
            return added
        }.map { Tally.added($0) }
        for _ in 0..<(options.events / drafts.count) {
            _ = try await log.publish(try drafts.map { try EventDraft($0, source: "bench", context: nil) })
        }
        let model = ReadModel([sums], from: log, in: try store.views(module: "bench"))
        try await model.prepare()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await model.run() }
            defer { group.cancelAll() }
            // The first build, which is not measured.
            try await check(model, log)
            let head = log.head
            let measurement = try await Measurement.of {
                try await model.rebuild("sums", switching: true)
                while try await !model.builds().contains(where: { $0.number == 2 && $0.state == .active }) {
                    try await Task.sleep(for: .milliseconds(2))
                }
                return (Int(head), [])
            }
            try await check(model, log)
            return measurement
        }
    }

    /// Throws if the read model does not show every event.
    private static func check(_ model: ReadModel, _ log: any EventLog) async throws {
        let count = try await model.query(after: log.position(log.head), until: .now + .seconds(120)) {
            try $0.row(Int64.self, "SELECT sum(n) FROM sums")
        }
        guard count == log.head else { throw UsageError("it shows \(count ?? 0) of \(log.head) events") }
    }
}
