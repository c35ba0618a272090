/// A request's head, read and validated in place; ranges point into the bytes it was read from.
struct RequestHead {
    var method = Method.get
    /// Where its name stands.
    var methodName = ByteRange.empty
    /// Canonical.
    var path = ByteRange.empty
    /// Without the question mark.
    var query: ByteRange?
    /// The host and port that the request is for: the target's authority, else `Host`.
    var host = ByteRange.empty
    var minorVersion: UInt8 = 1
    var framing = BodyFraming.none
    var keepAlive = true
    var expectsContinue = false
    /// Whether `Connection` names fields of its own, which must then not be forwarded.
    var nominatesFields = false
    /// Whether the client reads trailers (RFC 9110 10.1.4).
    var acceptsTrailers = false
    var authorization: ByteRange?
    var origin: ByteRange?
    var requestMethod: ByteRange?
    var traceparent: ByteRange?
    var correlationID: ByteRange?
    private var targetHasAuthority = false
    /// How many fields were taken out because of their names.
    private(set) var droppedFields = 0

    /// Reads as far as the bytes go: true when `reader` has found the head's end and the head is whole and valid.
    ///
    /// `bytes` begin with the head. They are changed in two cases: an escaped path is brought into canonical form, and fields whose names hold an
    /// underscore are taken out, where `underscores` says so.
    mutating func read(
        _ bytes: UnsafeMutableRawBufferPointer, with reader: inout HeadReader, limits: HeadLimits,
        underscores: UnderscoreNames? = nil
    ) throws(CodecError) -> Int? {
        var start: ByteRange?
        let length = try reader.read(UnsafeRawBufferPointer(bytes), limits: limits) { (_, line) throws(CodecError) in
            start = line
        }
        if let start { try readStartLine(bytes, start, limits) }
        guard let length else { return nil }
        if let underscores { droppedFields = reader.drop(underscores, from: bytes, length: length) }
        try readFields(UnsafeRawBufferPointer(bytes), reader.fields)
        return length
    }

