/// Which words of a statement name a table, a view or an index, told by where they stand: what is called alike and stands elsewhere, as a column, a function or an alias, does not.
///
/// Enough of the grammar for that, no parser: what is no SQL at all comes out as it went in.
struct TableReferences {
    /// Behind these a name follows that is one of ours.
    private static let kinds: Set<String> = ["table", "index", "view", "trigger"]
    private static let makers: Set<String> = [
        "create", "drop", "alter", "unique", "virtual", "temp", "temporary", "reindex",
    ]
    /// What may stand between a leading word and the name.
    private static let between: Set<String> = [
        "if", "not", "exists", "or", "rollback", "abort", "replace", "fail", "ignore", "only", "lateral",
    ]
    /// What no alias is called.
    private static let ends: Set<String> = [
        "where", "set", "group", "order", "limit", "having", "values", "union", "intersect", "except", "returning",
        "window", "on", "using", "join", "left", "right", "full", "inner", "outer", "cross", "natural", "indexed",
        "not",
        "select", "with", "default", "as", "add", "rename", "begin", "for", "before", "after", "instead", "when",
    ]
    /// Functions of full-text search, whose first argument is the table itself.
    private static let searches: Set<String> = ["bm25", "highlight", "snippet", "matchinfo", "offsets"]

    /// A level of parentheses.
    private struct Frame {
        /// A name may come.
        var isExpecting = false
        /// Behind a comma another may.
        var isList = false
        /// Whether it is a statement of its own: `FROM` leads to tables then, and is no part of a function's arguments.
        var isStatement = false
        /// Whether it holds the columns of the table behind INTO.
        var columnsOf: String?
        var function: String?
    }

    private let words: SQLWords
    private let names: Set<String>
    private var frames = [Frame()]
    private var awaitsOn = false
    /// The name that has just been read, behind which an alias may stand.
    private var table: Int?
    private var into: String?
    private var aliases: Set<String> = []
    private var tables: Set<String> = []
    private var certain: Set<Int> = []
    /// Words that are a table if the statement has one of that name that goes by it.
    private var possible: [Int] = []
    private(set) var found: Set<Int> = []

    /// The words of `words` that stand for tables of `names`, which are in small letters.
    init(_ words: SQLWords, names: Set<String>) {
        self.words = words
        self.names = names
        for (place, token) in words.tokens.enumerated() {
            switch token {
            case .word(let index): read(index, at: place)
            case .mark(let mark): read(mark)
            }
        }
        settle()
    }

    private mutating func read(_ mark: UInt8) {
        table = nil
        switch mark {
        case UInt8(ascii: "("):
            var frame = Frame()
            (frame.isExpecting, frame.isList, frame.isStatement) = (top.isExpecting, top.isExpecting, top.isExpecting)
            (frame.columnsOf, into) = (into, nil)
            frame.function = previous
            top.isExpecting = false
            frames.append(frame)
        case UInt8(ascii: ")"):
            if frames.count > 1 { frames.removeLast() }
        case UInt8(ascii: ","):
            if top.isList { top.isExpecting = true }
        case UInt8(ascii: ";"):
            settle()
            (frames, awaitsOn, into) = ([Frame()], false, nil)
        default: break
        }
        // What stands behind a dot is known by what stands before it.
        if mark != UInt8(ascii: ".") { previous = nil }
    }

    /// The word before, if nothing stands between.
    private var previous: String?

    private var top: Frame {
        get { frames[frames.count - 1] }
        set { frames[frames.count - 1] = newValue }
    }

    private mutating func read(_ index: Int, at place: Int) {
        let word = words.words[index]
        let (name, before) = (word.isQuoted ? "" : word.name, previous)
        let last = table
        if into?.isEmpty == false { into = nil }
        defer { previous = word.isQuoted ? nil : word.name }
        table = nil
        if word.before == UInt8(ascii: ".") {
            // A column of something, or a table behind its schema.
            if before == "main" || before == "temp" { take(index) }
            return
        }
        if mark(behind: place) == UInt8(ascii: ".") {
            if names.contains(word.name) { possible.append(index) }
            return
        }
        if top.isExpecting, !Self.between.contains(name), name != "select", name != "values", name != "set" {
            take(index)
            return
        }
        if before == "as" || last != nil, word.isQuoted || !Self.ends.contains(name) {
            aliases.insert(word.name)
            return
        }
        if name == "as" { table = last }
        lead(name, before, place)
        guard names.contains(word.name) else { return }
        let isSearched = top.function.map { Self.searches.contains($0) && before == nil } ?? false
        if isSearched || top.columnsOf == word.name || next(place)?.name == "match" { possible.append(index) }
    }

