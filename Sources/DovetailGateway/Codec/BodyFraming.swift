/// How a message's body is delimited (RFC 9112 6.3).
enum BodyFraming: Equatable, Sendable {
    case none
    case length(Int)
    case chunked
    /// Answers only: the body ends with the connection.
    case untilClose
}

/// Gathers a head's framing fields and decides, strictly: whatever two readers could read in two ways is refused.
struct FramingFields {
    private var length: Int?
    private var transferCodings = 0
    private var isChunked = false

    mutating func contentLength(_ value: UnsafeRawBufferPointer) throws(CodecError) {
        guard length == nil else { throw .bad("Content-Length is repeated") }
        guard let number = value.decimal() else { throw .bad("Content-Length is not a plain number") }
        length = number
    }

    mutating func transferEncoding(_ value: UnsafeRawBufferPointer) throws(CodecError) {
        guard transferCodings == 0 else { throw .bad("Transfer-Encoding is repeated") }
        var count = 0
        var chunkedAt = 0
        value.forEachListElement { coding in
            count += 1
            if coding.equalsIgnoringCase("chunked") { chunkedAt = chunkedAt == 0 ? count : -1 }
        }
        guard count > 0 else { throw .bad("Transfer-Encoding is empty") }
        // A list may hold nothing between commas (RFC 9110 5.6.1), but not every reader of this one knows that.
        guard value.count(where: { $0 == 0x2C }) == count - 1 else {
            throw .bad("Transfer-Encoding has an empty element")
        }
        // RFC 9112 6.3: chunked must come last, and once, or the length cannot be known.
        guard count == 1 || chunkedAt == count else { throw .bad("chunked is not the only last transfer coding") }
        guard count == 1, chunkedAt == 1 else {
            throw CodecError(status: 501, reason: "the transfer coding is not supported")
        }
        transferCodings = count
        isChunked = true
    }

    /// The framing of a request, or nil where no field speaks of it.
    func framing(minorVersion: UInt8) throws(CodecError) -> BodyFraming? {
        if isChunked {
            guard length == nil else { throw .bad("both Content-Length and Transfer-Encoding are given") }
            guard minorVersion >= 1 else { throw .bad("Transfer-Encoding is given in HTTP/1.0") }
            return .chunked
        }
        return length.map { .length($0) }
    }
}
