import DovetailCore
import Testing

@testable import DovetailGateway

/// Reads a head from `text`, given in pieces that end at `cuts`.
func readHead(
    _ text: String, cuts: [Int] = [], limits: HeadLimits = HeadLimits()
) -> Result<(head: RequestHead, length: Int, bytes: [UInt8])?, CodecError> {
    let input = Array(text.utf8)
    var reader = HeadReader()
    var head = RequestHead()
    // One buffer as a connection has it: what was changed in place stays changed.
    var bytes: [UInt8] = []
    for cut in cuts + [input.count] {
        bytes += input[bytes.count..<cut]
        let result: Result<Int?, CodecError> = bytes.withUnsafeMutableBytes { bytes in
            do throws(CodecError) {
                return .success(try head.read(bytes, with: &reader, limits: limits))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .failure(let error): return .failure(error)
        case .success(.some(let length)): return .success((head, length, bytes))
        case .success(.none): continue
        }
    }
    return .success(nil)
}

/// The status that refuses `text`; nil if it is a valid head or needs more.
func refusal(_ text: String, cuts: [Int] = [], limits: HeadLimits = HeadLimits()) -> Int? {
    if case .failure(let error) = readHead(text, cuts: cuts, limits: limits) { return error.status }
    return nil
}

extension RequestHead {
    func text(_ range: ByteRange, _ bytes: [UInt8]) -> String {
        String(decoding: bytes[Int(range.start)..<Int(range.end)], as: UTF8.self)
    }
}

struct RequestHeadTests {
    /// What RFC 9112 2 to 7 and RFC 9110 5 to 7 forbid, with the status that answers it.
    static let malformed: [(String, Int)] = [
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tfolded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nNoColon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{0}Y: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(Y): 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{E9}: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7F}b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [::1]:x\r\n\r\n", 400),
        ("GET http://oth:er/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a[1]\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 \t4\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked ,\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
        ("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("\(String(repeating: "M", count: 33)) / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\n", 505),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\nHost: a\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://?x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://a?x#y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a\u{0}b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\u{E9} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET //a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a//b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a/./b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /.%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%5Cb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%0Ab HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%7Fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%zzb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a% HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%%41 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ]

    @Test(arguments: malformed)
    func refusesWhatTheStandardForbids(text: String, status: Int) {
        let count = text.utf8.count
        #expect(refusal(text) == status)
        #expect(refusal(text, cuts: Array(1..<count)) == status, "byte by byte")
        var random = SeededGenerator(seed: UInt64(count))
        for _ in 0..<20 {
            let cuts = (1..<count).filter { _ in random.next() % 4 == 0 }
            #expect(refusal(text, cuts: cuts) == status, "cut at \(cuts)")
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a?b=c/../d%2F HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 3\r\n\r\n",
        "OPTIONS /a;b=c,d HTTP/1.1\r\nhost:a\r\nX: \u{E9}\t y \r\nEmpty:\r\n\r\n",
        "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "DELETE /a/ HTTP/1.1\r\nHost: a_b.c:\r\nTransfer-Encoding: \tChunked \r\n\r\n",
        "GET http://[2001:db8::7f]:65535?a HTTP/1.1\r\nHost: a:8080\r\n\r\n",
    ])
    func acceptsWhatTheStandardAllows(text: String) throws {
        let count = text.utf8.count
        let whole = try #require(try readHead(text).get())
        #expect(whole.length == count)
        let cut = try #require(try readHead(text, cuts: Array(1..<count)).get())
        #expect(cut.length == count)
        #expect(cut.head.framing == whole.head.framing)
        #expect(cut.head.path == whole.head.path)
        #expect(cut.head.host == whole.head.host)
    }

    @Test func readsTheParts() throws {
        let text = "POST /a/b?c=d HTTP/1.1\r\nHost: h:1\r\nContent-Length: 12\r\nConnection: close, X-Own\r\n\r\nbody"
        let (head, length, bytes) = try #require(try readHead(text).get())
        #expect(length == text.utf8.count - 4)
        #expect(head.method == .post)
        #expect(head.text(head.path, bytes) == "/a/b")
        #expect(head.query.map { head.text($0, bytes) } == "c=d")
        #expect(head.text(head.host, bytes) == "h:1")
        #expect(head.framing == .length(12))
        #expect(!head.keepAlive)
        #expect(head.nominatesFields)
    }

    @Test func takesTheHostFromAnAbsoluteTarget() throws {
        let (head, _, bytes) = try #require(
            try readHead("GET http://real:8080/x HTTP/1.1\r\nHost: other\r\n\r\n").get())
        #expect(head.text(head.host, bytes) == "real:8080")
        #expect(head.text(head.path, bytes) == "/x")
    }

    @Test(arguments: [("http://a", nil), ("https://a:1", nil), ("http://a?b=/c", "b=/c")] as [(String, String?)])
    func aTargetWithoutAPathIsForTheRoot(target: String, query: String?) throws {
        let (head, _, bytes) = try #require(try readHead("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n").get())
        #expect(head.text(head.path, bytes) == "/")
        #expect(head.query.map { head.text($0, bytes) } == query)
    }

    @Test(arguments: [
        ("/plain", "/plain"), ("/%41dmin", "/Admin"), ("/%7euser", "/~user"), ("/a%20b", "/a%20b"),
        ("/a%c3%a9", "/a%C3%A9"), ("/%2541", "/%2541"), ("/%61%2e%62", "/a.b"), ("/a%3fb", "/a%3Fb"), ("/...", "/..."),
        ("/a/", "/a/"),
    ])
    func bringsPathsIntoOneForm(sent: String, canonical: String) throws {
        let (head, _, bytes) = try #require(
            try readHead("GET \(sent)?q=%2e HTTP/1.1\r\nHost: a\r\n\r\n").get())
        #expect(head.text(head.path, bytes) == canonical)
        #expect(head.query.map { head.text($0, bytes) } == "q=%2e")
    }

    @Test func canonicalPathsAreAFixedPoint() {
        var random = SeededGenerator(seed: 7)
        let alphabet = Array("/a.%2eF5Cb0-~+".utf8)
        for _ in 0..<20_000 {
            var path = [UInt8(ascii: "/")]
            for _ in 0..<(random.next() % 12) { path.append(alphabet[Int(random.next() % UInt64(alphabet.count))]) }
            guard let once = canonical(path) else { continue }
            #expect(canonical(once) == once)
            #expect(!String(decoding: once, as: UTF8.self).contains("//"))
        }
    }

    private func canonical(_ path: [UInt8]) -> [UInt8]? {
        var bytes = path
        let range = bytes.withUnsafeMutableBytes { bytes in
            try? RequestTarget.canonicalise(bytes, ByteRange(0, bytes.count))
        }
        return range.map { Array(bytes[Int($0.start)..<Int($0.end)]) }
    }

    @Test func boundsTheHead() {
        let limits = HeadLimits(bytes: 1000, fields: 3, target: 100)
        let long = String(repeating: "a", count: 2000)
        #expect(refusal("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits) == 414)
        #expect(refusal("GET /\(String(long.prefix(110))) HTTP/1.1\r\nHost: a\r\n\r\n", limits: limits) == 414)
        #expect(refusal("GET /\(long)", limits: limits) == 414)
        #expect(refusal("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n", limits: limits) == 431)
        #expect(refusal("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)", limits: limits) == 431)
        let fields = String(repeating: "X: 1\r\n", count: 3)
        #expect(refusal("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n", limits: limits) == 431)
    }

    @Test func survivesRandomBytes() {
        var random = SeededGenerator(seed: 3)
        let seeds = RequestHeadTests.malformed.map { Array($0.0.utf8) }
        for round in 0..<20_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<(1 + random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            _ = refusal(String(decoding: bytes, as: UTF8.self))
        }
    }
}
