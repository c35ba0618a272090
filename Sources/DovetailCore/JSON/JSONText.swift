/// The lexical rules of RFC 8259 that reading and writing share.
enum JSONText {
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let maximumDepth = 512

    /// Marks, in the top bit of each byte, what ends a run of plain ASCII: quote, backslash, control, or 0x80 and above.
    ///
    /// The lowest mark is exact; marks above it may be the borrow of a subtraction.
    @inline(__always)
    static func specials(in word: UInt64) -> UInt64 {
        escapes(in: word) | word & 0x8080_8080_8080_8080
    }

    /// As ``specials(in:)``, without what lies beyond ASCII: what has to be escaped when written.
    @inline(__always)
    static func escapes(in word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ 0x2222_2222_2222_2222
        let backslashes = word ^ 0x5C5C_5C5C_5C5C_5C5C
        let marks =
            (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes
            | (word &- 0x2020_2020_2020_2020) & ~word
        return marks & 0x8080_8080_8080_8080
    }

    /// Where a number that starts at `start` ends, and whether it has a fraction or exponent; nil if it is none
    /// (RFC 8259, section 6).
    @inline(__always)
    static func number(
        in text: UnsafePointer<UInt8>, from start: Int, to end: Int
    ) -> (end: Int, isFractional: Bool)? {
        var at = start
        if at < end, text[at] == UInt8(ascii: "-") { at += 1 }
        let integer = digits(in: text, from: at, to: end)
        guard integer > at, text[at] != UInt8(ascii: "0") || integer == at + 1 else { return nil }
        at = integer
        var isFractional = false
        if at < end, text[at] == UInt8(ascii: ".") {
            let fraction = digits(in: text, from: at + 1, to: end)
            guard fraction > at + 1 else { return nil }
            at = fraction
            isFractional = true
        }
        if at < end, text[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < end, text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") { at += 1 }
            let exponent = digits(in: text, from: at, to: end)
            guard exponent > at else { return nil }
            at = exponent
            isFractional = true
        }
        return (at, isFractional)
    }

    @inline(__always)
    private static func digits(in text: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        var at = start
        while at < end, text[at] &- 48 < 10 { at += 1 }
        return at
    }

    /// The length of the UTF-8 sequence of two to four bytes at `start`; nil if it is none (RFC 3629, section 4).
    static func sequence(in text: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int? {
        func follows(_ distance: Int, _ low: UInt8 = 0x80, _ high: UInt8 = 0xBF) -> Bool {
            start + distance < end && low <= text[start + distance] && text[start + distance] <= high
        }
        switch text[start] {
        case 0xC2...0xDF: return follows(1) ? 2 : nil
        case 0xE0: return follows(1, 0xA0) && follows(2) ? 3 : nil
        case 0xED: return follows(1, 0x80, 0x9F) && follows(2) ? 3 : nil
        case 0xE1...0xEF: return follows(1) && follows(2) ? 3 : nil
        case 0xF0: return follows(1, 0x90) && follows(2) && follows(3) ? 4 : nil
        case 0xF1...0xF3: return follows(1) && follows(2) && follows(3) ? 4 : nil
        case 0xF4: return follows(1, 0x80, 0x8F) && follows(2) && follows(3) ? 4 : nil
        default: return nil
        }
    }

    /// The length of the escape at `start`, surrogate pairs taken together; nil if it is none (RFC 8259, section 7).
    static func escape(in text: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int? {
        guard start + 1 < end else { return nil }
        switch text[start + 1] {
        case quote, backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            return 2
        case UInt8(ascii: "u"):
            guard let unit = unit(in: text, from: start, to: end), unit & 0xFC00 != 0xDC00 else { return nil }
            guard unit & 0xFC00 == 0xD800 else { return 6 }
            guard let low = self.unit(in: text, from: start + 6, to: end), low & 0xFC00 == 0xDC00 else { return nil }
            return 12
        default:
            return nil
        }
    }

    /// The UTF-16 code unit of the escape `\uXXXX` at `start`.
    private static func unit(in text: UnsafePointer<UInt8>, from start: Int, to end: Int) -> UInt32? {
        guard start + 6 <= end, text[start] == backslash, text[start + 1] == UInt8(ascii: "u") else { return nil }
        var unit: UInt32 = 0
        for index in start + 2..<start + 6 {
            guard let digit = Hexadecimal.value(of: text[index]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    /// A scanned string's content with its escapes resolved.
    static func unescaped(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        guard let base = text.baseAddress else { return [] }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var at = 0
        while at < text.count {
            guard base[at] == backslash, at + 1 < text.count else {
                bytes.append(base[at])
                at += 1
                continue
            }
            switch base[at + 1] {
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"):
                var value = unit(in: base, from: at, to: text.count) ?? 0xFFFD
                if value & 0xFC00 == 0xD800 {
                    let low = unit(in: base, from: at + 6, to: text.count) ?? 0xDC00
                    value = 0x10000 + (value & 0x3FF) << 10 + low & 0x3FF
                    at += 6
                }
                bytes.append(contentsOf: Unicode.Scalar(value).map { Array(String($0).utf8) } ?? [])
                at += 4
            default: bytes.append(base[at + 1])
            }
            at += 2
        }
        return bytes
    }
}
