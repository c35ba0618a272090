/// Which of some tables statements name: how one learns what a query reads while it does.
package final class TableWatch {
    private let names: Set<String>
    /// Those that were named.
    package private(set) var seen: Set<String> = []

    /// A watch for tables of these names, in small letters.
    package init(for names: Set<String>) {
        self.names = names
    }

    /// Notes the tables that a statement names.
    package func note(_ sql: SQL) {
        let words = SQLWords(sql.text)
        for index in TableReferences(words, names: names).found { seen.insert(words.words[index].name) }
    }
}

extension Snapshot {
    /// Runs `body` on the same snapshot, and has `watch` note what it reads.
    package func watched<Value>(by watch: TableWatch, _ body: (Snapshot) throws -> Value) throws -> Value {
        requireOpen()
        let watched = Snapshot(WatchedBackend(backend, watch))
        defer { watched.close() }
        return try body(watched)
    }
}

/// A backend that tells which tables it is asked for.
private final class WatchedBackend: TransactionBackend {
    private let backend: any TransactionBackend
    private let watch: TableWatch

    init(_ backend: any TransactionBackend, _ watch: TableWatch) {
        self.backend = backend
        self.watch = watch
    }

    func execute(_ sql: SQL) throws -> Int {
        watch.note(sql)
        return try backend.execute(sql)
    }

    func query(_ sql: SQL, _ body: (borrowing SQLRow) throws -> Bool) throws {
        watch.note(sql)
        try backend.query(sql, body)
    }

    func append(_ append: Append) throws -> Appended { try backend.append(append) }

    func asEngine<Value>(_ body: () throws -> Value) rethrows -> Value { try backend.asEngine(body) }
}
