import NIOCore

extension Exchange {
    /// Begins the head of a request of the gateway's own: its line, the client's fields that go with every part of it, its flow and its trace.
    ///
    /// - Parameters:
    ///   - target: A path and a query that hold no space and no control character.
    ///   - replaced: Names in lower case of fields that are written after it.
    func beginSubrequest(_ method: Method, target: [UInt8], replaced: Set<[UInt8]> = []) -> ByteBuffer {
        var output = ByteBuffer()
        output.reserveCapacity(headBytes.readableBytes + 256)
        output.writeLiteral(method.name)
        output.writeInteger(UInt8(0x20))
        output.writeBytes(target)
        headBytes.withUnsafeReadableBytes { bytes in
            output.writeLiteral(" HTTP/1.1\r\nhost: ")
            if head.host.isEmpty { output.writeLiteral("localhost") } else { output.writeBytes(bytes[head.host]) }
            output.writeLiteral("\r\nx-correlation-id: ")
            writeCorrelationID(into: &output, bytes)
            output.writeLiteral("\r\ntraceparent: ")
            output.writeTraceparent(trace)
            output.writeLiteral("\r\n")
            for field in fields where Exchange.isInherited(field, bytes) {
                if head.nominatesFields, bytes.connectionNominates(field.name, in: fields) { continue }
                if !replaced.isEmpty, replaced.contains(bytes[field.name].map(lowercased)) { continue }
                output.writeBytes(bytes[field.name])
                output.writeLiteral(": ")
                output.writeBytes(bytes[field.value])
                output.writeLiteral("\r\n")
            }
        }
        return output
    }

    /// Whether a field says something of whoever asks, and not of this request's body, conditions, connection or page.
    private static func isInherited(_ field: HeaderField, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch field.known {
        case .authorization, .causationID, .tracestate, .dovetailAfter: return true
        case .other: break
        default: return false
        }
        let name = bytes[field.name]
        return
            !(name.startsIgnoringCase("content-") || name.startsIgnoringCase("if-")
            || name.startsIgnoringCase("sec-") || name.startsIgnoringCase("accept-encoding")
            || name.equalsIgnoringCase("range") || name.equalsIgnoringCase("cache-control")
            || name.equalsIgnoringCase("signature") || name.equalsIgnoringCase("signature-input"))
    }
}
