import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Testing

@testable import DovetailCQRS

/// Tables that change while the version stays.
@Suite struct ProjectionTablesTests {
    private let store: MemoryStore
    private let executor: CommandExecutor

    init() throws {
        store = try MemoryStore()
        executor = CommandExecutor(log: store.log)
    }

    private func moves(_ tables: SQL, version: Int = 1) -> Projection {
        Projection("moves", version: version, tables: tables)
            .on(Account.moved) { moved, tables in
                try tables.execute("INSERT INTO moves (id, cents) VALUES (\(moved.id), \(moved.amount))")
            }
    }

    private func start(_ projection: Projection) async throws {
        try await ReadModel([projection], from: store.log, in: try store.views(module: "bank")).prepare()
    }

    private func startInline(_ projection: Projection) async throws {
        try await CommandExecutor(log: store.log).project(projection, with: Account.aggregate, as: "bank")
    }

    private let first: SQL = "CREATE TABLE moves (id TEXT, cents BIGINT)"

    @Test(
        "Other tables under the same version are refused at the start, by name, with what to do; a new version is built"
    )
    func changed() async throws {
        for start in [self.start, self.startInline] {
            try await start(moves(first))
            for other in [
                "CREATE TABLE moves (id TEXT, cents BIGINT, at BIGINT)",
                "CREATE TABLE moves (id TEXT, cents BIGINT DEFAULT 0)",
                "CREATE TABLE moves (id TEXT, cents BIGINTEGER)",
            ] as [SQL] {
                let error = await #expect(throws: LogError.self) { try await start(moves(other)) }
                let message = error?.description ?? ""
                #expect(message.contains("moves"), "\(message)")
                #expect(message.contains("not those that version 1 of it was built with"), "\(message)")
                #expect(message.contains("raise its version"), "\(message)")
                try await start(moves(first))
            }
            try await start(moves("CREATE TABLE moves (id TEXT, cents BIGINT, at BIGINT)", version: 2))
        }
    }

    @Test("Spaces, comments and capitals make no other table; what stands in quotes does")
    func spelling() async throws {
        for start in [self.start, self.startInline] {
            try await start(moves(first))
            try await start(
                moves(
                    """
                    create table  moves ( -- what was moved
                        id text /* whose */,
                        cents bigint
                    )
                    """))
        }
        func same(_ one: SQL, _ other: SQL) -> Bool {
            ProjectionTables.fingerprint(of: [one]) == ProjectionTables.fingerprint(of: [other])
        }
        #expect(same("CREATE TABLE t (a TEXT DEFAULT 'A  b')", "create table t(a text default 'A  b')"))
        #expect(!same("CREATE TABLE t (a TEXT DEFAULT 'A  b')", "CREATE TABLE t (a TEXT DEFAULT 'A b')"))
        #expect(!same("CREATE TABLE t (a TEXT DEFAULT 'A')", "CREATE TABLE t (a TEXT DEFAULT 'a')"))
        #expect(!same("CREATE TABLE t (a TEXT DEFAULT '--x')", "CREATE TABLE t (a TEXT DEFAULT '--y')"))
        #expect(!same("CREATE TABLE t (ab TEXT)", "CREATE TABLE t (a b TEXT)"))
        for unclosed in ["CREATE TABLE t (a TEXT DEFAULT '", "CREATE /*", "CREATE --", "[", "'", ""] as [SQL] {
            #expect(same(unclosed, unclosed))
        }
    }

    @Test("A version that is replaced is held to its tables as well; one that the program knows no more is left alone")
    func predecessors() async throws {
        let second: SQL = "CREATE TABLE moves (id TEXT, cents BIGINT, at BIGINT)"
        try await start(moves(first))
        try await start(moves(second, version: 2).replacing(moves(first)))
        let error = await #expect(throws: LogError.self) {
            try await start(moves(second, version: 2).replacing(moves("CREATE TABLE moves (id TEXT, cents INT)")))
        }
        #expect(error?.message.contains("version 1 of it was built with (build 1)") == true)
        try await start(moves(second, version: 2))
    }

    @Test("A build of before, on record without its tables, takes over those of the program")
    func adopted() async throws {
        let views = try store.views(module: "bank")
        for (database, start) in [(views, self.start), (store.log as any Database, self.startInline)] {
            try await start(moves(first))
            let known = try await database.transaction("forget", as: .engine) {
                try $0.execute("DELETE FROM dovetail_build_tables")
            }
            #expect(known == 1)
            let other = moves("CREATE TABLE moves (id TEXT, cents BIGINT, at BIGINT)")
            try await start(other)
            await #expect(throws: LogError.self) { try await start(moves(first)) }
        }
    }
}
