import DovetailCore
import NIOCore
import Testing

@testable import DovetailGateway

struct BodyTests {
    /// Decodes `text` given in pieces; nil while it is not whole.
    private func decode(
        _ text: [UInt8], framing: BodyFraming = .chunked, cuts: [Int] = []
    ) throws(CodecError) -> (body: [UInt8], rest: Int)? {
        var decoder = BodyDecoder(framing)
        var buffer = ByteBuffer()
        var body: [UInt8] = []
        var start = 0
        for cut in cuts + [text.count] {
            buffer.writeBytes(text[start..<cut])
            start = cut
            while let slice = try decoder.next(&buffer) { body += Array(slice.readableBytesView) }
            if decoder.isDone { return (body, buffer.readableBytes + text.count - cut) }
        }
        return nil
    }

    @Test(arguments: [
        "3\nabc\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nab\r\n0\r\n\r\n",
        "x\r\n", "\r\n", "-1\r\n", "+3\r\nabc\r\n", "0x3\r\nabc\r\n", " 3\r\nabc\r\n", "3 \r\nabc\r\n",
        "3 ;a\r\nabc\r\n", "3;a\nabc\r\n", "3;a\u{0}\r\nabc\r\n", "3;a\rb\r\nabc\r\n", "1000000000000000\r\n",
        "FFFFFFFFFFFFFFFF\r\n", "10000000000000003\r\nabc\r\n", "0\n\n", "0\r\n\n", "0\r\na\n\r\n", "0\r\n: b\r\n\r\n",
        "0\r\nNo Colon\r\n\r\n", "0\r\nA: b\r\n folded\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\nA: \u{1}\r\n\r\n",
        "0\r\rX",
        "3;" + String(repeating: "e", count: 2000) + "\r\n",
        "0\r\nA: " + String(repeating: "t", count: 9000) + "\r\n\r\n",
    ])
    func refusesMalformedChunks(text: String) {
        let bytes = Array(text.utf8)
        #expect(throws: CodecError.self) { _ = try decode(bytes) }
        #expect(throws: CodecError.self) { _ = try decode(bytes, cuts: Array(1..<bytes.count)) }
    }

    @Test(arguments: [
        ("0\r\n\r\n", ""), ("3\r\nabc\r\n0\r\n\r\n", "abc"), ("3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\n\r\n", "abcde"),
        ("0003\r\nabc\r\n000\r\n\r\n", "abc"),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
        ("1\r\na\r\n0\r\nTrailer: yes\r\nOther:\r\n\r\n", "a"),
    ])
    func decodesChunks(text: String, body: String) throws {
        let bytes = Array(text.utf8)
        let whole = try #require(try decode(bytes + Array("NEXT".utf8)))
        #expect(whole.body == Array(body.utf8))
        #expect(whole.rest == 4, "what follows the body is left alone")
        let cut = try #require(try decode(bytes, cuts: Array(1..<bytes.count)))
        #expect(cut.body == Array(body.utf8))
    }

    @Test func decodesWhatRandomChunksSayHoweverTheyAreCut() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<500 {
            var body: [UInt8] = []
            var wire: [UInt8] = []
            for _ in 0..<(random.next() % 6) {
                let chunk = (0..<(1 + random.next() % 300)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                body += chunk
                wire += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + Array("\r\n".utf8)
            }
            wire += Array("0\r\n\r\n".utf8)
            let cuts = (1..<wire.count).filter { _ in random.next() % 7 == 0 }
            let result = try #require(try decode(wire, cuts: cuts))
            #expect(result.body == body)
        }
    }

    @Test func takesNoMoreThanTheDeclaredLength() throws {
        let result = try #require(try decode(Array("abcdef".utf8), framing: .length(4), cuts: [1, 2]))
        #expect(result.body == Array("abcd".utf8))
        #expect(result.rest == 2)
        #expect(try decode(Array("abc".utf8), framing: .length(4)) == nil)
    }
}
