import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import ServiceLifecycle
import Testing

/// Queries that are answered again when their read models change.
@Suite struct LiveQueryTests {
    private struct Counted: Wire { var id: String }
    private static let counted = Event("counted", Counted.self, key: \.id)

    private static func projection(_ version: Int = 1) -> Projection {
        Projection("sums", version: version, tables: "CREATE TABLE sums (id TEXT PRIMARY KEY, n BIGINT NOT NULL)")
            .on(counted) { event, tables in
                try tables.execute(
                    """
                    INSERT INTO sums (id, n) VALUES (\(event.id), \(version))
                    ON CONFLICT (id) DO UPDATE SET n = sums.n + excluded.n
                    """)
            }
    }

    private let store: MemoryStore
    private let readModel: ReadModel

    init() async throws {
        store = try MemoryStore()
        readModel = ReadModel([Self.projection()], from: store.log, in: store.log)
        try await readModel.prepare()
    }

    private func count(_ ids: String...) async throws {
        _ = try await store.log.publish(
            try ids.map { try EventDraft(Self.counted(.init(id: $0)), source: "test", context: nil) })
    }

    private var sum: LiveQuery<Int> {
        readModel.changes { try $0.row(Int.self, "SELECT COALESCE(SUM(n), 0) FROM sums") ?? 0 }
    }

    /// Runs the read model as long as `body` does.
    private func running(_ body: () async throws -> Void) async throws {
        let readModel = readModel
        let task = Task { try await readModel.run() }
        do { try await body() } catch {
            task.cancel()
            throw error
        }
        task.cancel()
        try await task.value
    }

    @Test(
        "A live query is answered at once, then after each change, and never twice with the same",
        .timeLimit(.minutes(1)))
    func follows() async throws {
        try await count("a")
        try await running {
            var answers = sum.makeAsyncIterator()
            var seen: [Int] = []
            while seen.last != 1, let answer = try await answers.next() { seen.append(answer) }
            for expected in 2...20 {
                try await count("a")
                // What is none of the read model's business brings no answer.
                _ = try await store.log.publish([EventDraft(type: "other", key: "k", source: "test", data: [])])
                #expect(try await answers.next() == expected)
            }
            #expect(seen == [0, 1] || seen == [1])
        }
    }

    @Test(
        "Who is slow gets the latest answer: changes in between come as one, and nothing piles up",
        .timeLimit(.minutes(1)))
    func coalesces() async throws {
        try await running {
            var answers = sum.makeAsyncIterator()
            _ = try await answers.next()
            for _ in 0..<500 { try await count("a", "b") }
            let head = store.log.position(store.log.head)
            _ = try await readModel.query(after: head) { _ in }
            var seen: [Int] = []
            while seen.last != 1000, let answer = try await answers.next() { seen.append(answer) }
            #expect(seen == [1000])
        }
    }

    @Test("A live query ends when the read model stops, and with the task that iterates", .timeLimit(.minutes(1)))
    func ends() async throws {
        let (sum, readModel) = (sum, readModel)
        let cancelled = Task { () -> Int in
            var count = 0
            for try await _ in sum { count += 1 }
            return count
        }
        let follower = Task { try await readModel.run() }
        let ended = Task { () -> Int in
            var count = 0
            for try await _ in sum { count += 1 }
            return count
        }
        cancelled.cancel()
        _ = try await cancelled.value
        try await count("a")
        _ = try await readModel.query(after: store.log.position(1)) { _ in }
        follower.cancel()
        try await follower.value
        #expect(try await ended.value >= 1)
    }

    @Test("What the query throws ends it, and is told", .timeLimit(.minutes(1)))
    func fails() async throws {
        let broken: LiveQuery<Int> = readModel.changes { try $0.row(Int.self, "SELECT n FROM nothing") ?? 0 }
        var answers = broken.makeAsyncIterator()
        await #expect(throws: LogError.self) { _ = try await answers.next() }
    }

    @Test("A build that takes the active one's place brings an answer", .timeLimit(.minutes(1)))
    func switches() async throws {
        try await count("a", "a", "b")
        let newer = ReadModel(
            [Self.projection(2).replacing(Self.projection())], from: store.log, in: store.log)
        try await newer.prepare()
        let task = Task { try await newer.run() }
        let sums: LiveQuery<Int> = newer.changes { try $0.row(Int.self, "SELECT COALESCE(SUM(n), 0) FROM sums") ?? 0 }
        // Each event counts twice in the new version.
        for try await sum in sums where sum == 6 { break }
        task.cancel()
        try await task.value
    }
}
