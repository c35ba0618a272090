import DovetailCore
import Synchronization

/// Other names for some tables, put into statements that were written with the first ones: how two builds of a read model stand in one database.
///
/// A name is replaced where a table is named: behind FROM, JOIN, INTO and the like, and before the dot of a column; not where something else is called alike, as another table's column,
/// a function, an alias, or a word in a string or a comment. See ``TableReferences``.
package final class TableNames: Sendable {
    private let names: [String: String]
    /// Statements are literals in a program, and few.
    private let known = Mutex<[String: String]>([:])

    /// Names in small letters, each with the one that stands for it.
    package init(_ names: [String: String]) {
        self.names = names
    }

    /// A statement with the other names.
    package func renamed(_ sql: SQL) -> SQL {
        let text = sql.text
        return sql.with(
            text: known.withLock { known in
                if let found = known[text] { return found }
                let renamed = renamed(text)
                if known.count >= 512 { known.removeAll() }
                known[text] = renamed
                return renamed
            })
    }

    private func renamed(_ text: String) -> String {
        let words = SQLWords(text)
        var bytes: [UInt8] = []
        var done = 0
        let references = TableReferences(words, names: Set(names.keys)).found
        for (index, word) in words.words.enumerated() {
            guard references.contains(index), let name = names[word.name] else { continue }
            bytes += words.bytes[done..<word.range.lowerBound]
            bytes += "\"\(name)\"".utf8
            done = word.range.upperBound
        }
        bytes += words.bytes[done...]
        return String(decoding: bytes, as: UTF8.self)
    }

}

extension Snapshot {
    /// Runs `body` on the same snapshot, in whose statements tables have other names.
    package func renaming<Value>(_ names: TableNames, _ body: (Snapshot) throws -> Value) throws -> Value {
        requireOpen()
        let renamed = Snapshot(RenamingBackend(backend, names))
        defer { renamed.close() }
        return try body(renamed)
    }
}

extension Transaction {
    /// Runs `body` in the same transaction, in whose statements tables have other names.
    package func renamingTables<Value>(_ names: TableNames, _ body: (Transaction) throws -> Value) throws -> Value {
        requireOpen()
        let renamed = Transaction(RenamingBackend(backend, names), source: source, context: context)
        defer { renamed.close() }
        return try body(renamed)
    }
}

/// A backend behind which tables have other names.
private final class RenamingBackend: TransactionBackend {
    private let backend: any TransactionBackend
    private let names: TableNames

    init(_ backend: any TransactionBackend, _ names: TableNames) {
        self.backend = backend
        self.names = names
    }

    func execute(_ sql: SQL) throws -> Int { try backend.execute(names.renamed(sql)) }

    func query(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws {
        try backend.query(names.renamed(sql), body)
    }

    func append(_ append: Append) throws -> Appended { try backend.append(append) }

    func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value { try backend.asEngine(body) }
}
