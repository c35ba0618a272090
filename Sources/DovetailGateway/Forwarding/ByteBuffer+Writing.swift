import NIOCore

/// NIO's writing does more for each piece than copying a piece costs; these do no more than reserve and copy.
extension ByteBuffer {
    /// Writes a text that is known when the program is compiled.
    @inline(__always)
    mutating func writeLiteral(_ text: StaticString) {
        writeRaw(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Writes `bytes`, which lie outside of this buffer.
    @inline(__always)
    mutating func writeRaw(_ bytes: UnsafeRawBufferPointer) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { room in
            room.copyMemory(from: bytes)
            return bytes.count
        }
    }
}
