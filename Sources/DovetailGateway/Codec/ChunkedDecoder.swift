/// Reads the chunked transfer coding (RFC 9112 7.1) from bytes as they arrive; a value type without a buffer.
///
/// Sizes are up to 15 hexadecimal digits, extensions are bounded and dropped, trailers are validated, bounded and kept.
/// Only CRLF ends a line; white space is nowhere allowed that the grammar does not have it.
struct ChunkedDecoder: Equatable {
    /// What the next bytes are.
    enum Step: Equatable {
        /// More input is needed.
        case needsMore
        /// Data: this many of the following bytes, at most what is left of the chunk.
        case data(Int)
        /// The body is over.
        case end
    }

    private enum State: Equatable {
        case size, sizeExtension, sizeFeed
        case data
        case dataReturn, dataFeed
        case trailerStart, trailerName, trailerValue, trailerFeed
        case lastFeed, end
    }

    private var state = State.size
    private var remaining = 0
    private var digits = 0
    /// Bytes of the present extension, or of all trailers.
    private var extra = 0
    /// The trailer section's lines as they came, each with its CRLF.
    private(set) var trailers: [UInt8] = []
    private var isQuoted = false
    private var isEscaped = false
    private static let maximumExtension = 1024
    private static let maximumTrailers = 8192

    /// Reads framing up to the next data; `consumed` says how many bytes of `bytes` were framing.
    ///
    /// After `.data(n)` the caller takes any number of bytes up to `n` and says so with ``take(_:)``.
    mutating func next(_ bytes: UnsafeRawBufferPointer, consumed: inout Int) throws(CodecError) -> Step {
        consumed = 0
        while true {
            if state == .data { return .data(remaining) }
            if state == .end { return .end }
            guard consumed < bytes.count else { return .needsMore }
            let byte = bytes[consumed]
            consumed &+= 1
            try read(byte)
        }
    }

    /// Marks `count` data bytes as read.
    mutating func take(_ count: Int) {
        remaining -= count
        if remaining == 0 { state = .dataReturn }
    }

    private mutating func read(_ byte: UInt8) throws(CodecError) {
        switch state {
        case .size: try readSize(byte)
        case .sizeExtension:
            extra &+= 1
            guard extra <= ChunkedDecoder.maximumExtension else { throw .bad("a chunk extension is too long") }
            if byte == 0x0D, !isQuoted {
                state = .sizeFeed
            } else {
                try readExtension(byte)
            }
        case .sizeFeed:
            guard byte == 0x0A else { throw .bad("a chunk's size line ends without CRLF") }
            digits = 0
            extra = 0
            state = remaining == 0 ? .trailerStart : .data
        case .dataReturn:
            guard byte == 0x0D else { throw .bad("a chunk is longer than its size") }
            state = .dataFeed
        case .dataFeed:
            guard byte == 0x0A else { throw .bad("a chunk ends without CRLF") }
            state = .size
        case .trailerStart, .trailerName, .trailerValue, .trailerFeed: try readTrailer(byte)
        case .lastFeed:
            guard byte == 0x0A else { throw .bad("the last chunk ends without CRLF") }
            state = .end
        case .data, .end: break
        }
    }

    /// `;name=value` or `;name="value"` (RFC 9112 7.1.1): tokens, and quotes that end.
    private mutating func readExtension(_ byte: UInt8) throws(CodecError) {
        if isQuoted {
            guard isFieldValueByte(byte) else { throw .bad("a chunk extension holds a control character") }
            isQuoted = byte != 0x22 || isEscaped
            isEscaped = byte == 0x5C && !isEscaped
        } else if byte == 0x22 {
            isQuoted = true
        } else if byte != 0x3B, byte != 0x3D, !ByteClass.token.contains(byte) {
            throw .bad("a chunk extension is malformed")
        }
    }

    private mutating func readSize(_ byte: UInt8) throws(CodecError) {
        if let digit = hexValue(byte) {
            digits &+= 1
            guard digits <= 15 else { throw .bad("a chunk size is too large") }
            remaining = remaining << 4 | Int(digit)
        } else if digits > 0, byte == 0x0D {
            state = .sizeFeed
        } else if digits > 0, byte == 0x3B {
            state = .sizeExtension
        } else {
            throw .bad("a chunk size is malformed")
        }
    }

    private mutating func readTrailer(_ byte: UInt8) throws(CodecError) {
        extra &+= 1
        guard extra <= ChunkedDecoder.maximumTrailers else { throw .headTooLarge }
        if state != .trailerStart || byte != 0x0D { trailers.append(byte) }
        switch state {
        case .trailerStart where byte == 0x0D: state = .lastFeed
        case .trailerStart, .trailerName:
            if byte == 0x3A, state == .trailerName {
                state = .trailerValue
            } else {
                guard ByteClass.token.contains(byte) else { throw .bad("a trailer is malformed") }
                state = .trailerName
            }
        case .trailerValue:
            if byte == 0x0D {
                state = .trailerFeed
            } else if !isFieldValueByte(byte) {
                throw .bad("a trailer holds a control character")
            }
        default:
            guard byte == 0x0A else { throw .bad("a trailer ends without CRLF") }
            state = .trailerStart
        }
    }
}
