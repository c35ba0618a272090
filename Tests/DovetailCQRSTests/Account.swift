import DovetailCQRS
import DovetailContracts
import DovetailEvents

/// An account that cannot be overdrawn: what the tests decide on.
struct Account: Wire, Equatable {
    var balance = 0
    var isClosed = false

    struct Moved: Wire { var id: String, amount: Int }
    struct Closed: Wire { var id: String }
    struct Refused: Error, Equatable { var balance: Int }

    static let moved = Event("account.moved", Moved.self, key: \.id)
    static let closed = Event("account.closed", Closed.self, key: \.id)

    static let aggregate = Aggregate("account", Account())
        .apply(moved) { account, moved in account.balance += moved.amount }
        .apply(closed) { account, _ in account.isClosed = true }

    func move(_ amount: Int) throws -> [NewEvent] {
        guard !isClosed, balance + amount >= 0 else { throw Refused(balance: balance) }
        return [Self.moved(.init(id: "a", amount: amount))]
    }

    func close() -> [NewEvent] { isClosed ? [] : [Self.closed(.init(id: "a"))] }
}

extension CommandExecutor {
    @discardableResult
    func move(
        _ amount: Int, _ id: String = "a", key: CommandKey? = nil, expected: ExpectedVersion = .any
    ) async throws -> CommandOutcome {
        try await execute(Account.aggregate, id, key: key, expected: expected, source: "bank", context: nil) {
            try $0.move(amount)
        }
    }

    @discardableResult
    func close(_ id: String = "a", key: CommandKey? = nil) async throws -> CommandOutcome {
        try await execute(Account.aggregate, id, key: key, source: "bank", context: nil) { $0.close() }
    }

    func account(_ id: String = "a") async throws -> Account { try await state(Account.aggregate, id).0 }
}
