import Foundation

/// A place in a head's bytes, counted from the head's first byte.
struct ByteRange: Equatable, Sendable {
    var start: UInt32
    var end: UInt32

    static var empty: ByteRange { ByteRange(start: 0, end: 0) }

    @inline(__always)
    init(start: UInt32, end: UInt32) {
        self.start = start
        self.end = end
    }

    @inline(__always)
    init(_ start: Int, _ end: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.end = UInt32(truncatingIfNeeded: end)
    }

    @inline(__always) var count: Int { Int(end &- start) }
    @inline(__always) var isEmpty: Bool { start == end }
}

extension UnsafeRawBufferPointer {
    /// The bytes at `range`, which must lie within.
    @inline(__always)
    subscript(_ range: ByteRange) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[Int(range.start)..<Int(range.end)])
    }

    /// Whether these are the same bytes.
    @inline(__always)
    func equals(_ bytes: [UInt8]) -> Bool {
        guard count == bytes.count else { return false }
        return bytes.withUnsafeBytes { other in
            guard let own = baseAddress, let theirs = other.baseAddress else { return true }
            return memcmp(own, theirs, count) == 0
        }
    }

    /// Whether these bytes say `text`, which is in lower case, whatever their own case.
    @inline(__always)
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let other = text.utf8Start
        for index in 0..<count where lowercased(self[index]) != other[index] { return false }
        return true
    }

    /// Whether these bytes say `text`, which is in lower case, whatever their own case.
    @inline(__always)
    func equalsIgnoringCase(_ text: [UInt8]) -> Bool {
        guard count == text.count else { return false }
        for index in 0..<count where lowercased(self[index]) != text[index] { return false }
        return true
    }

    /// Whether these bytes begin with `text`, which is in lower case, whatever their own case.
    @inline(__always)
    func startsIgnoringCase(_ text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        return UnsafeRawBufferPointer(rebasing: self[0..<text.utf8CodeUnitCount]).equalsIgnoringCase(text)
    }

    /// The number that these bytes say in decimal: digits only, and no more than 18 of them.
    func decimal() -> Int? {
        guard !isEmpty, count <= 18 else { return nil }
        var value = 0
        for byte in self {
            guard byte &- 0x30 < 10 else { return nil }
            value = value &* 10 &+ Int(byte &- 0x30)
        }
        return value
    }

    /// Calls `body` with each element of a comma-separated list, trimmed; empty elements are passed over (RFC 9110 5.6.1).
    func forEachListElement(_ body: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        for index in 0...count where index == count || self[index] == 0x2C {
            var first = start
            var last = index
            while first < last, self[first] == 0x20 || self[first] == 0x09 { first += 1 }
            while last > first, self[last - 1] == 0x20 || self[last - 1] == 0x09 { last -= 1 }
            if first < last { body(UnsafeRawBufferPointer(rebasing: self[first..<last])) }
            start = index + 1
        }
    }

    /// The bytes as text; what is not UTF-8 is replaced.
    var text: String { String(decoding: self, as: UTF8.self) }
}
