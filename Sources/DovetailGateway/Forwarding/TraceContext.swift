import NIOCore

/// A request's place in a trace (W3C Trace Context level 1): continued from the client's, or begun here.
struct TraceContext: Equatable, Sendable {
    var traceHigh: UInt64
    var traceLow: UInt64
    /// This hop's span.
    var span: UInt64
    /// The client's span; 0 if the trace begins here.
    var parent: UInt64
    var flags: UInt8

    /// A trace that begins here, sampled.
    init(random: inout FastRandom) {
        traceHigh = random.next()
        traceLow = max(1, random.next())
        span = max(1, random.next())
        parent = 0
        flags = 1
    }

    /// Continues the trace that `header` names, with a span of its own; nil if it is not a valid traceparent.
    init?(_ header: UnsafeRawBufferPointer, random: inout FastRandom) {
        guard header.count >= 55, header[2] == 0x2D, header[35] == 0x2D, header[52] == 0x2D,
            let version = TraceContext.hex(header, 0, 2), version != 0xFF,
            header.count == 55 || (version > 0 && header[55] == 0x2D),
            let high = TraceContext.hex(header, 3, 16), let low = TraceContext.hex(header, 19, 16),
            let parent = TraceContext.hex(header, 36, 16), let flags = TraceContext.hex(header, 53, 2),
            high | low != 0, parent != 0
        else { return nil }
        traceHigh = high
        traceLow = low
        self.parent = parent
        self.flags = UInt8(truncatingIfNeeded: flags) & 1
        span = max(1, random.next())
    }

    /// Another span beside this hop's.
    func next(random: inout FastRandom) -> TraceContext {
        var next = self
        next.span = max(1, random.next())
        return next
    }

    /// As in `traceparent`, with this hop's span as the parent.
    var text: String {
        var buffer = ByteBuffer()
        buffer.writeTraceparent(self)
        return String(buffer: buffer)
    }

    /// The trace's id: 32 hexadecimal digits.
    var traceID: String {
        String(unsafeUninitializedCapacity: 32) { digits in
            UnsafeMutableRawBufferPointer(digits).setHex(traceHigh, digits: 16, at: 0)
            UnsafeMutableRawBufferPointer(digits).setHex(traceLow, digits: 16, at: 16)
            return 32
        }
    }

    /// A span's id: 16 hexadecimal digits.
    static func spanID(_ span: UInt64) -> String {
        String(unsafeUninitializedCapacity: 16) { digits in
            UnsafeMutableRawBufferPointer(digits).setHex(span, digits: 16, at: 0)
            return 16
        }
    }

    private static func hex(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UInt64? {
        var value: UInt64 = 0
        for index in start..<(start + count) {
            // Upper case is not valid here.
            guard let digit = hexValue(bytes[index]), bytes[index] < 0x41 || bytes[index] > 0x46 else { return nil }
            value = value << 4 | UInt64(digit)
        }
        return value
    }
}

extension ByteBuffer {
    /// Writes `traceparent` with this hop's span as the parent.
    mutating func writeTraceparent(_ trace: TraceContext) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 55) { bytes in
            bytes.setHex(0, digits: 2, at: 0)
            bytes[2] = 0x2D
            bytes.setHex(trace.traceHigh, digits: 16, at: 3)
            bytes.setHex(trace.traceLow, digits: 16, at: 19)
            bytes[35] = 0x2D
            bytes.setHex(trace.span, digits: 16, at: 36)
            bytes[52] = 0x2D
            bytes.setHex(UInt64(trace.flags & 1), digits: 2, at: 53)
            return 55
        }
    }

    /// Writes `value` in hexadecimal without leading zeros.
    mutating func writeShortHex(_ value: Int) {
        let digits = max(1, (Int.bitWidth - value.leadingZeroBitCount + 3) / 4)
        writeWithUnsafeMutableBytes(minimumWritableBytes: digits) { bytes in
            bytes.setHex(UInt64(truncatingIfNeeded: value), digits: digits, at: 0)
            return digits
        }
    }

    /// Writes `value`, which is not negative, in decimal.
    mutating func writeDecimal(_ value: Int) {
        var digits = 1
        var bound = value
        while bound >= 10 {
            bound /= 10
            digits += 1
        }
        writeWithUnsafeMutableBytes(minimumWritableBytes: digits) { bytes in
            var rest = value
            for index in (0..<digits).reversed() {
                bytes[index] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return digits
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Puts `count` hexadecimal digits, the low ones of `value`, where there is room for them.
    @inline(__always)
    func setHex(_ value: UInt64, digits count: Int, at start: Int) {
        var rest = value
        for index in (start..<start + count).reversed() {
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            self[index] = digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
            rest >>= 4
        }
    }
}
