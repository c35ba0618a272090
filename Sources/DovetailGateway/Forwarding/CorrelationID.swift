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
        writeHex(id.high >> 32, digits: 8)
        writeInteger(UInt8(0x2D))
        writeHex(id.high >> 16 & 0xFFFF, digits: 4)
        writeInteger(UInt8(0x2D))
        writeHex(id.high & 0xFFFF, digits: 4)
        writeInteger(UInt8(0x2D))
        writeHex(id.low >> 48, digits: 4)
        writeInteger(UInt8(0x2D))
        writeHex(id.low & 0xFFFF_FFFF_FFFF, digits: 12)
    }
}
