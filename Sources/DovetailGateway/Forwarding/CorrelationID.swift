import DovetailCore
import NIOCore

/// The id of a flow: the client's own if it can be passed on as it is, else a new UUID of version 7.
enum CorrelationID {
    /// In the request head's bytes.
    case given(ByteRange)
    case made(UniqueID)

    /// The id for a request whose head names `range`, if it names one.
    init(_ range: ByteRange?, in bytes: UnsafeRawBufferPointer, milliseconds: UInt64, random: inout FastRandom) {
        if let range, (1...128).contains(range.count), bytes[range].allSatisfy(ByteClass.identifier.contains) {
            self = .given(range)
            return
        }
        let word = random.next()
        self = .made(
            UniqueID(
                high: milliseconds << 16 | 0x7000 | word & 0x0FFF, low: 0x8000_0000_0000_0000 | random.next() >> 2))
    }
}

extension ByteBuffer {
    /// Writes a UUID in its usual form.
    mutating func writeUniqueID(_ id: UniqueID) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 36) { bytes in
            bytes.setHex(id.high >> 32, digits: 8, at: 0)
            bytes[8] = 0x2D
            bytes.setHex(id.high >> 16, digits: 4, at: 9)
            bytes[13] = 0x2D
            bytes.setHex(id.high, digits: 4, at: 14)
            bytes[18] = 0x2D
            bytes.setHex(id.low >> 48, digits: 4, at: 19)
            bytes[23] = 0x2D
            bytes.setHex(id.low, digits: 12, at: 24)
            return 36
        }
    }
}