    /// What a keyword leads to.
    private mutating func lead(_ name: String, _ before: String?, _ place: Int) {
        switch name {
        case "select", "delete", "begin":
            (top.isStatement, top.isExpecting, top.isList) = (true, false, false)
        case "from":
            if top.isStatement, before != "distinct" { (top.isExpecting, top.isList) = (true, true) }
        case "join", "references": top.isExpecting = true
        case "into":
            top.isExpecting = true
            into = ""
        case "update":
            let isClause = ["do", "on", "for", "after", "before", "of", "or"].contains(before ?? "")
            if !isClause { (top.isExpecting, top.isStatement) = (true, true) }
        case "on":
            if awaitsOn { top.isExpecting = true }
            awaitsOn = false
        case "by": if before == "indexed" { top.isExpecting = true }
        case "to": if before == "rename" { top.isExpecting = true }
        case "in": if next(place) != nil { top.isExpecting = true }
        case "where", "set", "group", "order", "limit", "having", "values", "union", "intersect", "except", "returning":
            (top.isExpecting, top.isList) = (false, false)
        case _ where Self.kinds.contains(name) && Self.makers.contains(before ?? ""):
            top.isExpecting = true
            awaitsOn = name == "index" || name == "trigger"
        default: break
        }
    }

    /// A name stands where tables do.
    private mutating func take(_ index: Int) {
        let name = words.words[index].name
        top.isExpecting = false
        if name == "main" || name == "temp" { return }
        if into == "" { into = name }
        table = index
        tables.insert(name)
        if names.contains(name) { certain.insert(index) }
    }

    /// At a statement's end: what was made by WITH is none of ours, nor is what an alias is called.
    private mutating func settle() {
        let made = common()
        for index in certain where !made.contains(words.words[index].name) { found.insert(index) }
        for index in possible {
            let name = words.words[index].name
            if tables.contains(name), !aliases.contains(name), !made.contains(name) { found.insert(index) }
        }
        (certain, possible, tables, aliases) = ([], [], [], [])
    }

    /// The names that WITH makes: `name AS (`, `name (columns) AS (`, `name AS MATERIALIZED (`.
    private func common() -> Set<String> {
        var made: Set<String> = []
        var hasWith = false
        for (place, token) in words.tokens.enumerated() {
            guard case .word(let index) = token, !words.words[index].isQuoted else { continue }
            if words.words[index].name == "with" { hasWith = true }
            guard hasWith, words.words[index].name == "as", place > 0 else { continue }
            var behind = place + 1
            while case .word(let next)? = self.token(behind), ["not", "materialized"].contains(words.words[next].name) {
                behind += 1
            }
            guard case .mark(UInt8(ascii: "("))? = self.token(behind) else { continue }
            if let name = maker(before: place) { made.insert(name) }
        }
        return made
    }

    /// The name that stands before `AS`, over the columns in parentheses.
    private func maker(before place: Int) -> String? {
        var place = place - 1
        if case .mark(UInt8(ascii: ")"))? = token(place) {
            while place >= 0 {
                if case .mark(UInt8(ascii: "("))? = token(place) { break }
                place -= 1
            }
            place -= 1
        }
        if case .word(let index)? = token(place) { return words.words[index].name }
        return nil
    }

    private func token(_ place: Int) -> SQLWords.Token? {
        words.tokens.indices.contains(place) ? words.tokens[place] : nil
    }

    private func mark(behind place: Int) -> UInt8? {
        if case .mark(let mark)? = token(place + 1) { return mark }
        return nil
    }

    private func next(_ place: Int) -> SQLWords.Word? {
        if case .word(let index)? = token(place + 1) { return words.words[index] }
        return nil
    }
}
