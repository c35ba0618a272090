import Testing

@testable import DovetailGateway

struct ResponseHeadTests {
    private func read(_ text: String, method: Method = .get) throws(CodecError) -> ResponseHead? {
        var reader = HeadReader()
        var head = ResponseHead()
        let result: Result<Int?, CodecError> = Array(text.utf8).withUnsafeBytes { bytes in
            do throws(CodecError) {
                return .success(try head.read(bytes, with: &reader, limits: HeadLimits(), method: method))
            } catch {
                return .failure(error)
            }
        }
        return try result.get() == nil ? nil : head
    }

    @Test(arguments: [
        "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 200 O\u{0}K\r\n\r\n", "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n", "\u{16}\u{3}\u{1}\r\n\r\n",
    ])
    func refusesMalformedAnswers(text: String) {
        #expect(throws: CodecError.self) { _ = try read(text) }
    }

    @Test func knowsWhereABodyEnds() throws {
        #expect(try read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")?.framing == .length(5))
        #expect(try read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?.framing == .chunked)
        #expect(try read("HTTP/1.1 200 OK\r\n\r\n")?.framing == .untilClose)
        #expect(try read("HTTP/1.1 200\r\n\r\n")?.status == 200)
        #expect(try read("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")?.framing == BodyFraming.none)
        #expect(try read("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")?.framing == BodyFraming.none)
        #expect(try read("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")?.framing == BodyFraming.none)
        let toHead = try read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method: .head)
        #expect(toHead?.framing == BodyFraming.none)
        #expect(toHead?.declaredLength == 5)
    }

    @Test func knowsWhetherTheConnectionGoesOn() throws {
        #expect(try read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?.keepAlive == true)
        #expect(try read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n")?.keepAlive == false)
        #expect(try read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")?.keepAlive == false)
        #expect(try read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")?.keepAlive == true)
        #expect(try read("HTTP/1.1 200 OK\r\n\r\n")?.keepAlive == false)
    }
}
