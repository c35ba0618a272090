/// An expression as it is written.
indirect enum PathExpressionNode {
    case bytes(ByteSet)
    case sequence([PathExpressionNode])
    case choice([PathExpressionNode])
    case capture(Int, PathExpressionNode)
    /// So many times; without `most`, any number.
    case repetition(PathExpressionNode, least: Int, most: Int?, isLazy: Bool)

    /// Nothing, which every path has everywhere.
    static var nothing: PathExpressionNode { .sequence([]) }

    /// Whether it is no more than that; in a parsed tree nothing is made of several nothings, nor of one repeated.
    var isNothing: Bool { if case .sequence(let nodes) = self { nodes.isEmpty } else { false } }

    /// Adds what it begins with in any case; false if it goes on in more than one way.
    func appendLiteral(to literal: inout [UInt8]) -> Bool {
        switch self {
        case .bytes(let set):
            guard let byte = set.only else { return false }
            literal.append(byte)
            return true
        case .sequence(let nodes):
            for node in nodes { guard node.appendLiteral(to: &literal) else { return false } }
            return true
        case .capture(_, let node): return node.appendLiteral(to: &literal)
        case .choice, .repetition: return false
        }
    }
}

/// Reads the text of an expression.
struct PathExpressionParser {
    private static let mostRepetitions = 100
    private static let deepest = 32

    private var rest: ArraySlice<UInt8>
    private var depth = 0
    private(set) var captures: [String] = []

    init(_ text: String) { rest = Array(text.utf8)[...] }

