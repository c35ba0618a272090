/// A request's head, read and validated in place; ranges point into the bytes it was read from.
struct RequestHead {
    var method = Method.get
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

    /// Reads as far as the bytes go: true when `reader` has found the head's end and the head is whole and valid.
    ///
    /// `bytes` begin with the head. They are changed in one case: an escaped path is brought into canonical form.
    mutating func read(
        _ bytes: UnsafeMutableRawBufferPointer, with reader: inout HeadReader, limits: HeadLimits
    ) throws(CodecError) -> Int? {
        var start: ByteRange?
        let length = try reader.read(UnsafeRawBufferPointer(bytes), limits: limits) { (_, line) throws(CodecError) in
            start = line
        }
        if let start { try readStartLine(bytes, start, limits) }
        guard let length else { return nil }
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
        let name = UnsafeRawBufferPointer(bytes)[ByteRange(start, space)]
        guard let method = Method(name) else {
            throw CodecError(status: 501, reason: "the method is not supported")
        }
        self.method = method
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
            while pathStart < end, bytes[pathStart] != 0x2F { pathStart += 1 }
            guard pathStart > start + scheme, pathStart < end else { throw .bad("the target has no host or no path") }
            host = ByteRange(start + scheme, pathStart)
            guard UnsafeRawBufferPointer(bytes)[host].isHostAndPort else {
                throw .bad("the target's authority is malformed")
            }
            targetHasAuthority = true
        }
        var pathEnd = pathStart
        while pathEnd < end, bytes[pathEnd] != 0x3F { pathEnd += 1 }
        if pathEnd < end {
            for index in (pathEnd + 1)..<end where !ByteClass.query.contains(bytes[index]) {
                throw .bad("the query holds a character that has to be escaped")
            }
            query = ByteRange(pathEnd + 1, end)
        }
        path = try RequestTarget.canonicalise(bytes, ByteRange(pathStart, pathEnd))
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
                guard bytes[field.value].isHostAndPort else { throw .bad("Host is malformed") }
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
    /// Whether these bytes are a name or an address, with or without a port (RFC 9110 7.2), or nothing at all.
    fileprivate var isHostAndPort: Bool {
        guard allSatisfy(ByteClass.host.contains) else { return false }
        // The colons of an IPv6 address stand in brackets.
        let name = first == 0x5B ? lastIndex(of: 0x5D).map { $0 + 1 } : firstIndex(of: 0x3A) ?? count
        guard let name, name < count else { return name != nil }
        return self[name] == 0x3A && self[(name + 1)...].allSatisfy { (0x30...0x39).contains($0) }
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
