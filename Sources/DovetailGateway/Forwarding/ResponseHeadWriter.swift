import NIOCore

extension Exchange {
    /// Writes the head of an upstream's answer for the client: the upstream's fields as they came, in runs, without those of
    /// its hop; then framing and the gateway's own fields, written anew.
    func writeResponseHead(
        _ response: ResponseHead, fields: [HeaderField], bytes: UnsafeRawBufferPointer, framing: BodyFraming,
        into output: inout ByteBuffer
    ) {
        output.reserveCapacity(output.writerIndex + bytes.count + 512)
        output.writeLiteral("HTTP/1.1 ")
        output.writeDecimal(response.status)
        output.writeInteger(UInt8(0x20))
        output.writeRaw(bytes[response.reason])
        output.writeLiteral("\r\n")
        let ownsCORS = route?.cors != nil
        var runStart = -1
        let edits = route?.responseHeaders
        for field in fields {
            var forwards: Bool
            switch field.known {
            case .contentLength, .transferEncoding, .connection, .hopByHop, .correlationID: forwards = false
            case .accessControl: forwards = !ownsCORS
            default: forwards = !(response.nominatesFields && bytes.connectionNominates(field.name, in: fields))
            }
            if forwards, let edits, edits.drops(bytes[field.name]) { forwards = false }
            if forwards {
                if runStart < 0 { runStart = Int(field.name.start) }
            } else if runStart >= 0 {
                output.writeRaw(bytes[ByteRange(runStart, Int(field.name.start))])
                runStart = -1
            }
        }
        if runStart >= 0 { output.writeRaw(bytes[ByteRange(runStart, bytes.count - 2)]) }
        if let edits { output.writeBytes(edits.lines) }
        switch framing {
        case .length(let length): writeContentLength(length, into: &output)
        case .chunked: output.writeLiteral("transfer-encoding: chunked\r\n")
        case .none:
            if let declaredLength = response.declaredLength, response.status != 204 {
                writeContentLength(declaredLength, into: &output)
            }
        case .untilClose: break
        }
        writeGatewayFields(into: &output)
        output.writeLiteral("\r\n")
    }

    /// Writes an interim answer (1xx) as the upstream gave it (RFC 9110 15.2).
    func writeInterimHead(
        _ response: ResponseHead, fields: [HeaderField], bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer
    ) {
        output.writeLiteral("HTTP/1.1 ")
        output.writeDecimal(response.status)
        output.writeInteger(UInt8(0x20))
        output.writeRaw(bytes[response.reason])
        output.writeLiteral("\r\n")
        for field in fields where field.known == .other {
            output.writeRaw(bytes[field.name])
            output.writeLiteral(": ")
            output.writeRaw(bytes[field.value])
            output.writeLiteral("\r\n")
        }
        output.writeLiteral("\r\n")
    }

    /// Writes the fields that every final answer carries: correlation, cross-origin, rate limit, connection.
    func writeGatewayFields(into output: inout ByteBuffer) {
        output.writeLiteral("x-correlation-id: ")
        headBytes.withUnsafeReadableBytes { writeCorrelationID(into: &output, $0) }
        output.writeLiteral("\r\n")
        writeCORSFields(into: &output)
        writeRateLimitFields(into: &output)
        writeCacheStatus(into: &output)
        if let lines = route?.deprecationLines { output.writeBytes(lines) }
        if !client.keepsAlive {
            output.writeLiteral("connection: close\r\n")
        } else if head.minorVersion == 0 {
            output.writeLiteral("connection: keep-alive\r\n")
        }
    }

    func writeContentLength(_ length: Int, into output: inout ByteBuffer) {
        output.writeLiteral("content-length: ")
        output.writeDecimal(length)
        output.writeLiteral("\r\n")
    }
}
