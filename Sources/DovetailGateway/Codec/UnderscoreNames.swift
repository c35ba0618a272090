#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What becomes of a client's fields whose names hold an underscore.
///
/// A server of the CGI family (RFC 3875 4.1.18), and those that took their ways from it, read `X_User` and `X-User` as one. So a client that sends the
/// one would speak in the name of whoever writes the other.
public enum UnderscoreNames: Sendable, Hashable {
    /// They go, before anything has looked at them.
    case dropped
    /// They are fields like others, but for those that would be one of the gateway's own if they had dashes.
    case forwarded
}

extension HeadReader {
    /// Takes out of a head, which is whole, the fields whose names hold an underscore. What stays is moved towards the head's end, so that the head's
    /// length stays what it is. Returns how many went.
    mutating func drop(
        _ names: UnderscoreNames, from bytes: UnsafeMutableRawBufferPointer, length: Int
    ) -> Int {
        guard let base = bytes.baseAddress, let first = fields.first, memchr(base, 0x5F, length) != nil else {
            return 0
        }
        let head = UnsafeRawBufferPointer(bytes)
        guard fields.contains(where: { HeadReader.goes(head[$0.name], names) }) else { return 0 }
        // The empty line stays where it is; each line begins with its name and goes on to the next one's.
        var (lineEnd, output) = (length - 2, length - 2)
        var kept: [HeaderField] = []
        for field in fields.reversed() {
            let start = Int(field.name.start)
            let count = lineEnd - start
            lineEnd = start
            guard !HeadReader.goes(head[field.name], names) else { continue }
            output -= count
            let shift = UInt32(truncatingIfNeeded: output - start)
            if shift > 0 { memmove(base + output, base + start, count) }
            var field = field
            field.name = ByteRange(start: field.name.start &+ shift, end: field.name.end &+ shift)
            field.value = ByteRange(start: field.value.start &+ shift, end: field.value.end &+ shift)
            kept.append(field)
        }
        // What lies between is nobody's, and is no reader's to find.
        memset(base + Int(first.name.start), 0x20, output - Int(first.name.start))
        let dropped = fields.count - kept.count
        replaceFields(kept.reversed())
        return dropped
    }

    /// Whether a field of this name goes.
    static func goes(_ name: UnsafeRawBufferPointer, _ names: UnderscoreNames) -> Bool {
        guard name.contains(0x5F) else { return false }
        switch names {
        case .dropped: return true
        case .forwarded: return name.map(withDash).withUnsafeBytes { KnownField.of($0) } != .other
        }
    }
}

/// `byte` in lower case, an underscore as a dash: as those have it who read both alike.
@inline(__always)
func withDash(_ byte: UInt8) -> UInt8 { byte == 0x5F ? 0x2D : lowercased(byte) }

extension UnsafeRawBufferPointer {
    /// Whether these bytes say `text`, which is made by ``withDash(_:)``, whatever their own case, and whether they have underscores or dashes.
    func isAlike(_ text: [UInt8]) -> Bool {
        guard count == text.count else { return false }
        for index in 0..<count where withDash(self[index]) != text[index] { return false }
        return true
    }
}
