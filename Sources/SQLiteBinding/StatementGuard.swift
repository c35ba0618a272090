import CSQLite
import DovetailEvents

/// On whose behalf statements are prepared: what they may do.
package enum StatementRole: Hashable, Sendable {
    /// The store's own work: anything.
    case owner
    /// A transaction of the engine: tables of the engine too, but no transaction control.
    case engine
    /// A transaction of a module: its own tables.
    case module
    /// A snapshot: no writes.
    case reader

    package init(_ role: TransactionRole) {
        self = role.mayWriteEngineTables ? .engine : .module
    }
}

/// Decides, while a statement is compiled, whether its role may make it: SQLite's authorizer.
///
/// A user's `COMMIT` inside a group would publish half of it, an `ATTACH` or `PRAGMA` would change what the writer relies on. SQLite asks about each
/// thing a statement would do, so nothing hides in a trigger or a view.
final class StatementGuard {
    var role = StatementRole.owner
    /// Why the last statement was refused.
    private(set) var refusal: String?

    func forget() { refusal = nil }

    func allows(_ action: Int32, _ first: String?, _ second: String?, trigger: String?) -> Bool {
        guard role != .owner else { return true }
        refusal = reason(action, first, second, trigger: trigger) ?? refusal
        return refusal == nil
    }

    private func reason(_ action: Int32, _ first: String?, _ second: String?, trigger: String?) -> String? {
        switch action {
        case SQLITE_TRANSACTION, SQLITE_SAVEPOINT:
            return "transactions are begun and ended by the engine"
        case SQLITE_ATTACH, SQLITE_DETACH:
            return "other databases cannot be attached"
        case SQLITE_PRAGMA:
            return "PRAGMA is the engine's"
        case SQLITE_FUNCTION where second == "load_extension":
            return "extensions cannot be loaded"
        case SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE:
            return nil
        default:
            if role == .reader { return "a snapshot cannot write" }
            let names = isDefinition(action) ? [first, second] : [first]
            guard let table = names.compactMap({ $0 }).first(where: StatementGuard.isEngineTable) else { return nil }
            if let trigger { return "the trigger '\(trigger)' writes the engine's table '\(table)'" }
            return role == .engine ? nil : "'\(table)' is the engine's"
        }
    }

    private func isDefinition(_ action: Int32) -> Bool {
        ![SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE].contains(action)
    }

    /// Whether a table's name is in the engine's name space; SQLite's names ignore case.
    private static func isEngineTable(_ name: String) -> Bool {
        name.utf8.count >= 9 && name.prefix(9).lowercased() == "dovetail_"
    }
}
