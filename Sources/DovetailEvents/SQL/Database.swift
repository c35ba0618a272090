/// Tables of a module, behind one writer: transactions happen one after the other, reads beside them on snapshots.
public protocol Database: Sendable {
    /// Runs `body` in a transaction and returns when that is as durable as the database promises.
    ///
    /// The body is synchronous and runs on the writer's thread: no input or output fits in it. It may run more than once, and only the last run
    /// counts. If it throws, nothing it did remains and the error is thrown here. Cancellation is honoured until the body is
    /// taken up; after that the true outcome is told. `label` names it in metrics and errors.
    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value

    /// Runs `body` on a snapshot of what was committed; it cannot write.
    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value
}

extension Database {
    /// Runs `body` in a transaction of the module's own. See ``transaction(_:as:_:)``.
    public func transaction<Value: Sendable>(
        _ label: String = "transaction", _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        try await transaction(label, as: .module, body)
    }
}

/// Whose transaction it is: what its statements may touch.
public struct TransactionRole: Sendable, Hashable {
    /// Whether the engine's own tables (`dovetail_…`) may be written.
    public let mayWriteEngineTables: Bool

    /// A module's: its own tables, not the engine's.
    public static let module = TransactionRole(mayWriteEngineTables: false)
    /// The engine's own.
    package static let engine = TransactionRole(mayWriteEngineTables: true)
}
