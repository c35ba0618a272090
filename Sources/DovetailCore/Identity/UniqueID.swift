import Foundation

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

    /// A new id, later in order than the ones this process made before within a millisecond's grain.
    public static func v7() -> UniqueID {
        let milliseconds = UInt64(max(0, Date().timeIntervalSince1970 * 1000))
        let random = UInt64.random(in: .min ... .max)
        return UniqueID(
            high: milliseconds << 16 | 0x7000 | random & 0x0FFF,
            low: 0x8000_0000_0000_0000 | UInt64.random(in: .min ... .max) >> 2)
    }
}

extension UniqueID: LosslessStringConvertible, Codable {
    /// Reads the usual text form, `8-4-4-4-12` hexadecimal digits; nil for anything else.
    public init?(_ description: String) {
        guard let uuid = UUID(uuidString: description) else { return nil }
        let bytes = uuid.uuid
        self.init(
            high: [bytes.0, bytes.1, bytes.2, bytes.3, bytes.4, bytes.5, bytes.6, bytes.7].reduce(0) {
                $0 << 8 | UInt64($1)
            },
            low: [bytes.8, bytes.9, bytes.10, bytes.11, bytes.12, bytes.13, bytes.14, bytes.15].reduce(0) {
                $0 << 8 | UInt64($1)
            })
    }

    public var description: String {
        var text = ""
        text.reserveCapacity(36)
        for index in 0..<32 {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append("-") }
            let word = index < 16 ? high : low
            let digit = Int(word >> UInt64(60 - (index & 15) * 4) & 15)
            text.unicodeScalars.append(Unicode.Scalar(UInt8(digit < 10 ? 48 + digit : 87 + digit)))
        }
        return text
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
