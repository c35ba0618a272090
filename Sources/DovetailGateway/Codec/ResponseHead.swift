/// An upstream's answer head, read and validated in place.
struct ResponseHead {
    var status = 0
    /// The reason phrase, which may be empty.
    var reason = ByteRange.empty
    var minorVersion: UInt8 = 1
    var framing = BodyFraming.none
    var keepAlive = true
    var nominatesFields = false
    /// Content-Length as given, which for HEAD and 304 tells of a body that does not follow.
    var declaredLength: Int?

    /// Reads as far as the bytes go: the head's length once it is whole and valid.
    ///
    /// `method` is the request's; it decides whether a body follows (RFC 9112 6.3).
    mutating func read(
        _ bytes: UnsafeRawBufferPointer, with reader: inout HeadReader, limits: HeadLimits, method: Method
    ) throws(CodecError) -> Int? {
        var start: ByteRange?
        let length = try reader.read(bytes, limits: limits) { (_, line) throws(CodecError) in start = line }
        if let start { try readStatusLine(bytes, start) }
        guard let length else { return nil }
        try readFields(bytes, reader.fields, method)
        return length
    }

    private mutating func readStatusLine(_ bytes: UnsafeRawBufferPointer, _ line: ByteRange) throws(CodecError) {
        self = ResponseHead()
        let text = bytes[line]
        guard text.count >= 12, UnsafeRawBufferPointer(rebasing: text[0..<7]).equals("HTTP/1."),
            text[7] == 0x31 || text[7] == 0x30, text[8] == 0x20
        else { throw .bad("the status line is malformed") }
        minorVersion = text[7] &- 0x30
        guard let status = UnsafeRawBufferPointer(rebasing: text[9..<12]).decimal(), status >= 100, status < 600 else {
            throw .bad("the status is malformed")
        }
        self.status = status
        guard text.count > 12 else { return }
        guard text[12] == 0x20 else { throw .bad("the status line is malformed") }
        reason = ByteRange(start: line.start + 13, end: line.end)
        for byte in bytes[reason] where !isFieldValueByte(byte) { throw .bad("the reason holds a control character") }
    }

    private mutating func readFields(
        _ bytes: UnsafeRawBufferPointer, _ fields: [HeaderField], _ method: Method
    ) throws(CodecError) {
        var framingFields = FramingFields()
        var closes = false
        var keepsAlive = false
        for field in fields where field.known != .other {
            switch field.known {
            case .contentLength: try framingFields.contentLength(bytes[field.value])
            case .transferEncoding: try framingFields.transferEncoding(bytes[field.value])
            case .connection:
                bytes[field.value].forEachListElement { option in
                    if option.equalsIgnoringCase("close") {
                        closes = true
                    } else if option.equalsIgnoringCase("keep-alive") {
                        keepsAlive = true
                    } else {
                        nominatesFields = true
                    }
                }
            default: break
            }
        }
        keepAlive = !closes && (minorVersion >= 1 || keepsAlive)
        let declared = try framingFields.framing(minorVersion: minorVersion)
        if case .length(let length) = declared { declaredLength = length }
        if method == .head || status < 200 || status == 204 || status == 304 {
            framing = .none
        } else {
            framing = declared ?? .untilClose
            if framing == .length(0) { framing = .none }
        }
        if framing == .untilClose { keepAlive = false }
    }
}
