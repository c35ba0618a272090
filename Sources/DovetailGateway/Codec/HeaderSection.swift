#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// One field of a head, as places in its bytes.
struct HeaderField: Sendable {
    var name: ByteRange
    /// Without the white space around it.
    var value: ByteRange
    var known: KnownField
}

/// How large a head may be.
public struct HeadLimits: Sendable, Hashable {
    /// Bytes of the whole head: start line, fields and the empty line. At most 60 KiB.
    public var bytes: Int
    /// Number of fields.
    public var fields: Int
    /// Bytes of the request target.
    public var target: Int

    /// Limits; 32 KiB, 100 fields and a target of 8 KiB unless given.
    public init(bytes: Int = 32_768, fields: Int = 100, target: Int = 8192) {
        self.bytes = bytes
        self.fields = fields
        self.target = target
    }

    /// For what the gateway has written itself, which is longer than what came in.
    static let written = HeadLimits(bytes: 131_072, fields: 1024, target: 65_536)
}

/// Reads a head (RFC 9112 2 to 5) line by line as its bytes arrive, and copies nothing.
///
/// A line is looked at once, when its end is there: bytes that trickle in cost no more than bytes that come at once.
/// Only CRLF ends a line. After an error nothing more can be read.
struct HeadReader {
    enum Line {
        case start(ByteRange)
        case end(length: Int)
    }

    /// The fields so far.
    private(set) var fields: [HeaderField] = []
    private var lineStart = 0
    private var searched = 0
    private var hasStartLine = false

    /// Goes on with these fields in place of those that were read.
    mutating func replaceFields(_ fields: some Sequence<HeaderField>) {
        self.fields.removeAll(keepingCapacity: true)
        self.fields.append(contentsOf: fields)
    }

    /// Makes ready for the next head; keeps the room for fields.
    mutating func reset() {
        fields.removeAll(keepingCapacity: true)
        lineStart = 0
        searched = 0
        hasStartLine = false
    }

    /// Reads as far as the bytes go. `bytes` begin with the head and hold everything that has arrived of it.
    ///
    /// Returns the head's length when its last line is there, nil while it is not. `startLine` is called once.
    mutating func read(
        _ bytes: UnsafeRawBufferPointer, limits: HeadLimits,
        startLine: (UnsafeRawBufferPointer, ByteRange) throws(CodecError) -> Void
    ) throws(CodecError) -> Int? {
        while true {
            guard let feed = lineFeed(in: bytes) else {
                searched = bytes.count
                if !hasStartLine, bytes.count - lineStart > limits.target + 32 { throw .targetTooLong }
                if bytes.count > limits.bytes { throw .headTooLarge }
                return nil
            }
            guard feed > lineStart, bytes[feed - 1] == 0x0D else { throw .bad("a line ends without CRLF") }
            let end = feed - 1
            let start = lineStart
            lineStart = feed + 1
            searched = lineStart
            if lineStart > limits.bytes { throw hasStartLine ? .headTooLarge : .targetTooLong }
            if !hasStartLine {
                // RFC 9112 2.2: an empty line before the request line is passed over, once.
                if end == start, start == 0 { continue }
                hasStartLine = true
                try startLine(bytes, ByteRange(start, end))
            } else if end == start {
                return lineStart
            } else {
                try readField(bytes, start, end, limits)
            }
        }
    }

    private func lineFeed(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard searched < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + searched, 0x0A, bytes.count - searched)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    @inline(__always)
    private mutating func readField(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int, _ limits: HeadLimits
    ) throws(CodecError) {
        guard fields.count < limits.fields else { throw .headTooLarge }
        var colon = start
        while colon < end, ByteClass.token.contains(bytes[colon]) { colon &+= 1 }
        guard colon > start else { throw .bad("a header line has no name, or is folded") }
        guard colon < end, bytes[colon] == 0x3A else {
            throw .bad("a header name holds a space or a forbidden character")
        }
        var first = colon &+ 1
        var last = end
        while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first &+= 1 }
        while last > first, bytes[last &- 1] == 0x20 || bytes[last &- 1] == 0x09 { last &-= 1 }
        // Without a way out of the loop the compiler takes many bytes at a time.
        var isValid = true
        var index = first
        while index < last {
            isValid = isFieldValueByte(bytes[index]) && isValid
            index &+= 1
        }
        guard isValid else { throw .bad("a header value holds a control character") }
        let name = ByteRange(start, colon)
        fields.append(HeaderField(name: name, value: ByteRange(first, last), known: .of(bytes[name])))
    }
}
