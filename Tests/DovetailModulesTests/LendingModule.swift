import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailResilience

@testable import DovetailModules

struct LendingAPI: Contract {
    let name = "lending", version = 3
    let lend = Endpoint.post("/loans", Lend.self, returns: Loan.self).requires("loans:write").idempotent().fails(lent)
    let count = Endpoint.put("/loans/{book}/count", Count.self, returns: Loan.self)
    let loan = Endpoint.get("/loans/{book}", Ask.self, returns: Loan.self)
    let all = Endpoint.get("/loans", Filter.self, returns: Page.self)
    let giveBack = Endpoint.delete("/loans/{book}", Ask.self)
    let fail = Endpoint.post("/failures", Failure.self, returns: Loan.self)
    let lending = Event("book.lent", Loan.self, key: \.book)

    static let lent = Problem("lent", status: 409)

    struct Lend: Wire, Constrained {
        var book: String, days: Int
        static let constraints: Constraints = ["days": .range(1...30), "book": .length(1...20)]
    }
    struct Count: Wire { var book: String, days: Int, version: Int64? }
    struct Ask: Wire { var book: String }
    struct Filter: Wire, Constrained {
        var longer: Int?
        static let constraints: Constraints = ["longer": .range(0...9)]
    }
    struct Loan: Wire, Equatable { var book: String, days: Int }
    struct Page: Wire, Equatable { var loans: [Loan] }
    struct Failure: Wire { var kind: String }
}

struct Secret: Error { let password = "hunter2" }

let lending = Module("lending", provides: LendingAPI()) { module in
    let api = LendingAPI()
    module.tables("CREATE TABLE loans (book TEXT PRIMARY KEY, days BIGINT NOT NULL)")
    module.handle(\.lend) { input, context in
        try await context.once { tables in
            let inserted = try tables.execute(
                "INSERT INTO loans (book, days) VALUES (\(input.book), \(input.days)) ON CONFLICT (book) DO NOTHING")
            guard inserted > 0 else { throw LendingAPI.lent("\(input.book) is lent") }
            let loan = LendingAPI.Loan(book: input.book, days: input.days)
            try tables.publish(api.lending(loan))
            return loan
        }
    }
    module.handle(\.count) { input, context in
        try await context.execute(
            Aggregate("count", 0).apply(api.lending) { $0 += $1.days }, input.book,
            expected: input.version.map { .exactly($0) } ?? .any
        ) { _ in
            [api.lending(.init(book: input.book, days: input.days))]
        }
        return .init(book: input.book, days: input.days)
    }
    module.handle(\.loan) { input, context in
        let loan = try await context.snapshot {
            try $0.row(LendingAPI.Loan.self, "SELECT * FROM loans WHERE book = \(input.book)")
        }
        guard let loan else { throw Problem("unknown", status: 404) }
        return loan
    }
    module.handle(\.all) { input, context in
        .init(
            loans: try await context.snapshot {
                try $0.rows(LendingAPI.Loan.self, "SELECT * FROM loans WHERE days > \(input.longer ?? 0) ORDER BY book")
            })
    }
    module.handle(\.giveBack) { input, context in
        _ = try await context.transaction { try $0.execute("DELETE FROM loans WHERE book = \(input.book)") }
        return Empty()
    }
    module.handle(\.fail) { input, _ in
        switch input.kind {
        case "hang":
            try? await Task.sleep(for: .seconds(600))
            return .init(book: "", days: 0)
        case "unreachable": throw CallError(.unreachable, callee: "warehouse", message: "secret host", wasSent: false)
        default: throw Secret()
        }
    }
}

/// A node's table with the module on a store in memory, or on a log that is given.
func lendingTable(nodeToken: String? = nil, log given: (any EventLog)? = nil) async throws -> EndpointTable {
    let log = try given ?? MemoryStore().log
    let runtime = ModuleRuntime(
        module: lending.name, parts: lending.parts, log: log, views: log, commands: CommandExecutor(log: log))
    try await runtime.prepare()
    return try EndpointTable([runtime], nodeToken: nodeToken)
}

/// Typed clients of the table, by each of the ways in which a module on the same node is called.
func lendingClient(_ table: EndpointTable, throughCodec: Bool) -> Client<LendingAPI> {
    Client(
        LendingAPI(),
        callee: LocalCallee(
            name: "lending", table: { table }, policies: PolicyExecutor(callee: "lending", policy: CallPolicy()),
            throughCodec: throughCodec), caller: "tests")
}
