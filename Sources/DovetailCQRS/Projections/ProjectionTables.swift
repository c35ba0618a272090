import DovetailEvents

/// What a projection's statements make, under the names of one of its builds: the first has the names as they are written, later ones have their number behind them.
struct ProjectionTables: Sendable {
    private let statements: [SQL]
    private let build: Int
    /// Tables and views, in the order in which they are made.
    private let made: [(kind: String, name: String)]
    /// The names of this build for those that are written; nil if they are the same.
    let names: TableNames?
    /// Each name that is written, in small letters, with that of this build.
    let pairs: [String: String]

    init(_ projection: Projection, build: Int) {
        statements = projection.tables
        self.build = build
        let all = projection.tables.flatMap { ProjectionTables.made(by: $0.text) }
        made = all.filter { ["table", "view"].contains($0.kind) }
        let suffix = build == 1 ? "" : "__\(build)"
        pairs = Dictionary(all.map { ($0.name.lowercased(), $0.name + suffix) }) { first, _ in first }
        names = build == 1 ? nil : TableNames(pairs)
    }

    func create(in transaction: Transaction) throws {
        guard let names else { return try statements.forEach { try transaction.execute($0) } }
        try transaction.renamingTables(names) { renamed in try statements.forEach { try renamed.execute($0) } }
    }

    /// What drops them, newest first, for when the program knows them no more.
    var drops: [String] {
        made.reversed().map { "DROP \($0.kind.uppercased()) IF EXISTS \"\(pairs[$0.name.lowercased()] ?? $0.name)\"" }
    }

    /// A name that stands for a table in one place and for something else, as a column, in another; nil if there is none.
    static func ambiguousName(in statements: [SQL]) -> String? {
        let names = Set(statements.flatMap { made(by: $0.text) }.map { $0.name.lowercased() })
        /// After these a table's name may follow.
        let leads: Set<String> = [
            "table", "index", "view", "trigger", "exists", "on", "references", "from", "into", "join", "update", "as",
        ]
        for statement in statements {
            let words = SQLWords(statement.text)
            for (index, word) in words.words.enumerated()
            where names.contains(word.name) && word.before != UInt8(ascii: ".") {
                let isQualifier =
                    word.range.upperBound < words.bytes.count && words.bytes[word.range.upperBound] == UInt8(ascii: ".")
                let before = index > 0 ? words.words[index - 1].name : ""
                if !isQualifier, !leads.contains(before) { return word.name }
            }
        }
        return nil
    }

    /// What a statement makes: `CREATE UNIQUE INDEX IF NOT EXISTS name …`.
    private static func made(by text: String) -> [(kind: String, name: String)] {
        let words = SQLWords(text)
        var made: [(kind: String, name: String)] = []
        for (index, word) in words.words.enumerated() where word.name == "create" && !word.isQuoted {
            var rest = words.words[(index + 1)...]
            while let next = rest.first, ["unique", "virtual", "temp", "temporary"].contains(next.name) {
                rest.removeFirst()
            }
            guard let kind = rest.popFirst()?.name, ["table", "index", "view", "trigger"].contains(kind) else {
                continue
            }
            if rest.prefix(3).map(\.name) == ["if", "not", "exists"] { rest.removeFirst(3) }
            guard let name = rest.first else { continue }
            var bytes = words.bytes[name.range]
            if name.isQuoted { bytes = bytes.dropFirst().dropLast() }
            made.append((kind, String(decoding: bytes, as: UTF8.self)))
        }
        return made
    }
}
