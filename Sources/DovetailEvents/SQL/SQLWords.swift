/// A statement's text as words: enough of SQL's grammar to tell a name from a string or a comment.
package struct SQLWords {
    /// A word: a name or a keyword.
    package struct Word {
        /// Where it stands, in bytes, with its quotes.
        package let range: Range<Int>
        /// What it says, without quotes, in small letters.
        package let name: String
        /// The byte before it that is no space; nil at the beginning.
        package let before: UInt8?
        /// Whether it stands in quotes, as no keyword does.
        package let isQuoted: Bool
    }

    /// A word, or what parts words.
    package enum Token: Sendable {
        /// The word of this number.
        case word(Int)
        /// A sign, as a comma; strings and numbers are a `'`.
        case mark(UInt8)
    }

    /// The text.
    package let bytes: [UInt8]
    /// Its words, in order.
    package private(set) var words: [Word] = []
    /// Words and what stands between them, in order.
    package private(set) var tokens: [Token] = []

    /// Reads a text; what is never closed reaches to its end.
    package init(_ text: String) {
        bytes = Array(text.utf8)
        var index = 0
        var before: UInt8?
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "'"):
                index = end(of: byte, from: index)
                before = byte
                tokens.append(.mark(byte))
            case UInt8(ascii: "\""), UInt8(ascii: "`"), UInt8(ascii: "["):
                let end = end(of: byte == UInt8(ascii: "[") ? UInt8(ascii: "]") : byte, from: index)
                let inner = bytes[(index + 1)..<max(index + 1, end - 1)]
                add(index..<end, String(decoding: inner, as: UTF8.self), before, isQuoted: true)
                index = end
                before = byte
            case UInt8(ascii: "-") where next(index) == UInt8(ascii: "-"):
                while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
            case UInt8(ascii: "/") where next(index) == UInt8(ascii: "*"):
                index += 2
                while index < bytes.count, !(bytes[index] == UInt8(ascii: "*") && next(index) == UInt8(ascii: "/")) {
                    index += 1
                }
                index = min(bytes.count, index + 2)
            case _ where SQLWords.begins(byte):
                let start = index
                while index < bytes.count, SQLWords.continues(bytes[index]) { index += 1 }
                add(start..<index, String(decoding: bytes[start..<index], as: UTF8.self), before, isQuoted: false)
                before = bytes[index - 1]
            case _ where SQLWords.continues(byte):
                // A number, which no name begins with.
                while index < bytes.count, SQLWords.continues(bytes[index]) { index += 1 }
                before = byte
                tokens.append(.mark(UInt8(ascii: "'")))
            default:
                if byte > 32 {
                    before = byte
                    tokens.append(.mark(byte))
                }
                index += 1
            }
        }
    }

    private mutating func add(_ range: Range<Int>, _ name: String, _ before: UInt8?, isQuoted: Bool) {
        tokens.append(.word(words.count))
        words.append(Word(range: range, name: name.lowercased(), before: before, isQuoted: isQuoted))
    }

    private func next(_ index: Int) -> UInt8? { index + 1 < bytes.count ? bytes[index + 1] : nil }

    /// Behind the quote that closes what begins at `start`; one that is doubled closes nothing.
    private func end(of quote: UInt8, from start: Int) -> Int {
        var index = start + 1
        while index < bytes.count {
            if bytes[index] == quote {
                guard next(index) == quote else { return index + 1 }
                index += 1
            }
            index += 1
        }
        return bytes.count
    }

    private static func begins(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), 128...255:
            true
        default: false
        }
    }

    private static func continues(_ byte: UInt8) -> Bool {
        begins(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "$")
    }
}
