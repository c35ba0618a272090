/// The fields behind a body (RFC 9110 6.5), as lines that ``ChunkedDecoder`` has found valid.
enum TrailerSection {
    /// The lines without those that say what only a head may: framing, routing, who asks, how the answer is to be used
    /// (RFC 9110 6.5.1).
    ///
    /// - Parameter underscores: What becomes of names with underscores, where a client has sent them.
    static func forwarded(_ lines: [UInt8], underscores: UnderscoreNames? = nil) -> [UInt8] {
        guard !lines.isEmpty else { return [] }
        var kept: [UInt8] = []
        forEachField(lines) { name, line in
            if let underscores, HeadReader.goes(name, underscores) { return }
            if mayStand(name) { kept += line }
        }
        return kept
    }

    /// Calls `body` with each field's name and its line, CRLF and all.
    static func forEachField(
        _ lines: [UInt8], _ body: (_ name: UnsafeRawBufferPointer, _ line: UnsafeRawBufferPointer) -> Void
    ) {
        lines.withUnsafeBytes { bytes in
            var start = 0
            while start < bytes.count {
                var end = start
                while end < bytes.count, bytes[end] != 0x0A { end += 1 }
                let line = UnsafeRawBufferPointer(rebasing: bytes[start..<min(end + 1, bytes.count)])
                if let colon = line.firstIndex(of: 0x3A) {
                    body(UnsafeRawBufferPointer(rebasing: line[0..<colon]), line)
                }
                start = end + 1
            }
        }
    }

    private static func mayStand(_ name: UnsafeRawBufferPointer) -> Bool {
        guard KnownField.of(name) == .other else { return false }
        return !name.startsIgnoringCase("content-") && !name.startsIgnoringCase("if-")
            && !headOnly.contains(where: { name.equalsIgnoringCase($0) })
    }

    private static let headOnly: [StaticString] = [
        "age", "cache-control", "cookie", "expires", "location", "max-forwards", "pragma", "range", "retry-after",
        "set-cookie", "warning", "www-authenticate",
    ]
}
