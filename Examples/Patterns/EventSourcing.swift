import Dovetail
import Foundation

/// Accounts of money: every change is an event, and the balance is what they add up to.
struct AccountsAPI: Contract {
    let name = "accounts", version = 1
    let deposit = Endpoint.post("/accounts/{account}/deposits", Move.self, returns: Receipt.self).idempotent()
    let withdraw = Endpoint.post("/accounts/{account}/withdrawals", Move.self, returns: Receipt.self)
        .idempotent().fails(overdrawn)
    let call = Endpoint.put("/accounts/{account}/name", Name.self, returns: Receipt.self).idempotent().fails(nameTaken)
    let balance = Endpoint.get("/accounts/{account}", ByAccount.self, returns: Balance.self)
    let watch = Endpoint.get("/accounts/{account}/changes", ByAccount.self, streams: Balance.self)

    let moved = Event("account.moved", MovedV1.self, key: \.account)
        .upcast(to: MovedV2.self, key: \.account) { MovedV2(account: $0.account, cents: $0.euros * 100) }
        .upcast(to: Moved.self, key: \.account) { Moved(account: $0.account, cents: $0.cents, currency: "EUR") }
    let named = Event("account.named", Name.self, key: \.account)
    let carried = Event("account.carried", Carried.self, key: \.account)

    static let nameTaken = Problem("account-name-taken", status: 409)
    static let overdrawn = Problem("account-overdrawn", status: 409)

    struct Move: Wire, Constrained {
        var account: String, cents: Int
        static let constraints: Constraints = ["cents": .range(1...100_000_000)]
    }
    struct Name: Wire { var account: String, name: String }
    struct Receipt: Wire { var version: Int64 }
    struct ByAccount: Wire { var account: String, at: Date? }
    struct Balance: Wire, Equatable { var account: String, cents: Int }

    struct MovedV1: Wire { var account: String, euros: Int }
    struct MovedV2: Wire { var account: String, cents: Int }
    struct Moved: Wire { var account: String, cents: Int, currency: String }
    struct Carried: Wire { var account: String, cents: Int, name: String? }
}

/// The decisions. Pure: a test needs no platform.
struct MoneyAccount: Wire, Equatable {
    var cents = 0
    var name: String?

    static let events = AccountsAPI()
    static let aggregate = Aggregate("account", MoneyAccount())
        .apply(events.moved) { account, moved in account.cents += moved.cents }
        .apply(events.named) { account, named in account.name = named.name }
        .restart(on: events.carried) { carried in MoneyAccount(cents: carried.cents, name: carried.name) }
        .snapshots(.every(100))

    func move(_ cents: Int, of account: String) throws -> [NewEvent] {
        guard self.cents + cents >= 0 else { throw AccountsAPI.overdrawn("there are \(self.cents) cents") }
        return [Self.events.moved(.init(account: account, cents: cents, currency: "EUR"))]
    }

    /// Closes the books: one event that stands for all before it.
    func carry(_ account: String) -> [NewEvent] {
        [Self.events.carried(.init(account: account, cents: cents, name: name))]
    }
}

/// The read model as it was: kept up to date while the new one is built, and for the way back.
let balancesV1 = Projection(
    "balances", version: 1, tables: "CREATE TABLE balances (account TEXT PRIMARY KEY, cents BIGINT NOT NULL)"
)
.on(MoneyAccount.events.moved) { moved, tables in
    try tables.execute(
        """
        INSERT INTO balances (account, cents) VALUES (\(moved.account), \(moved.cents))
        ON CONFLICT (account) DO UPDATE SET cents = balances.cents + excluded.cents
        """)
}

