import DovetailCore

/// A filter as text that cannot be read, with the place where reading ended.
public struct FilterSyntaxError: Error, Sendable, CustomStringConvertible {
    /// How many characters were understood.
    public let offset: Int
    /// What was expected there.
    public let description: String
}

extension EventFilter: LosslessStringConvertible {
    /// The longest text that is read, in bytes, and how deep it may nest.
    static let maximumLength = 8192
    static let maximumDepth = 64

    public init?(_ text: String) { try? self.init(parsing: text) }

    /// Reads a filter in the syntax of CloudEvents SQL (CESQL 1.0), of which it has: comparisons, `LIKE`, `IN`, `EXISTS`, `AND`, `OR`, `NOT`, parentheses,
    /// strings in quotes, numbers, `TRUE` and `FALSE`. Names are attributes; `data.…` is a field of the payload. Functions, arithmetic and `XOR` are not there.
    ///
    /// Throws ``FilterSyntaxError``.
    public init(parsing text: String) throws {
        guard text.utf8.count <= EventFilter.maximumLength else {
            throw FilterSyntaxError(
                offset: 0, description: "a filter has at most \(EventFilter.maximumLength) bytes of text")
        }
        var parser = FilterParser(text)
        self = try parser.parse()
    }

    /// The filter as text, which reads as the same filter.
    public var description: String { text(within: 0) }

    /// `OR` binds weakest, `AND` stronger, `NOT` and conditions strongest.
    private func text(within strength: Int) -> String {
        let (text, own) = textAndStrength
        return own < strength ? "(\(text))" : text
    }

    private var textAndStrength: (String, Int) {
        switch self {
        case .compares(let field, let comparison, let value):
            ("\(field) \(comparison.rawValue) \(EventFilter.literal(value))", 3)
        case .like(let field, let pattern): ("\(field) LIKE \(EventFilter.literal(.string(pattern)))", 3)
        case .isOne(let field, let values):
            ("\(field) IN (\(values.map(EventFilter.literal).joined(separator: ", ")))", 3)
        case .exists(let field): ("EXISTS \(field)", 3)
        case .all(let filters):
            filters.isEmpty ? ("TRUE", 3) : (filters.map { $0.text(within: 2) }.joined(separator: " AND "), 1)
        case .any(let filters):
            filters.isEmpty ? ("FALSE", 3) : (filters.map { $0.text(within: 1) }.joined(separator: " OR "), 0)
        case .not(let filter): ("NOT \(filter.text(within: 3))", 2)
        }
    }

    private static func literal(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): "'" + text.escaping(["\\", "'"]) + "'"
        case .bool(let flag): flag ? "TRUE" : "FALSE"
        case .integer(let number): "\(number)"
        case .number(let number): "\(number)"
        case .null, .array, .object: "NULL"
        }
    }
}

extension EventField: CustomStringConvertible {
    public var description: String {
        switch self {
        case .attribute(let name): name
        case .data(let path): (["data"] + path).joined(separator: ".")
        }
    }
}

/// Reads a filter's text from left to right.
private struct FilterParser {
    private enum Token: Equatable {
        case word(String)
        case string(String)
        case number(JSONValue)
        case symbol(String)
        case end
    }

    private let text: [Unicode.Scalar]
    private var at = 0
    private var start = 0
    private var token = Token.end
    private var depth = 0

    init(_ text: String) { self.text = Array(text.unicodeScalars) }

    mutating func parse() throws -> EventFilter {
        try advance()
        let filter = try alternatives()
        guard token == .end else { throw expected("AND, OR or the end") }
        return filter
    }

    private mutating func alternatives() throws -> EventFilter {
        depth += 1
        defer { depth -= 1 }
        guard depth <= EventFilter.maximumDepth else {
            throw expected("less nesting: at most \(EventFilter.maximumDepth) levels")
        }
        var filters = [try conjunction()]
        while try take(word: "OR") { filters.append(try conjunction()) }
        return filters.count == 1 ? filters[0] : .any(filters)
    }

    private mutating func conjunction() throws -> EventFilter {
        var filters = [try negation()]
        while try take(word: "AND") { filters.append(try negation()) }
        return filters.count == 1 ? filters[0] : .all(filters)
    }

    private mutating func negation() throws -> EventFilter {
        var isNegated = false
        while try take(word: "NOT") { isNegated.toggle() }
        let filter = try condition()
        return isNegated ? .not(filter) : filter
    }

