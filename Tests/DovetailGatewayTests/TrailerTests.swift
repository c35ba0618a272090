import Testing

@testable import DovetailGateway

/// What stands behind a body.
@Suite(.timeLimit(.minutes(1))) struct TrailerTests {
    @Test func trailersGoThroughWhereTheyAreAskedForAndNothingElseWithThem() async throws {
        let backend = try await Backend { request in
            [
                .send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nSet-Cookie: a=1\r\nHost: b\r\n\r\n"
                )
            ]
        }
        try await withGateway(configuration(backend, routes: [try route("all", "/**")])) { gateway in
            for (asks, tail) in [(true, "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"), (false, "2\r\nok\r\n0\r\n\r\n")] {
                let client = try await gateway.client()
                try await client.send(
                    "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\(asks ? ", te\r\nTE: trailers" : "")\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Mine: 1\r\nAuthorization: b\r\n\r\n"
                )
                let text = String(decoding: await client.readToEnd(), as: UTF8.self)
                #expect(text.hasSuffix("\r\n\r\n" + tail), "\(text)")
            }
            #expect(backend.requests.all.map { $0.values("te") } == [["trailers"], []])
            #expect(backend.requests.all.map(\.trailers) == ["X-Mine: 1\r\n", "X-Mine: 1\r\n"])
        }
        await backend.stop()
    }
}
