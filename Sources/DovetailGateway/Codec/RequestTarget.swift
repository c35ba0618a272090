/// Brings a request's path into the one form that is both routed and forwarded.
///
/// Two spellings of one path must not take two routes, or a rule for one of them does not hold. So: escaped unreserved
/// characters are written plainly and escapes in upper case (RFC 3986 6.2.2), which changes no structure; and whatever
/// servers read in different ways is refused: `%2F`, `%5C`, a backslash, escaped control characters, dot segments
/// plain or escaped, empty segments.
enum RequestTarget {
    /// Checks the path at `range` and rewrites it in place.
    ///
    /// The canonical form is never longer; it ends where the original ended, so that the query stays in its place.
    static func canonicalise(_ bytes: UnsafeMutableRawBufferPointer, _ range: ByteRange) throws(CodecError) -> ByteRange
    {
        var hasEscapes = false
        for index in Int(range.start)..<Int(range.end) {
            let byte = bytes[index]
            if byte == 0x25 {
                hasEscapes = true
            } else if !ByteClass.path.contains(byte) {
                throw .bad("the path holds a character that has to be escaped")
            }
        }
        let canonical = hasEscapes ? try unescape(bytes, range) : range
        try checkSegments(UnsafeRawBufferPointer(bytes), canonical)
        return canonical
    }

    private static func unescape(
        _ bytes: UnsafeMutableRawBufferPointer, _ range: ByteRange
    ) throws(CodecError) -> ByteRange {
        // From the end backwards, so that the result ends where the path ended. A percent sign is two places ahead of what is read.
        var output = Int(range.end)
        var input = Int(range.end)
        let start = Int(range.start)
        while input > start {
            let isEscape = input - start >= 3 && bytes[input - 3] == 0x25
            guard isEscape else {
                input -= 1
                guard bytes[input] != 0x25 else { throw .bad("the path holds a percent sign without two digits") }
                output -= 1
                bytes[output] = bytes[input]
                continue
            }
            guard let high = hexValue(bytes[input - 2]), let low = hexValue(bytes[input - 1]) else {
                throw .bad("the path holds a percent sign without two digits")
            }
            input -= 3
            let value = high << 4 | low
            if value < 0x20 || value == 0x7F { throw .bad("the path holds an escaped control character") }
            if value == 0x2F || value == 0x5C { throw .bad("the path holds an escaped slash or backslash") }
            if ByteClass.unreserved.contains(value) {
                output -= 1
                bytes[output] = value
            } else {
                output -= 3
                bytes[output] = 0x25
                bytes[output + 1] = hexDigit(high)
                bytes[output + 2] = hexDigit(low)
            }
        }
        return ByteRange(output, Int(range.end))
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }

    private static func checkSegments(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange) throws(CodecError) {
        guard range.count > 0, bytes[Int(range.start)] == 0x2F else {
            throw .bad("the path does not begin with a slash")
        }
        let end = Int(range.end)
        var segment = Int(range.start) + 1
        var index = segment
        while index <= end {
            if index == end || bytes[index] == 0x2F {
                let length = index - segment
                if length == 0, index < end { throw .bad("the path holds an empty segment") }
                if length == 1, bytes[segment] == 0x2E { throw .bad("the path holds a dot segment") }
                if length == 2, bytes[segment] == 0x2E, bytes[segment + 1] == 0x2E {
                    throw .bad("the path holds a dot segment")
                }
                segment = index + 1
            }
            index += 1
        }
    }
}
