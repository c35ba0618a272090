import DovetailCore
import NIOHTTP2
import TestSupport
import Testing

@testable import DovetailGateway

/// Clients that speak HTTP/2: what a stream may be, and what becomes of it when its connection goes.
@Suite(.timeLimit(.minutes(1)), .serialized) struct HTTP2ClientTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    /// It is one request's misfortune, and not that of the others of its connection.
    @Test func anAnswersHeadThatFitsNoFrameIsOne502() async throws {
        let backend = try await Backend { request in
            guard
                let bytes = request.line.split(separator: "/").dropFirst().first.flatMap({
                    Int($0.prefix { $0 != " " })
                })
            else { return [.send(HTTP2ClientTests.ok)] }
            var head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            for name in ["a", "b", "c"] { head += "x-\(name): \(String(repeating: "0", count: (bytes - 80) / 4))\r\n" }
            head += "x-rest: "
            return [.send(head + String(repeating: "0", count: bytes - head.utf8.count - 4) + "\r\n\r\nok")]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let fits = try await curl(["--http2-prior-knowledge", "http://127.0.0.1:\(gateway.port)/24000"])
            #expect(fits.output == "ok")
            let first = try await HTTP2Client(port: gateway.port)
            let streams = [first, try await first.sibling(), try await first.sibling()]
            for (stream, path) in zip(streams, ["/30000", "/61440", "/x"]) {
                try await stream.send(
                    .head(
                        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")], ends: true))
                await stream.ended.wait()
            }
            #expect(
                streams.map { $0.received.all.first?.fields?.first(name: ":status") } == ["502", "502", "200"])
            await first.close()
            let plain = try await gateway.get("/61440")
            #expect(plain?.text == "ok")
        }
        await backend.stop()
    }
}
