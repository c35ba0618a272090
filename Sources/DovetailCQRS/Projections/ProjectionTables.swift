import DovetailCore
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

    /// What some statements say in short: the same however they are spaced, commented and spelled in capitals.
    static func fingerprint(of statements: [SQL]) -> String {
        UniqueID.derived(from: "tables", statements.map { normalised($0.text) }.joined(separator: ";")).description
    }

    /// A statement without comments, in small letters but for what stands in quotes, with no more spaces than it takes to part words.
    private static func normalised(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var hasGap = false
        var index = 0
        func isWord(_ byte: UInt8?) -> Bool {
            switch byte ?? 0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 128...255:
                true
            default: false
            }
        }
        func follows(_ byte: Character) -> Bool { index + 1 < bytes.count && bytes[index + 1] == byte.asciiValue }
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case 0...32:
                hasGap = true
                index += 1
                continue
            case UInt8(ascii: "-") where follows("-"):
                hasGap = true
                index = bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
                continue
            case UInt8(ascii: "/") where follows("*"):
                hasGap = true
                index += 2
                while index < bytes.count, !(bytes[index] == UInt8(ascii: "*") && follows("/")) { index += 1 }
                index = min(bytes.count, index + 2)
                continue
            default: break
            }
            if hasGap, isWord(result.last), isWord(byte) { result.append(UInt8(ascii: " ")) }
            hasGap = false
            let quotes: [UInt8: Character] = [
                UInt8(ascii: "'"): "'", UInt8(ascii: "\""): "\"", UInt8(ascii: "`"): "`", UInt8(ascii: "["): "]",
            ]
            if let closing = quotes[byte]?.asciiValue {
                // One that is doubled ends here and begins again.
                let end = bytes[(index + 1)...].firstIndex(of: closing) ?? bytes.count - 1
                result += bytes[index...end]
                index = end + 1
            } else {
                result.append((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte + 32 : byte)
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
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