    mutating func parse() throws(GatewayConfigurationError) -> PathExpressionNode {
        guard rest.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw refuse("holds a space or what is not ASCII; paths have it escaped, as in %20")
        }
        if rest.first == UInt8(ascii: "^") { rest.removeFirst() }
        let node = try choice()
        if rest.first == UInt8(ascii: "$") { rest.removeFirst() }
        if rest.first == UInt8(ascii: ")") { throw refuse("closes a group that is not open") }
        guard rest.isEmpty else { throw refuse("has '$' before its end") }
        return node
    }

    private func refuse(_ reason: String) -> GatewayConfigurationError { GatewayConfigurationError(reason) }

    private mutating func take(_ text: StaticString) -> Bool {
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard rest.starts(with: bytes) else { return false }
        rest.removeFirst(bytes.count)
        return true
    }

    private mutating func choice() throws(GatewayConfigurationError) -> PathExpressionNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= PathExpressionParser.deepest else {
            throw refuse("has groups more than \(PathExpressionParser.deepest) deep")
        }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws(GatewayConfigurationError) -> PathExpressionNode {
        var nodes: [PathExpressionNode] = []
        while let next = rest.first, next != UInt8(ascii: "|"), next != UInt8(ascii: ")"), next != UInt8(ascii: "$") {
            let node = try repeated(try element())
            if !node.isNothing { nodes.append(node) }
        }
        return nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    private mutating func repeated(
        _ node: PathExpressionNode
    ) throws(GatewayConfigurationError) -> PathExpressionNode {
        let (least, most): (Int, Int?)
        if take("*") {
            (least, most) = (0, nil)
        } else if take("+") {
            (least, most) = (1, nil)
        } else if take("?") {
            (least, most) = (0, 1)
        } else if take("{") {
            (least, most) = try counts()
        } else {
            return node
        }
        let isLazy = take("?")
        if let next = rest.first, "*+?{".utf8.contains(next) { throw refuse("repeats a repetition; put it in a group") }
        // Written out, nothing would be as long as it is often: every node has a step of its own, so that the bound on steps bounds the work.
        guard !node.isNothing, most != 0 else { return .nothing }
        return .repetition(node, least: least, most: most, isLazy: isLazy)
    }

    private mutating func counts() throws(GatewayConfigurationError) -> (Int, Int?) {
        let least = number()
        let most = take(",") ? number() : least
        let isOpen = rest.first == UInt8(ascii: "}")
        guard let least, take("}"), isOpen, least <= most ?? least, max(least, most ?? 0) <= Self.mostRepetitions else {
            throw refuse("has a repetition that is none, or of more than \(Self.mostRepetitions); as in {2} or {2,5}")
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        rest.removeFirst(digits.count)
        return digits.count > 4 ? Int.max : Int(String(decoding: digits, as: UTF8.self))
    }

    private mutating func element() throws(GatewayConfigurationError) -> PathExpressionNode {
        if take("(") { return try group() }
        if take("[") { return .bytes(try classOfBytes()) }
        if take(".") { return .bytes(ByteSet().inverted) }
        if take("\\") { return .bytes(try escape()) }
        guard let byte = rest.popFirst() else { throw refuse("ends where something has to stand") }
        guard !"*+?{}]^".utf8.contains(byte) else {
            throw refuse("has a '\(Character(UnicodeScalar(byte)))' with nothing before it; escape it with a backslash")
        }
        return .bytes(PathExpressionParser.set(byte))
    }

    private static func set(_ byte: UInt8) -> ByteSet {
        var set = ByteSet()
        set.insert(byte)
        return set
    }

    private mutating func group() throws(GatewayConfigurationError) -> PathExpressionNode {
        var name: String?
        if take("?<") {
            let bytes = rest.prefix { ByteClass.unreserved.contains($0) }
            name = String(decoding: bytes, as: UTF8.self)
            rest.removeFirst(bytes.count)
            guard !bytes.isEmpty, take(">") else {
                throw refuse("has a group without a plain name; looking behind is not supported")
            }
        } else if rest.first == UInt8(ascii: "?"), !take("?:") {
            throw refuse("has a kind of group that is not supported: there are (…), (?:…) and (?<name>…)")
        }
        var index: Int?
        if let name {
            guard !captures.contains(name) else { throw refuse("captures '\(name)' twice") }
            guard captures.count < Router.maximumCaptures else {
                throw refuse("captures more than \(Router.maximumCaptures) times")
            }
            index = captures.count
            captures.append(name)
        }
        let node = try choice()
        guard take(")") else { throw refuse("has a group that is not closed") }
        return index.map { .capture($0, node) } ?? node
    }

    private mutating func escape() throws(GatewayConfigurationError) -> ByteSet {
        guard let byte = rest.popFirst() else { throw refuse("ends with a backslash") }
        if let known = PathExpressionParser.known(byte) { return known }
        guard !(0x30...0x39).contains(byte), !(0x41...0x5A).contains(byte), !(0x61...0x7A).contains(byte) else {
            throw refuse(
                "has '\\\(Character(UnicodeScalar(byte)))', which is not supported; there are \\d, \\w and escaped signs"
            )
        }
        return PathExpressionParser.set(byte)
    }

    private static func known(_ byte: UInt8) -> ByteSet? {
        var set = ByteSet()
        switch byte {
        case UInt8(ascii: "d"), UInt8(ascii: "D"): set.insert(0x30...0x39)
        case UInt8(ascii: "w"), UInt8(ascii: "W"):
            set.insert(0x30...0x39)
            set.insert(0x41...0x5A)
            set.insert(0x61...0x7A)
            set.insert(0x5F)
        default: return nil
        }
        return byte < 0x60 ? set.inverted : set
    }

    private mutating func classOfBytes() throws(GatewayConfigurationError) -> ByteSet {
        var set = ByteSet()
        let isInverted = take("^")
        var isFirst = true
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "]"), !isFirst { return isInverted ? set.inverted : set }
            isFirst = false
            var low = byte
            if byte == UInt8(ascii: "\\") {
                let escaped = try escape()
                guard let only = escaped.only else {
                    set.formUnion(escaped)
                    continue
                }
                low = only
            }
            guard rest.first == UInt8(ascii: "-"), let after = rest.dropFirst().first, after != UInt8(ascii: "]") else {
                set.insert(low)
                continue
            }
            rest.removeFirst()
            guard var high = rest.popFirst() else { break }
            if high == UInt8(ascii: "\\"), let only = try escape().only { high = only }
            guard low <= high else { throw refuse("has a range of bytes that runs backwards") }
            set.insert(low...high)
        }
        throw refuse("has a class that is not closed")
    }
}
