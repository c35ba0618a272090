import HTTPTypes
import NIOHPACK
import Testing

@testable import DovetailGateway

@Suite(.timeLimit(.minutes(1)))
struct UnderscoreTests {
    private func echo() async throws -> Backend {
        try await Backend { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
    }

    @Test func fieldsWithUnderscoresReachNobody() async throws {
        let backend = try await echo()
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let answer = try await gateway.send(
                "POST /%61_b?x_y=1 HTTP/1.1\r\nX_User: root\r\nHost: gateway.test\r\nX-First: a_b\r\n"
                    + "X_Forwarded_For: 6.6.6.6\r\nTransfer_Encoding: chunked\r\nX-Second: two\r\n"
                    + "Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n_: 1\r\n\r\n"
                    + "2\r\nhi\r\n0\r\nX-Sum: 1\r\nX_User: root\r\n\r\n")
            #expect(answer?.status == 200)
            let seen = try #require(backend.requests.all.first)
            #expect(seen.line == "POST /a_b?x_y=1 HTTP/1.1")
            #expect(seen.values("x-first") == ["a_b"])
            #expect(seen.values("x-second") == ["two"])
            let names = seen.head.split(separator: "\r\n").dropFirst().map { $0.prefix { $0 != ":" } }
            #expect(!names.contains { $0.contains("_") }, "\(seen.head)")
            #expect(seen.body == Array("hi".utf8))
            #expect(seen.trailers == "X-Sum: 1\r\n")
            #expect(await gateway.gateway.metrics().droppedFields == 4)
        }
        await backend.stop()
    }

    @Test func fieldsWithUnderscoresReachNobodyOverHTTP2() async throws {
        let backend = try await echo()
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            let client = try await HTTP2Client(port: gateway.port)
            try await client.send(
                .headers(
                    .init(
                        headers: HPACKHeaders([
                            (":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/x"),
                            ("x_user", "root"), ("x-own", "1"),
                        ]), endStream: true)))
            await backend.requests.wait(for: 1)
            let seen = try #require(backend.requests.all.first)
            #expect(seen.value("x_user") == nil)
            #expect(seen.value("x-own") == "1")
            await client.close()
        }
        await backend.stop()
    }

    /// Where they are let through, none of them stands for a field that is the gateway's own to write.
    @Test func whereTheyAreLetThroughTheyAreNobodyElses() async throws {
        let backend = try await echo()
        var only = try route("all", "/**")
        only.requestHeaders = HeaderEdits(set: ["X-Tenant": "acme"])
        var settings = configuration(backend, routes: [only])
        settings.underscores = .forwarded
        try await withGateway(settings) { gateway in
            _ = try await gateway.get(
                "/x",
                fields: [
                    "My_Field: 1", "X_Forwarded_For: 6.6.6.6", "Dovetail_Principal: root", "Content_Length: 7",
                    "X_Tenant: other",
                ])
            let seen = try #require(backend.requests.all.first)
            #expect(seen.value("my_field") == "1")
            #expect(seen.values("x-tenant") == ["acme"])
            for name in ["x_forwarded_for", "dovetail_principal", "content_length", "x_tenant"] {
                #expect(seen.value(name) == nil, "\(name)")
            }
        }
        await backend.stop()
    }

    /// No condition of a route, and nothing that tells callers apart, sees what is dropped.
    @Test func whatIsDroppedDecidesNothing() async throws {
        let backend = try await echo()
        var only = try route("all", "/**")
        only.conditions = [RouteCondition(.header("X_Beta"))]
        try await withGateway(configuration(backend, routes: [only])) { gateway in
            let answer = try await gateway.get("/x", fields: ["X_Beta: 1"])
            #expect(answer?.status == 404)
        }
        await backend.stop()
    }

    /// Whatever of a head goes, what stays is what stood there, in its order.
    @Test func whatStaysOfAHeadIsWhatStoodThere() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let fields = (0..<Int.random(in: 1...12, using: &random)).map { index in
                (
                    Bool.random(using: &random) ? "x-\(index)" : "x_\(index)",
                    String(repeating: "v", count: index * 3 % 7)
                )
            }
            let text = "GET /%61 HTTP/1.1\r\nhost: a\r\n" + fields.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
            var bytes = Array(text.utf8)
            var (head, reader) = (RequestHead(), HeadReader())
            let read = try bytes.withUnsafeMutableBytes { bytes in
                let length = try head.read(bytes, with: &reader, limits: HeadLimits(), underscores: .dropped)
                return (
                    length, reader.fields.map { (bytes[$0.name].text, bytes[$0.value].text) }, bytes[head.path].text
                )
            }
            let kept = [("host", "a")] + fields.filter { !$0.0.contains("_") }
            #expect(read.0 == text.utf8.count)
            #expect(read.1.map(\.0) == kept.map(\.0) && read.1.map(\.1) == kept.map(\.1))
            #expect(read.2 == "/a")
            #expect(head.droppedFields == fields.count + 1 - kept.count)
            #expect(text.hasSuffix("\r\n\r\n") && bytes.suffix(2) == [13, 10])
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate subscript(_ range: ByteRange) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(self)[range] }
}
