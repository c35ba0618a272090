/// The id of a trace: 128 bits, never zero, written as 32 lowercase hexadecimal digits (W3C Trace Context, 3.2.2.3).
public struct TraceID: Hashable, Sendable {
    /// The first eight bytes, big-endian.
    public let high: UInt64
    /// The last eight bytes, big-endian.
    public let low: UInt64

    /// An id of these bytes; nil if all are zero.
    public init?(high: UInt64, low: UInt64) {
        guard high != 0 || low != 0 else { return nil }
        self.high = high
        self.low = low
    }
}

/// The id of a span in its trace: 64 bits, never zero, written as 16 lowercase hexadecimal digits.
public struct SpanID: Hashable, Sendable {
    /// The eight bytes, big-endian.
    public let value: UInt64

    /// An id of these bytes; nil if all are zero.
    public init?(_ value: UInt64) {
        guard value != 0 else { return nil }
        self.value = value
    }
}

extension TraceID: LosslessStringConvertible, Codable {
    /// Reads 32 lowercase hexadecimal digits; nil for anything else and for zero.
    public init?(_ description: String) {
        let digits = Array(description.utf8)
        guard digits.count == 32, let high = Hexadecimal.value(of: digits[..<16]),
            let low = Hexadecimal.value(of: digits[16...])
        else { return nil }
        self.init(high: high, low: low)
    }

    public var description: String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            Hexadecimal.write(high, to: buffer, at: 0)
            Hexadecimal.write(low, to: buffer, at: 16)
            return 32
        }
    }

    public init(from decoder: any Decoder) throws {
        self = try Hexadecimal.decode(from: decoder, expected: "a trace id of 32 hexadecimal digits")
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension SpanID: LosslessStringConvertible, Codable {
    /// Reads 16 lowercase hexadecimal digits; nil for anything else and for zero.
    public init?(_ description: String) {
        let digits = Array(description.utf8)
        guard digits.count == 16, let value = Hexadecimal.value(of: digits[...]) else { return nil }
        self.init(value)
    }

    public var description: String {
        String(unsafeUninitializedCapacity: 16) { buffer in
            Hexadecimal.write(value, to: buffer, at: 0)
            return 16
        }
    }

    public init(from decoder: any Decoder) throws {
        self = try Hexadecimal.decode(from: decoder, expected: "a span id of 16 hexadecimal digits")
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Lowercase hexadecimal digits, the only ones that trace ids are written in.
enum Hexadecimal {
    static func value(of digits: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case 48...57: value = value << 4 | UInt64(digit - 48)
            case 97...102: value = value << 4 | UInt64(digit - 87)
            default: return nil
            }
        }
        return value
    }

    static func write(_ value: UInt64, to buffer: UnsafeMutableBufferPointer<UInt8>, at offset: Int) {
        for index in 0..<16 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - index * 4)) & 15
            buffer[offset + index] = digit < 10 ? 48 + digit : 87 + digit
        }
    }

    static func decode<T: LosslessStringConvertible>(from decoder: any Decoder, expected: String) throws -> T {
        let container = try decoder.singleValueContainer()
        guard let value = T(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected \(expected)")
        }
        return value
    }
}
