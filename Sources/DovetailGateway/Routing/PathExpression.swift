/// A regular expression for whole paths, of the kind that takes no more time than the path is long: no look-around and no references back.
///
/// It has literals, `.`, classes (`[a-z]`, `[^/]`, `\d`, `\w`), groups, `|`, and the repetitions `*`, `+`, `?`, `{2}`, `{2,}` and `{2,5}`, each with `?`
/// behind it for as few as will do. `(?<id>…)` captures; other groups only group. `^` and `$` may stand at the ends and say nothing more: an expression
/// always speaks of the whole path, in canonical form.
struct PathExpression: Sendable, Hashable {
    /// One step of the machine that matches.
    enum Instruction: Sendable, Hashable {
        /// Takes one byte of a set.
        case byte(ByteSet)
        case jump(Int)
        /// Goes both ways, the first one rather.
        case either(Int, Int)
        /// Notes the place.
        case save(Int)
        case match
    }

    /// The most steps of a machine, repetitions written out.
    static let longestProgram = 256
    /// The longest path that is matched: the bound of what a request may cost.
    static let longestPath = 2048

    let program: [Instruction]
    /// The names captured, in order.
    let captures: [String]
    /// What every path that it takes begins with.
    let literal: [UInt8]

    /// Reads an expression; throws what is wrong with it, in words that follow its name.
    init(_ text: String) throws(GatewayConfigurationError) {
        var parser = PathExpressionParser(text)
        let tree = try parser.parse()
        captures = parser.captures
        var program: [Instruction] = []
        try PathExpression.compile(tree, into: &program)
        program.append(.match)
        self.program = program
        var literal: [UInt8] = []
        _ = tree.appendLiteral(to: &literal)
        self.literal = literal
        guard literal.first == 0x2F else {
            throw GatewayConfigurationError("has to begin with a slash, as every path does")
        }
    }

    private static func compile(
        _ node: PathExpressionNode, into program: inout [Instruction]
    ) throws(GatewayConfigurationError) {
        guard program.count < longestProgram else {
            throw GatewayConfigurationError("has more than \(longestProgram) steps, its repetitions written out")
        }
        switch node {
        case .bytes(let set): program.append(.byte(set))
        case .sequence(let nodes): for node in nodes { try compile(node, into: &program) }
        case .capture(let index, let node):
            program.append(.save(2 * index))
            try compile(node, into: &program)
            program.append(.save(2 * index + 1))
        case .choice(let nodes):
            var jumps: [Int] = []
            for (index, node) in nodes.enumerated() {
                guard index < nodes.count - 1 else {
                    try compile(node, into: &program)
                    break
                }
                let split = program.count
                program.append(.match)
                try compile(node, into: &program)
                jumps.append(program.count)
                program.append(.match)
                program[split] = .either(split + 1, program.count)
            }
            for jump in jumps { program[jump] = .jump(program.count) }
        case .repetition(let node, let least, let most, let isLazy):
            for _ in 0..<least { try compile(node, into: &program) }
            func branch(_ inside: Int, _ outside: Int) -> Instruction {
                isLazy ? .either(outside, inside) : .either(inside, outside)
            }
            guard let most else {
                let split = program.count
                program.append(.match)
                try compile(node, into: &program)
                program.append(.jump(split))
                program[split] = branch(split + 1, program.count)
                return
            }
            var splits: [Int] = []
            for _ in least..<max(least, most) {
                splits.append(program.count)
                program.append(.match)
                try compile(node, into: &program)
            }
            for split in splits { program[split] = branch(split + 1, program.count) }
        }
    }
}

/// A set of bytes.
struct ByteSet: Sendable, Hashable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// The byte, if it is the only one.
    var only: UInt8? {
        var found: UInt8?
        for byte in UInt8.min...UInt8.max where contains(byte) {
            guard found == nil else { return nil }
            found = byte
        }
        return found
    }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: return words.0 & bit != 0
        case 1: return words.1 & bit != 0
        case 2: return words.2 & bit != 0
        default: return words.3 & bit != 0
        }
    }

    mutating func insert(_ byte: UInt8) {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    mutating func insert(_ bytes: ClosedRange<UInt8>) { for byte in bytes { insert(byte) } }

    mutating func formUnion(_ other: ByteSet) {
        words = (
            words.0 | other.words.0, words.1 | other.words.1, words.2 | other.words.2, words.3 | other.words.3
        )
    }

    var inverted: ByteSet {
        var set = self
        set.words = (~words.0, ~words.1, ~words.2, ~words.3)
        return set
    }

    static func == (left: ByteSet, right: ByteSet) -> Bool { left.words == right.words }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}