/// The read model as it is now. A new version is built beside the old one.
let balances = Projection(
    "balances", version: 2,
    tables: "CREATE TABLE balances (account TEXT PRIMARY KEY, cents BIGINT NOT NULL, moves BIGINT NOT NULL)"
)
.on(MoneyAccount.events.moved) { moved, tables in
    try tables.execute(
        """
        INSERT INTO balances (account, cents, moves) VALUES (\(moved.account), \(moved.cents), 1)
        ON CONFLICT (account) DO UPDATE SET cents = balances.cents + excluded.cents, moves = balances.moves + 1
        """)
}
.replacing(balancesV1)

/// Who has which name: kept in the transaction of the events, so that of two accounts that want one at the same time one is refused.
let names = Projection(
    "names", version: 1, tables: "CREATE TABLE names (name TEXT PRIMARY KEY, account TEXT NOT NULL UNIQUE)"
)
.on(MoneyAccount.events.named) { named, tables in
    try tables.execute("DELETE FROM names WHERE account = \(named.account)")
    let isFree = try tables.execute(
        "INSERT INTO names (name, account) VALUES (\(named.name), \(named.account)) ON CONFLICT DO NOTHING")
    guard isFree == 1 else { throw AccountsAPI.nameTaken("'\(named.name)' is another account's") }
}

/// From one account to another: both events in one transaction, so that nobody ever sees the money twice, or not at all.
func transfer(_ cents: Int, from payer: String, to payee: String, _ context: HandlerContext) async throws {
    try await context.execute(MoneyAccount.aggregate, payer, MoneyAccount.aggregate, payee) { from, to in
        (try from.move(-cents, of: payer), try to.move(cents, of: payee))
    }
}

/// Commands decide on the aggregate, queries read the view or the past.
let accounts = Module("accounts", provides: AccountsAPI()) { accounts in
    accounts.decides(on: MoneyAccount.aggregate)
    accounts.project(balances)
    accounts.project(names, with: MoneyAccount.aggregate)

    accounts.handle(\.deposit) { move, context in
        let outcome = try await context.execute(MoneyAccount.aggregate, move.account) {
            try $0.move(move.cents, of: move.account)
        }
        return .init(version: outcome.version)
    }
    accounts.handle(\.withdraw) { move, context in
        let outcome = try await context.execute(MoneyAccount.aggregate, move.account) {
            try $0.move(-move.cents, of: move.account)
        }
        return .init(version: outcome.version)
    }
    accounts.handle(\.call) { name, context in
        let outcome = try await context.execute(MoneyAccount.aggregate, name.account) { _ in
            [MoneyAccount.events.named(name)]
        }
        return .init(version: outcome.version)
    }
    accounts.handle(\.balance) { query, context in
        if let at = query.at {
            let (account, _) = try await context.state(MoneyAccount.aggregate, query.account, asOf: .time(at))
            return .init(account: query.account, cents: account.cents)
        }
        return try await context.one(
            AccountsAPI.Balance.self, "SELECT account, cents FROM balances WHERE account = \(query.account)",
            or: Problem("no-such-account", status: 404))
    }
    // The balance, and again whenever it has changed: a line of the answer each time.
    accounts.handle(\.watch) { query, context in
        AnswerStream(
            context.changes {
                try $0.row(
                    AccountsAPI.Balance.self, "SELECT account, cents FROM balances WHERE account = \(query.account)")
                    ?? .init(account: query.account, cents: 0)
            })
    }
}

/// Closes an account's books, and lets go of what lies before.
func closeBooks(of account: String, on log: any EventLog, _ commands: CommandExecutor) async throws {
    let outcome = try await commands.execute(MoneyAccount.aggregate, account, source: "accounts", context: nil) {
        $0.carry(account)
    }
    try await log.truncate(MoneyAccount.aggregate.stream(account), through: outcome.version - 1)
}

/// Closes an account: its events stay, and no more are taken.
func close(_ account: String, on log: any EventLog) async throws {
    try await log.delete(MoneyAccount.aggregate.stream(account))
}

/// Deletes an account for good: there is no way back, and its events go.
func delete(_ account: String, _ commands: CommandExecutor) async throws {
    try await commands.tombstone(MoneyAccount.aggregate, account)
}
