import DovetailCore
import DovetailHTTP
import HTTPTypes
import Testing

@Suite struct RoundTripTests {
    @Test(arguments: [HTTPRequest.Method.get, .post, .put, .patch, .delete, .options])
    func carriesEachMethodWithItsBody(method: HTTPRequest.Method) async throws {
        let body: [UInt8] = method == .get ? [] : Array(#"{"quantity":3}"#.utf8)
        let answer = try await withExchange(Answering.echo) {
            try await $0.send(RawRequest(method: method, path: "/v1/lines/7", query: "a=b", body: body), deadline: nil)
        }
        #expect(answer.status == .ok)
        #expect(answer.headers[.echoMethod] == method.rawValue)
        #expect(answer.headers[.echoTarget] == "/v1/lines/7?a=b")
        #expect(answer.bytes == body)
    }

    @Test func carriesTheSameOverAUnixSocket() async throws {
        let address = HTTPAddress.unix(path: temporarySocketPath())
        let answer = try await withServer(Answering.echo, at: address) { bound, _ in
            #expect(bound == address)
            return try await withTransport(to: bound) { try await $0.send(.post("/v1/orders", [1, 2]), deadline: nil) }
        }
        #expect(answer.bytes == [1, 2])
        #expect(answer.headers[.echoTarget] == "/v1/orders")
    }

    @Test(arguments: ["/a%2Fb/%C3%A9%20x", "/v1/orders/~a_b.c-d", "/", "/a//b/"])
    func leavesPathAndQueryAsTheyWereEncoded(path: String) async throws {
        let answer = try await withExchange(Answering.echo) {
            try await $0.send(.get(path, query: "q=%26%3D%20%2B&e=%C3%A9&empty="), deadline: nil)
        }
        #expect(answer.headers[.echoTarget] == path + "?q=%26%3D%20%2B&e=%C3%A9&empty=")
    }

    @Test func keepsHeaderFieldsWhole() async throws {
        let seen = Answering { request in
            var headers = request.headers
            headers[.hostField] = nil
            headers.append(HTTPField(name: .cacheControl, value: "no-store"))
            return RawResponse(status: .accepted, headers: headers)
        }
        var request = RawRequest.get("/v1/orders")
        request.headers[.idempotencyKey] = "k-1"
        request.headers[.traceparent] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        request.headers[.dovetailPrincipal] = "e30"
        request.headers.append(HTTPField(name: .accept, value: "application/json"))
        request.headers.append(HTTPField(name: .accept, value: "text/plain"))
        let sent = request
        let answer = try await withExchange(seen) { try await $0.send(sent, deadline: nil) }
        #expect(answer.headers[.idempotencyKey] == "k-1")
        #expect(answer.headers[.traceparent] == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        #expect(answer.headers[.dovetailPrincipal] == "e30")
        #expect(answer.headers[values: .accept] == ["application/json", "text/plain"])
        #expect(answer.headers[.server] == nil)
        #expect(answer.headers[.date]?.hasSuffix(" GMT") == true)
        #expect(answer.headers[.contentLength] == nil)
    }

    @Test func givesTheHandlerTheHostThatWasAsked() async throws {
        let host = Answering { RawResponse(status: .ok, body: .bytes(Array(($0.headers[.hostField] ?? "").utf8))) }
        try await withServer(host) { address, _ in
            let text = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: nil).text }
            #expect(text == address.description)
        }
    }

    @Test func carriesAMegabyteEachWay() async throws {
        let body = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let answer = try await withExchange(Answering.echo) { try await $0.send(.post("/", body), deadline: nil) }
        #expect(answer.bytes == body)
    }

    @Test func streamsWhatIsLongerThanAMegabyte() async throws {
        let body = [UInt8](repeating: 7, count: 3 << 20)
        let answer = try await withExchange(Answering { _ in RawResponse(status: .ok, body: .bytes(body)) }) {
            let answer = try await $0.send(.get("/"), deadline: nil)
            #expect(answer.bytes == nil)
            return try await answer.whole
        }
        #expect(answer == body)
    }

    @Test(arguments: [3, 3 << 20])
    func collectsAnAnswerOfUnknownLengthOnlyIfItIsShort(length: Int) async throws {
        let chunk = [UInt8](repeating: 9, count: max(1, length / 3))
        let handler = Answering.streaming(Chunks(Array(repeating: chunk, count: 3)), as: "application/json")
        try await withExchange(handler) {
            let answer = try await $0.send(.get("/"), deadline: .now + .seconds(10))
            #expect((answer.bytes != nil) == (length < 1 << 20))
            #expect(try await answer.whole.count == chunk.count * 3)
        }
    }

    @Test func answersWithoutABodyKeepTheConnectionGoing() async throws {
        let empty = Answering { RawResponse(status: $0.path == "/1" ? .noContent : .ok) }
        try await withExchange(empty) { transport in
            for path in ["/1", "/2", "/1"] {
                let answer = try await transport.send(.get(path), deadline: nil)
                #expect(answer.status == (path == "/1" ? .noContent : .ok))
                #expect(answer.bytes == [])
            }
        }
    }

    @Test func headHasTheHeadOfGetAndNoBody() async throws {
        try await withExchange(Answering { _ in RawResponse(status: .ok, body: .bytes([1, 2, 3])) }) { transport in
            for _ in 0..<2 {
                let answer = try await transport.send(RawRequest(method: .head, path: "/"), deadline: nil)
                #expect(answer.status == .ok)
                #expect(answer.headers[.contentLength] == "3")
                #expect(answer.bytes == [])
            }
        }
    }

    @Test func headOfAStreamEndsAtItsHead() async throws {
        try await withExchange(Answering.streaming(Chunks([[1], [2]]))) { transport in
            for _ in 0..<2 {
                let answer = try await transport.send(RawRequest(method: .head, path: "/"), deadline: nil)
                #expect(answer.headers[.contentType] == "application/x-ndjson")
                #expect(answer.bytes == [])
            }
        }
    }

    @Test func followsNoRedirect() async throws {
        let moved = Answering { _ in RawResponse(status: .found, headers: [.location: "http://127.0.0.1:1/"]) }
        let answer = try await withExchange(moved) { try await $0.send(.get("/"), deadline: nil) }
        #expect(answer.status == .found)
    }

    @Test func carriesProblemsAsAnswers() async throws {
        let problem = Problem("out-of-stock", status: 409)("2 left")
        let answer = try await withExchange(Answering { _ in .problem(problem) }) {
            try await $0.send(.post("/"), deadline: nil)
        }
        #expect(answer.status == .conflict)
        #expect(try JSON.decode(Problem.self, from: try #require(answer.bytes)).detail == "2 left")
    }
}

/// Chunks that are there already.
struct Chunks: AsyncSequence, Sendable {
    typealias Failure = any Error
    let chunks: [[UInt8]]

    init(_ chunks: [[UInt8]]) { self.chunks = chunks }

    func makeAsyncIterator() -> Iterator { Iterator(rest: chunks[...]) }

    struct Iterator: AsyncIteratorProtocol {
        var rest: ArraySlice<[UInt8]>
        mutating func next() async throws -> [UInt8]? { rest.popFirst() }
    }
}
