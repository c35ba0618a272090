import Foundation
import Synchronization

/// A 128-bit id in the form of RFC 9562: version 7 (time-ordered) when new, version 8 when derived from a name.
public struct UniqueID: Hashable, Sendable, Comparable {
    /// The first eight bytes, big-endian.
    public var high: UInt64
    /// The last eight bytes, big-endian.
    public var low: UInt64

    /// An id of these bytes.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static func < (left: UniqueID, right: UniqueID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// A new id, greater than every one this process made before (RFC 9562, 6.2, method 3).
    ///
    /// The twelve bits behind the milliseconds are the time's next fraction; where the clock has not moved on, or went
    /// back, the last value is counted up instead, so ids may run ahead of the clock by what a burst needs.
    public static func v7() -> UniqueID {
        // 48 bits of milliseconds and 12 bits of their fraction, as one number: 1/4096 ms a step.
        let ticks = UInt64(max(0, Date().timeIntervalSince1970 * 4_096_000))
        let (time, random) = source.withLock { source in
            source.last = max(source.last + 1, ticks)
            return (source.last, source.entropy.next())
        }
        return UniqueID(
            high: (time >> 12) << 16 | 0x7000 | time & 0x0FFF, low: 0x8000_0000_0000_0000 | random >> 2)
    }

    private struct Source {
        var last: UInt64 = 0
        var entropy = EntropyPool()
    }

    private static let source = Mutex(Source())

    /// The id that these parts, in this order, always give: version 8, from SHA-256 over each part with its length.
    public static func derived(from parts: String...) -> UniqueID {
        var hash = SHA256()
        for var part in parts {
            part.withUTF8 { part in
                withUnsafeBytes(of: UInt64(part.count).bigEndian) { hash.update($0) }
                hash.update(UnsafeRawBufferPointer(part))
            }
        }
        let digest = hash.finish()
        let high = digest[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        let low = digest[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
        return UniqueID(high: high & ~0xF000 | 0x8000, low: low & ~(3 << 62) | 1 << 63)
    }
}

extension UniqueID: LosslessStringConvertible, Codable {
    /// Reads the usual text form, `8-4-4-4-12` hexadecimal digits in either case; nil for anything else.
    public init?(_ description: String) {
        var description = description
        guard let id = description.withUTF8({ UniqueID(utf8: $0) }) else { return nil }
        self = id
    }

    init?(utf8 text: UnsafeBufferPointer<UInt8>) {
        guard text.count == 36 else { return nil }
        var words: (high: UInt64, low: UInt64) = (0, 0)
        for (index, byte) in text.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = Hexadecimal.value(of: byte) else { return nil }
            if index < 18 {
                words.high = words.high << 4 | UInt64(digit)
            } else {
                words.low = words.low << 4 | UInt64(digit)
            }
        }
        self.init(high: words.high, low: words.low)
    }

    public var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            write(to: base)
            return 36
        }
    }

    /// Writes the text form to 36 bytes at `buffer`.
    func write(to buffer: UnsafeMutablePointer<UInt8>) {
        var at = 0
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                buffer[at] = UInt8(ascii: "-")
                at += 1
            }
            let word = digit < 16 ? high : low
            buffer[at] = Hexadecimal.digit(UInt8(truncatingIfNeeded: word >> UInt64(60 - (digit & 15) * 4) & 15))
            at += 1
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = UniqueID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected a UUID")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension UniqueID {
    /// The same 128 bits as Foundation's type.
    public var uuid: UUID {
        var bytes = (high.bigEndian, low.bigEndian)
        return withUnsafeBytes(of: &bytes) { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
    }
}