    private mutating func readStartLine(
        _ bytes: UnsafeMutableRawBufferPointer, _ line: ByteRange, _ limits: HeadLimits
    ) throws(CodecError) {
        self = RequestHead()
        let start = Int(line.start)
        let end = Int(line.end)
        var space = start
        while space < end, ByteClass.token.contains(bytes[space]) { space += 1 }
        guard space > start, space < end, bytes[space] == 0x20 else { throw .bad("the request line is malformed") }
        var targetEnd = space + 1
        while targetEnd < end, bytes[targetEnd] != 0x20 { targetEnd += 1 }
        guard targetEnd > space + 1, end - targetEnd == 9 else { throw .bad("the request line is malformed") }
        try readVersion(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[(targetEnd + 1)..<end]))
        guard targetEnd - space - 1 <= limits.target else { throw .targetTooLong }
        methodName = ByteRange(start, space)
        let name = UnsafeRawBufferPointer(bytes)[methodName]
        if let known = Method(name) {
            method = known
        } else {
            guard Method.isForwarded(name) else { throw CodecError(status: 501, reason: "the method is not supported") }
            method = .other
        }
        try readTarget(bytes, space + 1, targetEnd)
    }

    private mutating func readVersion(_ version: UnsafeRawBufferPointer) throws(CodecError) {
        guard UnsafeRawBufferPointer(rebasing: version[0..<5]).equals("HTTP/"), version[6] == 0x2E,
            version[5] &- 0x30 < 10, version[7] &- 0x30 < 10
        else { throw .bad("the HTTP version is malformed") }
        guard version[5] == 0x31, version[7] <= 0x31 else {
            throw CodecError(status: 505, reason: "the HTTP version is not supported")
        }
        minorVersion = version[7] &- 0x30
    }

    private mutating func readTarget(
        _ bytes: UnsafeMutableRawBufferPointer, _ start: Int, _ end: Int
    ) throws(CodecError) {
        var pathStart = start
        if bytes[start] != 0x2F {
            // Absolute form (RFC 9112 3.2.2): the authority replaces Host.
            let target = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start..<end])
            let scheme = target.startsIgnoringCase("http://") ? 7 : target.startsIgnoringCase("https://") ? 8 : 0
            guard scheme > 0 else { throw .bad("the request target is no path and no http address") }
            pathStart = start + scheme
            while pathStart < end, bytes[pathStart] != 0x2F, bytes[pathStart] != 0x3F { pathStart += 1 }
            host = ByteRange(start + scheme, pathStart)
            guard !host.isEmpty, UnsafeRawBufferPointer(bytes)[host].isHost else {
                throw .bad("the target's authority is malformed")
            }
            targetHasAuthority = true
            if pathStart == end || bytes[pathStart] == 0x3F {
                // A target without a path is for the root (RFC 9112 3.2.1): the slash before the authority stands for it.
                if pathStart < end { query = try readQuery(UnsafeRawBufferPointer(bytes), pathStart + 1, end) }
                path = ByteRange(start + scheme - 1, start + scheme)
                return
            }
        }
        var pathEnd = pathStart
        while pathEnd < end, bytes[pathEnd] != 0x3F { pathEnd += 1 }
        if pathEnd < end { query = try readQuery(UnsafeRawBufferPointer(bytes), pathEnd + 1, end) }
        path = try RequestTarget.canonicalise(bytes, ByteRange(pathStart, pathEnd))
    }

    private func readQuery(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) throws(CodecError) -> ByteRange {
        for index in start..<end where !ByteClass.query.contains(bytes[index]) {
            throw .bad("the query holds a character that has to be escaped")
        }
        return ByteRange(start, end)
    }

    private mutating func readFields(_ bytes: UnsafeRawBufferPointer, _ fields: [HeaderField]) throws(CodecError) {
        var framingFields = FramingFields()
        var hosts = 0
        var closes = false
        var keepsAlive = false
        for field in fields where field.known != .other {
            switch field.known {
            case .host:
                hosts += 1
                if !targetHasAuthority { host = field.value }
                // RFC 9112 3.2: whatever the target says, what clients send here is a host.
                guard !field.value.isEmpty || minorVersion == 0 else { throw .bad("Host is empty") }
                guard bytes[field.value].isHost else { throw .bad("Host is malformed") }
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
            case .expect:
                guard bytes[field.value].equalsIgnoringCase("100-continue") else {
                    throw CodecError(status: 417, reason: "the expectation is not known")
                }
                expectsContinue = minorVersion >= 1
            case .authorization:
                guard authorization == nil else { throw .bad("Authorization is repeated") }
                authorization = field.value
            case .origin: origin = field.value
            case .requestMethod: requestMethod = field.value
            // W3C Trace Context: a repeated traceparent is an invalid one.
            case .traceparent: traceparent = traceparent == nil ? field.value : .empty
            case .correlationID: correlationID = field.value
            case .hopByHop where bytes[field.name].equalsIgnoringCase("te"):
                bytes[field.value].forEachListElement {
                    if $0.equalsIgnoringCase("trailers") { acceptsTrailers = true }
                }
            default: break
            }
        }
        guard hosts == 1 || (hosts == 0 && minorVersion == 0) else { throw .bad("there is not exactly one Host") }
        framing = try framingFields.framing(minorVersion: minorVersion) ?? .none
        if framing == .length(0) { framing = .none }
        if framing == .none { expectsContinue = false }
        keepAlive = !closes && (minorVersion >= 1 || keepsAlive)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes are a name or an address, with a port or without (RFC 9110 7.2), or nothing.
    ///
    /// What follows a colon has to be a port: two readers would disagree about where the name ends.
    var isHost: Bool {
        var index = 0
        if first == 0x5B {
            index = 1
            while index < count, hexValue(self[index]) != nil || self[index] == 0x3A || self[index] == 0x2E {
                index += 1
            }
            guard index > 1, index < count, self[index] == 0x5D else { return false }
            index += 1
        } else {
            while index < count, ByteClass.unreserved.contains(self[index]) { index += 1 }
        }
        if index == count { return true }
        guard index > 0, self[index] == 0x3A, count - index <= 6 else { return false }
        index += 1
        while index < count {
            guard self[index] &- 0x30 < 10 else { return false }
            index += 1
        }
        return true
    }

    /// Whether a `Connection` field in `fields` names `name` as a field of this hop only.
    func connectionNominates(_ name: ByteRange, in fields: [HeaderField]) -> Bool {
        let name = self[name]
        var found = false
        for field in fields where field.known == .connection {
            self[field.value].forEachListElement { option in
                guard option.count == name.count, !found else { return }
                for index in 0..<name.count where lowercased(option[index]) != lowercased(name[index]) { return }
                found = true
            }
        }
        return found
    }
}