    private mutating func condition() throws -> EventFilter {
        if try take(symbol: "(") {
            let filter = try alternatives()
            guard try take(symbol: ")") else { throw expected("AND, OR or ')'") }
            return filter
        }
        if try take(word: "TRUE") { return .all([]) }
        if try take(word: "FALSE") { return .any([]) }
        if try take(word: "EXISTS") { return .exists(try field()) }
        let field = try field()
        let isNegated = try take(word: "NOT")
        if try take(word: "LIKE") {
            guard case .string(let pattern) = token else { throw expected("a pattern in quotes") }
            try advance()
            return isNegated ? .not(.like(field, pattern)) : .like(field, pattern)
        }
        if try take(word: "IN") {
            guard try take(symbol: "(") else { throw expected("'(' and values") }
            var values = [try literal()]
            while try take(symbol: ",") { values.append(try literal()) }
            guard try take(symbol: ")") else { throw expected("',' or ')'") }
            return isNegated ? .not(.isOne(field, of: values)) : .isOne(field, of: values)
        }
        guard !isNegated, case .symbol(let symbol) = token,
            let comparison = EventFilter.Comparison(rawValue: symbol == "<>" ? "!=" : symbol)
        else { throw expected("a comparison (=, !=, <, <=, >, >=), LIKE or IN") }
        try advance()
        return .compares(field, comparison, try literal())
    }

    private mutating func field() throws -> EventField {
        guard case .word(let word) = token, !FilterParser.isReserved(word) else {
            throw expected("an attribute, or data.… for a field of the payload")
        }
        var path = [word]
        try advance()
        while token == .symbol(".") {
            // What follows a dot is a name whatever it looks like.
            path.append(try name())
            try advance()
        }
        if path[0] == "data" {
            guard path.count > 1 else { throw expected("'.' and the name of a field of the payload") }
            return .data(Array(path.dropFirst()))
        }
        guard path.count == 1 else { throw expected("a comparison: only data has fields") }
        return .attribute(path[0])
    }

    private mutating func literal() throws -> JSONValue {
        let value: JSONValue
        switch token {
        case .string(let text): value = .string(text)
        case .number(let number): value = number
        case .word(let word) where word.uppercased() == "TRUE": value = .bool(true)
        case .word(let word) where word.uppercased() == "FALSE": value = .bool(false)
        default: throw expected("a value: text in quotes, a number, TRUE or FALSE")
        }
        try advance()
        return value
    }

    private static func isReserved(_ word: String) -> Bool {
        ["AND", "OR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "FALSE"].contains(word.uppercased())
    }

    private mutating func take(word: String) throws -> Bool {
        guard case .word(let found) = token, found.uppercased() == word else { return false }
        try advance()
        return true
    }

    private mutating func take(symbol: String) throws -> Bool {
        guard token == .symbol(symbol) else { return false }
        try advance()
        return true
    }

    private func expected(_ what: String) -> FilterSyntaxError {
        FilterSyntaxError(offset: start, description: "at character \(start + 1): expected \(what)")
    }

    // MARK: Tokens

    private mutating func advance() throws {
        while at < text.count, text[at].properties.isWhitespace { at += 1 }
        start = at
        guard at < text.count else {
            token = .end
            return
        }
        switch text[at] {
        case "'", "\"": token = .string(try quoted())
        case "0"..."9", "-", "+": token = .number(try number())
        case let scalar where FilterParser.isName(scalar): token = .word(run(FilterParser.isName))
        case "<", ">", "!":
            let isPair = at + 1 < text.count && (text[at + 1] == "=" || text[at] == "<" && text[at + 1] == ">")
            token = .symbol(take(isPair ? 2 : 1))
        default: token = .symbol(take(1))
        }
    }

    /// The name behind a dot.
    private mutating func name() throws -> String {
        start = at
        let name = run(FilterParser.isName)
        guard !name.isEmpty else { throw expected("a name") }
        return name
    }

    private static func isName(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic || scalar == "_" || scalar == "-" || ("0"..."9").contains(scalar)
    }

    private mutating func run(_ isIn: (Unicode.Scalar) -> Bool) -> String {
        var end = at
        while end < text.count, isIn(text[end]) { end += 1 }
        return take(end - at)
    }

    private mutating func take(_ count: Int) -> String {
        defer { at += count }
        return String(String.UnicodeScalarView(text[at..<(at + count)]))
    }

    private mutating func quoted() throws -> String {
        let quote = text[at]
        at += 1
        var result = String.UnicodeScalarView()
        while at < text.count, text[at] != quote {
            // Before a wildcard the backslash is LIKE's, and stays.
            if text[at] == "\\", at + 1 < text.count, text[at + 1] == quote || text[at + 1] == "\\" { at += 1 }
            result.append(text[at])
            at += 1
        }
        guard at < text.count else { throw expected("text with its closing quote") }
        at += 1
        return String(result)
    }

    private mutating func number() throws -> JSONValue {
        let sign = text[at] == "-" || text[at] == "+" ? take(1) : ""
        var digits = run { ("0"..."9").contains($0) || $0 == "." || $0 == "e" || $0 == "E" }
        if digits.last == "e" || digits.last == "E", at < text.count, text[at] == "+" || text[at] == "-" {
            digits += take(1) + run { ("0"..."9").contains($0) }
        }
        if let number = Int64(sign + digits) { return .integer(number) }
        guard let number = Double(sign + digits), number.isFinite else { throw expected("a number") }
        return .number(number)
    }
}
