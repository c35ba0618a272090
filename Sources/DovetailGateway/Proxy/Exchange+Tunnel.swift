import DovetailCore
import NIOCore

/// A connection that has become a WebSocket's (RFC 6455): bytes go both ways as they come, and it ends when either side does.
extension Exchange {
    /// Whether the client asks for a WebSocket on a route that has them.
    var wantsWebSocket: Bool {
        guard let route, route.allowsWebSocket, head.method == .get, head.minorVersion >= 1 else { return false }
        return headBytes.withUnsafeReadableBytes { bytes in
            var (asks, names) = (false, false)
            for field in fields {
                switch field.known {
                case .hopByHop where bytes[field.name].equalsIgnoringCase("upgrade"):
                    bytes[field.value].forEachListElement { if $0.equalsIgnoringCase("websocket") { asks = true } }
                case .connection:
                    bytes[field.value].forEachListElement { if $0.equalsIgnoringCase("upgrade") { names = true } }
                default: break
                }
            }
            return asks && names
        }
    }

    /// The upstream has agreed: its head goes to the client, and from here on whatever comes.
    func becomeTunnel(_ response: ResponseHead, fields: [HeaderField], bytes: UnsafeRawBufferPointer) {
        status = 101
        report(status: 101)
        replay = nil
        // It takes no part in what an adaptive limit measures.
        if let limit = pool?.guards.inFlight, limit.isAdaptive { upstreamPlace = nil }
        worker.cancel(client.deadlineTimer)
        worker.compose()
        worker.scratch.writeLiteral(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n")
        for field in fields where field.known == .other {
            worker.scratch.writeRaw(bytes[field.name])
            worker.scratch.writeLiteral(": ")
            worker.scratch.writeRaw(bytes[field.value])
            worker.scratch.writeLiteral("\r\n")
        }
        worker.scratch.writeLiteral("x-correlation-id: ")
        headBytes.withUnsafeReadableBytes { writeCorrelationID(into: &worker.scratch, $0) }
        worker.scratch.writeLiteral("\r\n\r\n")
        commitResponse()
        client.becomeTunnel()
    }

    /// Bytes from the client, behind its request.
    func tunnel(_ bytes: ByteBuffer) {
        guard case .upstream(let connection) = responder else { return }
        connection.write(bytes)
        connection.flush()
    }

    /// The upstream has ended it.
    func tunnelEnded() {
        responder = .none
        finish()
    }
}
