/// Reads a document once from end to end, checks it against RFC 8259, and lists its tokens.
///
/// Containers are tracked by the list itself (an open one's parent), so depth costs no stack.
struct JSONScanner {
    let text: UnsafePointer<UInt8>
    private let end: Int
    private var position = 0
    private var depth = 0
    /// The innermost container that is open.
    private(set) var open = JSONToken.none
    private(set) var tokens: JSONTokenList
    /// Member names that had to be unescaped.
    private(set) var side: [UInt8] = []

    /// Where the text breaks the rules, and what they ask for there.
    struct Failure: Error {
        var offset: Int
        var expected: String
        /// Nil: whatever stands at `offset`.
        var found: String?
    }

    init(_ text: UnsafePointer<UInt8>, count: Int, tokens: JSONTokenList) {
        self.text = text
        self.tokens = tokens
        end = count
    }

    mutating func scan() throws(Failure) {
        skipSpace()
        while true {
            try value()
            while true {
                skipSpace()
                if open == JSONToken.none {
                    guard position == end else { throw failure("the end of the document") }
                    return
                }
                let isObject = tokens.base[Int(open)].kind == .object
                guard position < end else { throw failure(isObject ? "',' or '}'" : "',' or ']'") }
                if text[position] == UInt8(ascii: ",") {
                    position += 1
                    skipSpace()
                    if isObject { try name() }
                    break
                }
                guard text[position] == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                    throw failure(isObject ? "',' or '}'" : "',' or ']'")
                }
                close()
            }
        }
    }

    /// Reads a scalar or an empty container whole, or opens containers down to the first scalar in them.
    @inline(__always)
    private mutating func value() throws(Failure) {
        while position < end {
            switch text[position] {
            case JSONText.quote:
                return try string(.string)
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                return try number()
            case UInt8(ascii: "{"):
                try open(.object)
                if position < end, text[position] == UInt8(ascii: "}") { return close() }
                try name()
            case UInt8(ascii: "["):
                try open(.array)
                if position < end, text[position] == UInt8(ascii: "]") { return close() }
            case UInt8(ascii: "n"):
                return try literal("null", .null)
            case UInt8(ascii: "t"):
                return try literal("true", .yes)
            case UInt8(ascii: "f"):
                return try literal("false", .no)
            default:
                throw failure("a JSON value")
            }
        }
        throw failure("a JSON value")
    }

    // MARK: Containers

    private mutating func open(_ kind: JSONToken.Kind) throws(Failure) {
        guard depth < JSONText.maximumDepth else {
            throw Failure(
                offset: position, expected: "at most \(JSONText.maximumDepth) levels of nesting", found: "one more")
        }
        depth += 1
        let index = UInt32(tokens.count)
        append(kind, from: position, to: position, mark: 0)
        open = index
        position += 1
        skipSpace()
    }

    @inline(__always)
    private mutating func close() {
        position += 1
        depth -= 1
        let container = tokens.base + Int(open)
        container.pointee.end = UInt32(position)
        container.pointee.next = UInt32(tokens.count)
        if container.pointee.kind == .object {
            container.pointee.mark = open + 1
            if container.pointee.flags.contains(.mayRepeat) { supersedeRepeats(in: Int(open)) }
        }
        open = container.pointee.parent
    }

    /// Appends a value and counts it if it stands in an array.
    @inline(__always)
    private mutating func append(
        _ kind: JSONToken.Kind, from start: Int, to end: Int, mark: UInt32, flags: JSONToken.Flags = []
    ) {
        let next = UInt32(tokens.count + 1)
        tokens.append(
            JSONToken(
                start: UInt32(truncatingIfNeeded: start), end: UInt32(truncatingIfNeeded: end), next: next,
                parent: open, mark: mark, kind: kind, flags: flags))
        guard open != JSONToken.none else { return }
        let container = tokens.base + Int(open)
        if container.pointee.kind == .array { container.pointee.mark &+= 1 }
    }

    // MARK: Names and scalars

    @inline(__always)
    private mutating func name() throws(Failure) {
        guard position < end, text[position] == JSONText.quote else { throw failure("a member's name in quotes") }
        let index = tokens.count
        try string(.name)
        let token = tokens.base + index
        if token.pointee.flags.contains(.escaped) {
            unescape(token)
        } else {
            token.pointee.mark = Self.hash(text + Int(token.pointee.start), count: token.pointee.length)
        }
        let hash = token.pointee.mark
        // A filter of 32 bits says for most objects at once that no name repeats.
        let object = tokens.base + Int(open)
        let bit: UInt32 = 1 << (hash & 31)
        if object.pointee.mark & bit != 0 { object.pointee.flags.insert(.mayRepeat) }
        object.pointee.mark |= bit
        skipSpace()
        guard position < end, text[position] == UInt8(ascii: ":") else { throw failure("':'") }
        position += 1
        skipSpace()
    }

    private mutating func unescape(_ token: UnsafeMutablePointer<JSONToken>) {
        let escaped = UnsafeBufferPointer(start: text + Int(token.pointee.start), count: token.pointee.length)
        token.pointee.start = UInt32(side.count)
        let name = JSONText.unescaped(escaped)
        side += name
        token.pointee.end = UInt32(side.count)
        token.pointee.flags = .aside
        token.pointee.mark = name.withUnsafeBufferPointer { name in
            name.baseAddress.map { Self.hash($0, count: name.count) } ?? 0
        }
    }

    @inline(__always)
    private mutating func string(_ kind: JSONToken.Kind) throws(Failure) {
        let start = position + 1
        var at = start
        var flags: JSONToken.Flags = []
        while true {
            while at + 8 <= end {
                let word = UInt64(littleEndian: UnsafeRawPointer(text + at).loadUnaligned(as: UInt64.self))
                let specials = JSONText.specials(in: word)
                at += specials == 0 ? 8 : specials.trailingZeroBitCount >> 3
                if specials != 0 { break }
            }
            guard at < end else {
                position = end
                throw failure("the string's closing quote")
            }
            let byte = text[at]
            if byte == JSONText.quote { break }
            if byte >= 0x80 {
                guard let length = JSONText.sequence(in: text, from: at, to: end) else {
                    throw Failure(offset: at, expected: "text in UTF-8", found: nil)
                }
                at += length
            } else if byte == JSONText.backslash {
                guard let length = JSONText.escape(in: text, from: at, to: end) else {
                    throw Failure(offset: at, expected: "a valid escape", found: nil)
                }
                flags.insert(.escaped)
                at += length
            } else if byte < 0x20 {
                throw Failure(offset: at, expected: "control characters escaped", found: nil)
            } else {
                at += 1
            }
        }
        position = at + 1
        append(kind, from: start, to: at, mark: 0, flags: flags)
    }

    @inline(__always)
    private mutating func number() throws(Failure) {
        guard let (numberEnd, isFractional) = JSONText.number(in: text, from: position, to: end) else {
            throw failure("a number as JSON writes it")
        }
        append(.number, from: position, to: numberEnd, mark: 0, flags: isFractional ? .fractional : [])
        position = numberEnd
    }

    private mutating func literal(_ literal: StaticString, _ kind: JSONToken.Kind) throws(Failure) {
        let count = literal.utf8CodeUnitCount
        for index in 0..<count where position + index >= end || text[position + index] != literal.utf8Start[index] {
            throw failure("'\(literal)'")
        }
        append(kind, from: position, to: position + count, mark: 0)
        position += count
    }

    @inline(__always)
    private mutating func skipSpace() {
        while position < end {
            switch text[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private func failure(_ expected: String) -> Failure {
        Failure(offset: position, expected: expected, found: nil)
    }
}
