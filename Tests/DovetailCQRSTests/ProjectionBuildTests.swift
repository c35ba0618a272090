import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation
import Synchronization
import Testing

@testable import DovetailCQRS

/// Read models that are built again while they answer.
@Suite(.timeLimit(.minutes(2))) struct ProjectionBuildTests {
    private let store: MemoryStore
    private let executor: CommandExecutor

    init() throws {
        store = try MemoryStore()
        executor = CommandExecutor(log: store.log)
    }

    private static func balances(version: Int = 1, factor: Int = 1) -> Projection {
        Projection(
            "balances", version: version,
            tables: "CREATE TABLE balances (id TEXT PRIMARY KEY, cents BIGINT NOT NULL)",
            "CREATE INDEX IF NOT EXISTS balances_by_cents ON balances (cents)"
        )
        .on(Account.moved) { moved, tables in
            try tables.execute(
                """
                INSERT INTO balances (id, cents) VALUES (\(moved.event.key), \(moved.amount * factor))
                ON CONFLICT (id) DO UPDATE SET cents = balances.cents + excluded.cents
                """)
        }
    }

    private func model(_ projections: Projection...) throws -> ReadModel {
        ReadModel(projections, from: store.log, in: try store.views(module: "bank"))
    }

    /// Runs a read model for as long as `body` takes.
    private func running<Value: Sendable>(
        _ model: ReadModel, _ body: @Sendable (ReadModel) async throws -> Value
    ) async throws -> Value {
        try await model.prepare()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { do { try await model.run() } catch is CancellationError {} }
            defer { group.cancelAll() }
            return try await body(model)
        }
    }

    private func cents(_ model: ReadModel, after position: LogPosition? = nil) async throws -> Int? {
        try await model.query(after: position, until: .now + .seconds(60)) {
            try $0.row(Int.self, "SELECT cents FROM balances WHERE id = 'a'")
        }
    }

    /// The balance once another cent has come.
    private func movedCents(_ model: ReadModel) async throws -> Int? {
        try await cents(model, after: try await executor.move(1).position)
    }

    /// Waits until a projection's builds are as `isSo` says.
    private func eventually(_ model: ReadModel, _ isSo: ([ProjectionBuild]) -> Bool) async throws -> [ProjectionBuild] {
        for _ in 0..<5000 {
            let builds = try await model.builds()
            if isSo(builds) { return builds }
            try await Task.sleep(for: .milliseconds(2))
        }
        Issue.record("the builds stay \(try await model.builds())")
        return []
    }

    @Test("A rebuild stands beside the active build, switches in one step, and is taken back in one")
    func rebuilds() async throws {
        try await executor.move(10)
        try await running(try model(Self.balances())) { model in
            let build = try await model.rebuild("balances")
            #expect(build.number == 2)
            #expect(build.state == .building)
            await #expect(throws: LogError.self) { try await model.rebuild("balances") }
            await #expect(throws: LogError.self) { try await model.rollBack("balances") }
            let moved = try await executor.move(1).position
            #expect(try await cents(model, after: moved) == 11)
            _ = try await eventually(model) { $0.count == 2 && $0.allSatisfy { $0.scanned >= moved.number } }
            #expect(try await model.makeActive("balances").number == 2)
            #expect(try await movedCents(model) == 12)
            let builds = try await model.builds()
            #expect(builds.map(\.state) == [.previous, .active])
            #expect(builds.allSatisfy { $0.isFollowed })

            // What is in the tables of one build only shows which of them answers.
            let views = try store.views(module: "bank")
            _ = try await views.transaction { try $0.execute("UPDATE balances__2 SET cents = 1000") }
            #expect(try await cents(model) == 1000)
            let back = try await model.rollBack("balances")
            #expect(back.number == 1)
            #expect(back.isFollowed)
            #expect(try await movedCents(model) == 13)
            try await model.rollBack("balances")
            #expect(try await cents(model) == 1001)

            await #expect(throws: LogError.self) { try await model.drop("balances", build: 2) }
            try await model.drop("balances", build: 1)
            #expect(try await model.builds().map(\.number) == [2])
            #expect(try await movedCents(model) == 1002)
            #expect(try await model.rebuild("balances", switching: true).number == 3, "no number is given again")
            _ = try await eventually(model) { $0.contains { $0.number == 3 && $0.state == .active } }
            #expect(try await cents(model) == 14)
        }
        #expect(try await running(try model(Self.balances())) { try await cents($0) } == 14, "after a restart")
    }

    @Test("While a new version is built, its predecessor is kept up to date, and afterwards too, for the way back")
    func predecessors() async throws {
        let old = Self.balances()
        try await executor.move(10)
        try await running(try model(old)) { _ = try await cents($0, after: store.log.position(1)) }
        try await running(try model(Self.balances(version: 2, factor: 2).replacing(old))) { model in
            _ = try await eventually(model) { $0.contains { $0.version == 2 && $0.state == .active } }
            let position = try await executor.move(1).position
            #expect(try await cents(model, after: position) == 22)
            #expect(try await model.rollBack("balances").isFollowed)
            #expect(try await cents(model, after: position) == 11)
        }
        // An operator's way back outlives a restart; without its program the old one stands where it stood.
        try await running(try model(Self.balances(version: 2, factor: 2))) { model in
            #expect(try await cents(model) == 11)
            try await executor.move(100)
            #expect(try await model.builds().map(\.isFollowed) == [false, true])
            #expect(try await model.rollBack("balances").version == 2)
            #expect(try await cents(model, after: store.log.position(store.log.head)) == 222)
        }
        // A third version takes the place of both in turn.
        try await running(try model(Self.balances(version: 3, factor: 3))) { model in
            let builds = try await eventually(model) { $0.contains { $0.version == 3 && $0.state == .active } }
            #expect(builds.map(\.version) == [2, 3])
            #expect(try await cents(model) == 333)
        }
    }

    @Test("A build that has not caught up does not take the active one's place")
    func tooEarly() async throws {
        try await running(try model(Self.balances())) { model in
            let position = try await executor.move(1).position
            _ = try await cents(model, after: position)
        }
        let stopped = try model(Self.balances())
        try await stopped.prepare()
        try await stopped.rebuild("balances")
        let error = await #expect(throws: LogError.self) { try await stopped.makeActive("balances") }
        #expect(error?.code == .notReached)
        #expect(try await stopped.builds().map(\.state) == [.active, .building])
        try await stopped.drop("balances", build: 2)
        await #expect(throws: LogError.self) { try await stopped.makeActive("balances") }
        await #expect(throws: LogError.self) { try await stopped.rebuild("none") }
    }

    /// A projection that reads less than what is in the log.
    private struct Loud: Wire { var id: String, noise: Int }
    private static let loud = Event("account.moved", version: 2, Loud.self, key: \.id)

    private func publish(_ version: Int, _ json: String) async throws -> LogPosition {
        try await store.log.publish([
            EventDraft(type: "account.moved", version: version, key: "a", source: "t", data: Array(json.utf8))
        ]).position
    }

    @Test("A projection stops at what it cannot decode, says position, type and reason, and the others go on")
    func stops() async throws {
        let counts = Projection("counts", version: 1, tables: "CREATE TABLE counts (n BIGINT NOT NULL)")
            .on(Account.moved) { _, tables in try tables.execute("INSERT INTO counts VALUES (1)") }
            .passingOver("account.moved", version: 7)
        let noise = Projection("noise", version: 1, tables: "CREATE TABLE noise (n BIGINT NOT NULL)")
            .on(Self.loud) { loud, tables in try tables.execute("INSERT INTO noise VALUES (\(loud.noise))") }
            .passingOver("account.moved", version: 1)
        try await running(try model(counts, noise)) { model in
            for _ in 0..<5 { try await executor.move(1) }
            let bad = try await publish(7, "{}")
            let last = try await executor.move(1).position
            let builds = try await eventually(model) { builds in
                builds.first { $0.projection == "noise" }?.blocked != nil
                    && builds.first { $0.projection == "counts" }?.scanned == last.number
            }
            let blocked = try #require(builds.first { $0.projection == "noise" }?.blocked)
            #expect(blocked.position == bad.number)
            #expect(blocked.type == "account.moved")
            #expect(blocked.error.contains("stored in version 7"), "\(blocked.error)")
            #expect(builds.first { $0.projection == "noise" }?.scanned == bad.number - 1)
            #expect(try await model.query { try $0.row(Int.self, "SELECT count(*) FROM counts") } == 6)
        }
    }

    @Test("Where it is configured, what cannot be decoded is put aside and counted, and a rebuild reads it again")
    func parks() async throws {
        let parking = Self.balances().parkingUndecodable()
        try await executor.move(1)
        _ = try await publish(1, #"{"id":"a"}"#)
        _ = try await publish(2, #"{"id":"a","noise":3}"#)
        let last = try await executor.move(1).position
        try await running(try model(parking)) { model in
            #expect(try await cents(model, after: last) == 2)
            let build = try #require(try await model.builds().first)
            #expect(build.parked == 2)
            #expect(build.blocked == nil)
            struct Parked: Decodable { var position: Int64, type: String, version: Int, error: String }
            let parked = try await store.views(module: "bank").snapshot {
                try $0.rows(Parked.self, "SELECT * FROM dovetail_parked ORDER BY position")
            }
            #expect(parked.map(\.position) == [2, 3])
            #expect(parked.last?.error.contains("stored in version 2") == true)
        }
        let knowing = parking.on(Self.loud) { loud, tables in
            try tables.execute("UPDATE balances SET cents = cents + \(loud.noise)")
        }
        try await running(try model(knowing)) { model in
            try await model.rebuild("balances", switching: true)
            let builds = try await eventually(model) { $0.contains { $0.number == 2 && $0.state == .active } }
            #expect(builds.last?.parked == 1)
            #expect(try await cents(model, after: last) == 5)
        }
    }

    @Test("An event that fails among many that do not: all before it have their effect, once")
    func failsInTheMiddle() async throws {
        let failures = Mutex(0)
        let fragile = Projection("fragile", version: 1, tables: "CREATE TABLE fragile (amount BIGINT NOT NULL)")
            .on(Account.moved) { moved, tables in
                if moved.amount == 77,
                    failures.withLock({
                        $0 += 1; return $0
                    }) < 3
                {
                    throw Account.Refused(balance: 0)
                }
                try tables.execute("INSERT INTO fragile VALUES (\(moved.amount))")
            }
        for amount in 1...100 { try await executor.move(amount) }
        try await running(try model(fragile)) { model in
            let amounts = try await model.query(after: store.log.position(100), until: .now + .seconds(30)) {
                try $0.rows(Int.self, "SELECT amount FROM fragile ORDER BY rowid")
            }
            #expect(amounts == Array(1...100))
        }
    }

    @Test("A read model of a log that was replaced is built afresh in its place, all builds of it")
    func foreignLog() async throws {
        try await executor.move(1)
        let views = try store.views(module: "bank")
        try await running(try model(Self.balances())) { model in
            try await model.rebuild("balances", switching: true)
            _ = try await eventually(model) { $0.contains { $0.number == 2 && $0.state == .active } }
        }
        let other = try MemoryStore()
        try await CommandExecutor(log: other.log).move(5)
        let model = ReadModel([Self.balances()], from: other.log, in: views)
        try await running(model) { (model: ReadModel) async throws -> Void in
            #expect(try await cents(model, after: other.log.position(1)) == 5)
            #expect(try await model.builds().map(\.number) == [3])
        }
    }

    @Test(
        "Rebuilt equals followed: whatever happens, in whatever order, with stops, and builds begun in between",
        arguments: 1...8)
    func rebuiltEqualsFollowed(_ seed: Int) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("dovetail-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let sqlite = try SQLiteStore.open(
            folder + "/log.db", options: .init(durability: .operatingSystem, ballastBytes: 4096))
        let views = try sqlite.views(module: "bank")
        // Depends on the order of all events, so that one too many, too few or out of place shows.
        let chain = Projection(
            "chain", version: 1,
            tables: "CREATE TABLE chain (id TEXT PRIMARY KEY, hash BIGINT NOT NULL, n BIGINT NOT NULL)"
        )
        .on(Account.moved) { moved, tables in
            for id in [moved.event.key, "all"] {
                let before = try tables.row(Int64.self, "SELECT hash FROM chain WHERE id = \(id)") ?? 17
                let hash = (before &* 31 &+ Int64(moved.amount)) & 0xFFFF_FFFF
                try tables.execute(
                    """
                    INSERT INTO chain VALUES (\(id), \(hash), 1)
                    ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, n = chain.n + 1
                    """)
            }
        }
        .on(Account.closed) { closed, tables in
            try tables.execute("DELETE FROM chain WHERE id = \(closed.event.key)")
        }
        struct Row: Decodable, Hashable, Sendable { var id: String, hash: Int64, n: Int }
        var random = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<4 {
            let count = Int.random(in: 50...700, using: &random)
            let drafts = try (0..<count).map { _ in
                let key = "k\(Int.random(in: 0..<9, using: &random))"
                let event =
                    Int.random(in: 0..<20, using: &random) == 0
                    ? Account.closed(.init(id: key))
                    : Account.moved(.init(id: key, amount: Int.random(in: -999...999, using: &random)))
                return try EventDraft(event, source: "t", context: nil)
            }
            let model = ReadModel([chain], from: sqlite.log, in: views)
            let isBuilding = Bool.random(using: &random)
            try await running(model) { model in
                if isBuilding, try await !model.builds().contains(where: { $0.state == .building }) {
                    try await model.rebuild("chain")
                }
                for start in stride(from: 0, to: drafts.count, by: 7) {
                    _ = try await sqlite.log.publish(Array(drafts[start..<min(start + 7, drafts.count)]))
                }
            }
        }
        let model = ReadModel([chain], from: sqlite.log, in: views)
        try await running(model) { model in
            if try await !model.builds().contains(where: { $0.state == .building }) { try await model.rebuild("chain") }
            let query: @Sendable (Snapshot) throws -> Set<Row> = { Set(try $0.rows(Row.self, "SELECT * FROM chain")) }
            let followed = try await model.query(
                after: sqlite.log.position(sqlite.log.head), until: .now + .seconds(60), query)
            _ = try await eventually(model) { $0.allSatisfy { $0.scanned == sqlite.log.head } }
            try await model.makeActive("chain")
            let rebuilt = try await model.query(query)
            #expect(rebuilt == followed)
            #expect(rebuilt.contains { $0.id == "all" && $0.n > 0 })
        }
        await sqlite.close()
    }

    @Test("Two readers of one cursor, as after a mistake, have each effect once between them")
    func overtaken() async throws {
        for _ in 0..<300 { try await executor.move(1) }
        let views = try store.views(module: "bank")
        let readers = (0..<2).map { _ in
            EffectivelyOnceReader("twice", from: store.log, into: views, types: ["account.moved"], batch: 7) {
                _, tables in
                try tables.execute("UPDATE twice SET n = n + 1")
            }
        }
        _ = try await views.transaction { try $0.execute("CREATE TABLE twice AS SELECT 0 AS n") }
        let number = store.log.head
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in readers { group.addTask { try await reader.run() } }
            for reader in readers { try await reader.wait(for: number, until: .now + .seconds(60)) }
            group.cancelAll()
        }
        #expect(try await views.snapshot { try $0.row(Int.self, "SELECT n FROM twice") } == 300)
    }

    @Test("A column that is called as its table is found out")
    func ambiguous() {
        for (text, expected) in [
            ("CREATE TABLE sums (id TEXT, sums BIGINT)", "sums"), ("CREATE TABLE IF NOT EXISTS sums (id TEXT)", nil),
            ("CREATE TABLE a (id TEXT REFERENCES a (id), n BIGINT CHECK (a.n > 0)); CREATE INDEX i ON a (id, n)", nil),
            ("CREATE TABLE a (i TEXT); CREATE INDEX i ON a (i)", "i"),
            ("CREATE VIEW v AS SELECT n FROM a; CREATE TABLE a (n BIGINT)", nil),
        ] {
            #expect(ProjectionTables.ambiguousName(in: [SQL(stringLiteral: text)]) == expected, "\(text)")
        }
    }

    @Test("A table that is called as something in another's statement leaves that as it is")
    func innocentWords() {
        let names = TableNames(["status": "status__2", "date": "date__2", "totals": "totals__2"])
        for text in [
            "SELECT status, date(placed_at) FROM orders WHERE status = ? ORDER BY status, date",
            "SELECT o.status FROM orders o JOIN lines l ON l.status = o.status GROUP BY status",
            "INSERT INTO orders (id, status) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status",
            "UPDATE orders SET status = ?, date = max(date, ?) WHERE status IN ('a', 'b')",
            "SELECT sum(cents) totals FROM orders", "SELECT totals.n FROM (SELECT count(*) AS n FROM orders) AS totals",
            "WITH totals AS (SELECT count(*) AS n FROM orders) SELECT n FROM totals",
            "WITH RECURSIVE totals (n) AS (SELECT 1 UNION SELECT n + 1 FROM totals) SELECT totals.n FROM totals",
            "SELECT extract(year FROM date), trim('x' FROM status) FROM orders",
            "SELECT 1 FROM orders WHERE status IS DISTINCT FROM date",
            "CREATE TABLE orders (id TEXT, status TEXT, date TEXT)", "CREATE INDEX i ON orders (status, date)",
        ] {
            #expect(names.renamed(SQL(stringLiteral: text)).text == text)
        }
    }

    @Test("A statement's tables are found wherever a table can be named")
    func everyTable() {
        let names = TableNames(["t": "t2", "u": "u2"])
        for (text, expected) in [
            ("SELECT * FROM t, u WHERE t.a = u.a", "SELECT * FROM \"t2\", \"u2\" WHERE \"t2\".a = \"u2\".a"),
            (
                "SELECT t.* FROM t LEFT JOIN u ON u.a = t.a",
                "SELECT \"t2\".* FROM \"t2\" LEFT JOIN \"u2\" ON \"u2\".a = \"t2\".a"
            ),
            ("SELECT * FROM (t JOIN u USING (a))", "SELECT * FROM (\"t2\" JOIN \"u2\" USING (a))"),
            ("SELECT t.a FROM x AS t, u", "SELECT t.a FROM x AS t, \"u2\""),
            ("SELECT (SELECT max(a) FROM u) FROM t x", "SELECT (SELECT max(a) FROM \"u2\") FROM \"t2\" x"),
            ("INSERT OR REPLACE INTO t SELECT * FROM u", "INSERT OR REPLACE INTO \"t2\" SELECT * FROM \"u2\""),
            ("UPDATE OR IGNORE t SET a = u.a FROM u", "UPDATE OR IGNORE \"t2\" SET a = \"u2\".a FROM \"u2\""),
            (
                "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = t.a + excluded.a",
                "INSERT INTO \"t2\" (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = \"t2\".a + excluded.a"
            ),
            ("DELETE FROM t WHERE a IN u", "DELETE FROM \"t2\" WHERE a IN \"u2\""),
            (
                "CREATE TABLE IF NOT EXISTS t (a REFERENCES u (a)); CREATE INDEX u ON t (a)",
                "CREATE TABLE IF NOT EXISTS \"t2\" (a REFERENCES \"u2\" (a)); CREATE INDEX \"u2\" ON \"t2\" (a)"
            ),
            (
                "CREATE TRIGGER u AFTER UPDATE OF a ON t BEGIN UPDATE t SET b = 1; DELETE FROM t; END",
                "CREATE TRIGGER \"u2\" AFTER UPDATE OF a ON \"t2\" BEGIN UPDATE \"t2\" SET b = 1; DELETE FROM \"t2\"; END"
            ),
            ("DROP INDEX IF EXISTS u; DROP TABLE t", "DROP INDEX IF EXISTS \"u2\"; DROP TABLE \"t2\""),
            (
                "SELECT bm25(t) FROM t WHERE t MATCH ?; INSERT INTO t (t) VALUES ('rebuild')",
                "SELECT bm25(\"t2\") FROM \"t2\" WHERE \"t2\" MATCH ?; INSERT INTO \"t2\" (\"t2\") VALUES ('rebuild')"
            ),
            (
                "SELECT a FROM t UNION SELECT a FROM u ORDER BY a",
                "SELECT a FROM \"t2\" UNION SELECT a FROM \"u2\" ORDER BY a"
            ),
        ] {
            #expect(names.renamed(SQL(stringLiteral: text)).text == expected)
        }
    }

    @Test("A statement's names are replaced where they are tables, and nowhere else")
    func names() {
        let names = TableNames(["orders": "orders__2", "by_user": "by_user__2"])
        for (text, expected) in [
            ("SELECT * FROM orders", "SELECT * FROM \"orders__2\""),
            ("SELECT Orders.id FROM main.orders o", "SELECT \"orders__2\".id FROM main.\"orders__2\" o"),
            ("SELECT o.orders, 'orders' AS orders FROM x o", "SELECT o.orders, 'orders' AS orders FROM x o"),
            ("CREATE INDEX by_user ON \"orders\" (a)", "CREATE INDEX \"by_user__2\" ON \"orders__2\" (a)"),
            (
                "-- orders\nSELECT 1 /* orders */, 'it''s orders', 2orders",
                "-- orders\nSELECT 1 /* orders */, 'it''s orders', 2orders"
            ),
            (
                "DELETE FROM [orders] WHERE myorders = ? AND orders_x = 'a",
                "DELETE FROM \"orders__2\" WHERE myorders = ? AND orders_x = 'a"
            ),
        ] {
            #expect(names.renamed(SQL(stringLiteral: text)).text == expected)
        }
    }
}
