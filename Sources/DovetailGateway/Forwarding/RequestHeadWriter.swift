import DovetailCore
import NIOCore

extension Exchange {
    /// Writes the request head that the upstream gets: the client's fields as they came, in runs, without what belongs to
    /// the client's hop; then framing and the platform's own fields, written anew.
    func writeRequestHead(into output: inout ByteBuffer, serverName: String, now: MonotonicTime) {
        output.reserveCapacity(headBytes.readableBytes + 768)
        headBytes.withUnsafeReadableBytes { bytes in
            output.writeRaw(bytes[head.methodName])
            output.writeInteger(UInt8(0x20))
            writePath(into: &output, bytes)
            if let query = head.query {
                output.writeInteger(UInt8(0x3F))
                output.writeRaw(bytes[query])
            }
            output.writeLiteral(" HTTP/1.1\r\nhost: ")
            if head.host.isEmpty || pool?.sendsOwnHost ?? false {
                output.writeString(serverName)
            } else {
                output.writeRaw(bytes[head.host])
            }
            output.writeLiteral("\r\n")
            writeFields(into: &output, bytes)
            if let forwarding = client.origin?.forwarding {
                output.writeBytes(forwarding)
            } else if !head.host.isEmpty {
                output.writeLiteral("x-forwarded-host: ")
                output.writeRaw(bytes[head.host])
                output.writeLiteral("\r\n")
            }
            output.writeLiteral("x-correlation-id: ")
            writeCorrelationID(into: &output, bytes)
        }
        switch head.framing {
        case .length(let length):
            output.writeLiteral("\r\ncontent-length: ")
            output.writeDecimal(length)
        case .chunked: output.writeLiteral("\r\ntransfer-encoding: chunked")
        case .none where !head.method.isIdempotent || head.method == .put:
            output.writeLiteral("\r\ncontent-length: 0")
        case .none, .untilClose: break
        }
        output.writeLiteral("\r\ntraceparent: ")
        output.writeTraceparent(trace)
        output.writeLiteral("\r\n")
        output.writeBytes(client.forwardedFields)
        if !client.forwardedElements.isEmpty { writeForwarded(into: &output) }
        if wantsWebSocket {
            output.writeLiteral("connection: upgrade\r\nupgrade: websocket\r\n")
        } else if head.acceptsTrailers {
            output.writeLiteral("connection: te\r\nte: trailers\r\n")
        }
        if let deadline {
            output.writeLiteral("dovetail-timeout: ")
            output.writeDecimal(Int(max(0, (deadline.nanoseconds - now.nanoseconds) / 1_000_000)))
            output.writeLiteral("\r\n")
        }
        if let pool, pool.upstream.isFellow {
            if let principal {
                output.writeLiteral("dovetail-principal: ")
                output.writeBytes(principal.header)
                output.writeLiteral("\r\n")
            }
            if let token = snapshot.configuration.nodeToken {
                output.writeLiteral("dovetail-node-token: ")
                output.writeString(token)
                output.writeLiteral("\r\n")
            }
        }
        output.writeLiteral("\r\n")
    }

    /// Writes `Forwarded` (RFC 7239 4).
    private func writeForwarded(into output: inout ByteBuffer) {
        output.writeLiteral("forwarded: ")
        if !head.host.isEmpty {
            // What a host may hold needs no escape between quotes.
            output.writeLiteral("host=\"")
            headBytes.withUnsafeReadableBytes { _ = output.writeBytes($0[head.host]) }
            output.writeLiteral("\";")
        }
        output.writeBytes(client.forwardedElements)
        output.writeLiteral("\r\n")
    }

    /// Writes the path that the upstream gets.
    func writePath(into output: inout ByteBuffer, _ bytes: UnsafeRawBufferPointer) {
        switch route?.rewrite ?? .none {
        case .none: output.writeRaw(bytes[head.path])
        case .stripPrefix(let count):
            if head.path.count <= count {
                output.writeInteger(UInt8(0x2F))
            } else {
                output.writeRaw(bytes[ByteRange(Int(head.path.start) + count, Int(head.path.end))])
            }
        case .template(let template):
            for part in template.parts {
                switch part {
                case .literal(let literal): output.writeBytes(literal)
                case .capture(let index): output.writeRaw(bytes[captures.ranges[index]])
                }
            }
        }
    }

    func writeCorrelationID(into output: inout ByteBuffer, _ bytes: UnsafeRawBufferPointer) {
        switch correlation {
        case .given(let range): output.writeRaw(bytes[range])
        case .made(let id): output.writeUniqueID(id)
        }
    }

    private func writeFields(into output: inout ByteBuffer, _ bytes: UnsafeRawBufferPointer) {
        var runStart = -1
        let edits = route?.requestHeaders
        let granted = granted
        let told = pool?.principalHeaders
        let isPlain = edits == nil && granted == nil && told == nil && fill == nil && !head.nominatesFields
        for index in fields.indices {
            let field = fields[index]
            let forwards = isForwarded(field.known) && (isPlain || passes(field, bytes, edits))
            if forwards {
                if runStart < 0 { runStart = Int(field.name.start) }
            } else if runStart >= 0 {
                output.writeRaw(bytes[ByteRange(runStart, Int(field.name.start))])
                runStart = -1
            }
        }
        // The last line's CRLF is followed by the head's own.
        if runStart >= 0 { output.writeRaw(bytes[ByteRange(runStart, bytes.count - 2)]) }
        if let edits { output.writeBytes(edits.lines) }
        if let granted { output.writeBytes(granted.lines) }
        if let told, let principal { output.writeBytes(told.lines(of: principal)) }
        if let stale = fill?.stale { writeConditions(of: stale, into: &output) }
    }

    /// Whether a field goes through where not all do that are not of the hop.
    private func passes(
        _ field: HeaderField, _ bytes: UnsafeRawBufferPointer, _ edits: CompiledHeaderEdits?
    ) -> Bool {
        let name = bytes[field.name]
        return !(head.nominatesFields && isNominated(field, bytes)) && !(edits?.drops(name) ?? false)
            && !(granted?.replaces(name) ?? false) && !(pool?.principalHeaders?.drops(name) ?? false)
            && !(fill != nil && Exchange.isConditional(name))
    }

    /// The client's own conditions are answered from what is kept.
    private static func isConditional(_ name: UnsafeRawBufferPointer) -> Bool {
        name.equalsIgnoringCase("if-none-match") || name.equalsIgnoringCase("if-modified-since")
    }

    /// Asks whether what is kept still holds (RFC 9111 4.3.1).
    private func writeConditions(of kept: CachedResponse, into output: inout ByteBuffer) {
        if let tag = kept.tag {
            output.writeLiteral("if-none-match: ")
            output.writeBytes(tag)
            output.writeLiteral("\r\n")
        }
        if let modified = kept.lastModified {
            output.writeLiteral("if-modified-since: ")
            output.writeBytes(modified)
            output.writeLiteral("\r\n")
        }
    }

    private func isNominated(_ field: HeaderField, _ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.connectionNominates(field.name, in: fields)
    }

    @inline(__always)
    private func isForwarded(_ field: KnownField) -> Bool {
        switch field {
        case .host, .contentLength, .transferEncoding, .expect, .connection, .hopByHop, .forwarded, .traceparent,
            .correlationID, .dovetail:
            false
        default: true
        }
    }
}
