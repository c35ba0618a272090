import NIOCore
import NIOHPACK

/// Between HTTP/2's fields and frames and HTTP/1.1's lines and chunks.
enum HTTP2Fields {
    /// Whether a field may stand in a message: no capitals, no byte that would end a line (RFC 9113 8.2.1).
    static func isValid(_ name: String, _ value: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { ByteClass.token.contains($0) && !(0x41...0x5A).contains($0) }
            && value.utf8.allSatisfy(isFieldValueByte)
    }

    /// Whether fields go into one frame of the size that every peer takes (RFC 9113 4.2), whatever was said on their connection before.
    ///
    /// More frames than one NIO does not write: the connection would end, with all that it carries.
    static func fitFrame(_ headers: HPACKHeaders) -> Bool {
        let longest = 16_384
        // No byte takes more than 30 bits (RFC 7541 B).
        let bytes = headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 8 }
        guard bytes * 4 > longest else { return true }
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: 0)
        var encoded = ByteBuffer()
        guard (try? encoder.encode(headers: headers, to: &encoded)) != nil else { return false }
        // Before them it may be said how large a table is.
        return encoded.readableBytes + 16 <= longest
    }

    /// A name as HTTP/2 has it, in lower case.
    static func name(_ bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: bytes.count) { room in
            for index in 0..<bytes.count { room.initializeElement(at: index, to: lowercased(bytes[index])) }
            return bytes.count
        }
    }

    /// Whether a field goes into the table that compresses those after it (RFC 7541).
    ///
    /// What gives entry does not (7.1.3), nor what is another for each message: it would only push out what comes again, and be searched with each
    /// field that follows.
    static func indexing(of field: KnownField) -> HPACKIndexing {
        switch field {
        case .authorization: .neverIndexed
        case .correlationID, .traceparent: .nonIndexable
        default: .indexable
        }
    }

    /// Writes a field that is valid as a line.
    static func writeLine(_ name: String, _ value: String, into output: inout ByteBuffer) {
        output.writeString(name)
        output.writeLiteral(": ")
        output.writeString(value)
        output.writeLiteral("\r\n")
    }

    /// Writes data as a chunk; nothing for none.
    static func writeChunk(_ data: ByteBuffer, into output: inout ByteBuffer) {
        guard data.readableBytes > 0 else { return }
        output.writeShortHex(data.readableBytes)
        output.writeLiteral("\r\n")
        output.writeImmutableBuffer(data)
        output.writeLiteral("\r\n")
    }

    /// Writes the end of a chunked body, with trailers; false if one may not stand.
    static func writeLastChunk(_ trailers: HPACKHeaders?, into output: inout ByteBuffer) -> Bool {
        output.writeLiteral("0\r\n")
        for (name, value, _) in trailers ?? HPACKHeaders() {
            guard isValid(name, value) else { return false }
            output.writeString("\(name): \(value)\r\n")
        }
        output.writeLiteral("\r\n")
        return true
    }

    /// The trailers that a chunked body ended with, as fields.
    static func trailers(_ lines: [UInt8]) -> HPACKHeaders {
        var headers = HPACKHeaders()
        TrailerSection.forEachField(lines) { name, line in
            let value = UnsafeRawBufferPointer(rebasing: line[(name.count + 1)...]).text
            headers.add(name: name.text.lowercased(), value: value.trimmingWhiteSpace)
        }
        return headers
    }
}

extension String {
    /// Without the white space that RFC 9110 5.5 takes off a value, and a line's end.
    fileprivate var trimmingWhiteSpace: String {
        let bytes = utf8
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D || $0 == 0x0A }
        guard let first = bytes.firstIndex(where: { !isSpace($0) }),
            let last = bytes.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }
}
