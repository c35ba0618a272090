import DovetailContracts
import DovetailCore
import DovetailEvents

/// A read model that events keep up to date: its tables, and what each event does to them.
///
/// State and cursor change in one transaction, so each event has its effect once. The functions are synchronous; they see events in the
/// order of the log. A new `version` is built afresh from the whole log.
public struct Projection: Sendable {
    /// The durable name.
    public let name: String
    /// Raised by hand when tables or functions change their meaning.
    public let version: Int
    /// The statements that make the tables and their indexes.
    public let tables: [SQL]
    private var handlers: [String: [Int: Handler]] = [:]

    private typealias Handler = @Sendable (StoredEvent, Transaction) throws -> Void

    /// A projection into `tables`, each made by a `CREATE TABLE` or `CREATE INDEX`.
    public init(_ name: String, version: Int, tables: SQL...) {
        self.name = name
        self.version = version
        self.tables = tables
    }

    /// The same projection, which does `change` when `event` occurs.
    public func on<Payload>(
        _ event: Event<Payload>, _ change: @escaping @Sendable (Recorded<Payload>, Transaction) throws -> Void
    ) -> Self {
        var copy = self
        copy.handlers[event.name, default: [:]][event.version] = { stored, transaction in
            try change(try stored.payload(event), transaction)
        }
        return copy
    }

    /// The topics it listens to.
    public var types: Set<String> { Set(handlers.keys) }

    /// Applies an event; one of a version that no handler was given for is passed over.
    package func apply(_ event: StoredEvent, _ transaction: Transaction) throws {
        try handlers[event.type]?[event.version]?(event, transaction)
    }

    /// The names of its tables, from their statements.
    var tableNames: [String] {
        tables.compactMap { statement in
            var words = statement.text.split(whereSeparator: { $0.isWhitespace || $0 == "(" }).map(String.init)[...]
            guard words.popFirst()?.uppercased() == "CREATE", words.popFirst()?.uppercased() == "TABLE" else {
                return nil
            }
            if words.starts(with: ["IF", "NOT", "EXISTS"], by: { $0.uppercased() == $1 }) {
                words = words.dropFirst(3)
            }
            return words.first
        }
    }
}
