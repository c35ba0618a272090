import DovetailCore
import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import Testing

@testable import DovetailGateway

/// What HTTP/2 may carry and HTTP/1.1 may not does not reach anybody.
@Suite(.timeLimit(.minutes(1))) struct HTTP2FieldTests {
    private static let start = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "a")]

    private static let bad = [
        ("connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "websocket"), ("keep-alive", "1"),
        ("proxy-connection", "close"), ("x-a", "b\r\nx-evil: 1"), ("x-a", "b\nc"), ("x-a", "b\0c"), ("x\r\ny", "b"),
        ("x y", "b"), ("x:y", "b"), ("", "b"), ("X-Upper", "b"),
    ]

    /// The stream's own check, without the codec's before it.
    @Test(arguments: bad) func aStreamPassesNoSuchFieldOn(field: (String, String)) throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(HTTP2Stream())
        try channel.connect(to: .init(ipAddress: "127.0.0.1", port: 80)).wait()
        let payload = HTTP2Frame.FramePayload.head(HTTP2FieldTests.start + [field], ends: true)
        try channel.writeInbound(payload)
        #expect(try channel.readInbound(as: ByteBuffer.self) == nil, "\(field)")
        guard case .rstStream(let code) = try channel.readOutbound(as: HTTP2Frame.FramePayload.self) else {
            Issue.record("\(field) is not refused")
            return
        }
        #expect(code == .protocolError)
        _ = try? channel.finish()
    }

    @Test(arguments: [
        [(":method", "GET"), (":scheme", "http"), (":path", "/x y"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/x\r\nHost: b"), (":authority", "a")],
        [(":method", "G T"), (":scheme", "http"), (":path", "/x"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "a\r\nx: y")],
        [(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "a")],
    ])
    func aStreamPassesNoSuchRequestLineOn(fields: [(String, String)]) throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(HTTP2Stream())
        try channel.connect(to: .init(ipAddress: "127.0.0.1", port: 80)).wait()
        try channel.writeInbound(HTTP2Frame.FramePayload.head(fields, ends: true))
        #expect(try channel.readInbound(as: ByteBuffer.self) == nil)
        _ = try? channel.finish()
    }

    /// Through a socket, where frames are written by hand: no library between would send them.
    @Test(arguments: bad) func fieldsThatWouldBreakAHeadAreRefused(field: (String, String)) async throws {
        let backend = try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            for (more, isGood) in [([], true), ([field], false)] {
                let client = try await gateway.client()
                var block = ByteBuffer()
                for (name, value) in HTTP2FieldTests.start + more {
                    // A literal without indexing (RFC 7541 6.2.2).
                    block.writeInteger(UInt8(0))
                    for text in [name, value] {
                        block.writeInteger(UInt8(text.utf8.count))
                        block.writeString(text)
                    }
                }
                let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
                let head: [UInt8] = [0, 0, UInt8(block.readableBytes), 1, 5, 0, 0, 0, 1]
                try await client.send(
                    Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + settings + head + Array(block.readableBytesView))
                var types: [UInt8] = []
                while !types.contains(where: { [1, 3, 7].contains($0) }), let frame = await client.frame() {
                    types.append(frame.type)
                }
                if isGood {
                    #expect(types.last == 1, "an answer's head: \(types)")
                } else {
                    #expect(types.last == 3 || types.last == 7, "the stream or the connection is reset: \(types)")
                }
                await client.close()
            }
            #expect(backend.requests.all.count == 1)
        }
        await backend.stop()
    }
}

extension RawClient {
    /// The next frame of HTTP/2; nil if the connection ends before it.
    fileprivate func frame() async -> (type: UInt8, payload: [UInt8])? {
        guard await arrived(9) else { return nil }
        let head = take(9)
        let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        guard await arrived(length) else { return nil }
        return (head[3], take(length))
    }
}
