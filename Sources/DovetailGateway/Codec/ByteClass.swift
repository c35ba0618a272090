/// A set of ASCII bytes as two words: membership is a shift and a mask, with no table in memory.
struct ByteClass: Sendable {
    private let low: UInt64
    private let high: UInt64

    private init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// Whether `byte` is in the set; no byte above 0x7F ever is.
    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let word = byte < 64 ? low : high
        return byte < 128 && (word >> UInt64(byte & 63)) & 1 == 1
    }

    /// `tchar` of RFC 9110 5.6.2.
    @inline(__always) static var token: ByteClass { ByteClass(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE) }
    /// `unreserved` of RFC 3986 2.3.
    @inline(__always)
    static var unreserved: ByteClass { ByteClass(low: 0x03FF_6000_0000_0000, high: 0x47FF_FFFE_87FF_FFFE) }
    /// `pchar` without the percent sign, and the slash (RFC 3986 3.3).
    @inline(__always) static var path: ByteClass { ByteClass(low: 0x2FFF_FFD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFF) }
    /// Visible ASCII without `#`: what clients send in a query, which is more than RFC 3986 3.4 allows.
    @inline(__always) static var query: ByteClass { ByteClass(low: 0xFFFF_FFF6_0000_0000, high: 0x7FFF_FFFF_FFFF_FFFF) }
    /// What an id from outside may hold to be passed on and logged as it is.
    @inline(__always)
    static var identifier: ByteClass { ByteClass(low: 0x27FF_F800_0000_0000, high: 0x47FF_FFFE_87FF_FFFF) }
}

/// What may stand in a field value: tab, visible bytes, space and obs-text (RFC 9110 5.5).
@inline(__always)
func isFieldValueByte(_ byte: UInt8) -> Bool {
    (byte >= 0x20 && byte != 0x7F) || byte == 0x09
}

/// The value of a hexadecimal digit; nil for any other byte.
@inline(__always)
func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte &- 0x30
    case 0x41...0x46: byte &- 0x37
    case 0x61...0x66: byte &- 0x57
    default: nil
    }
}

/// `byte` in lower case, if it is a letter.
@inline(__always)
func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}
