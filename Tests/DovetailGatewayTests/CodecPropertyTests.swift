import DovetailCore
import Foundation
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import DovetailGateway

/// Requests drawn and mutated at random, held against SwiftNIO's own codec and against themselves.
///
/// What is let in must be let in by the other too, and mean the same: a request that two readers understand differently is how one is smuggled past the other.
@Suite struct CodecPropertyTests {
    private static let seeds = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a%20b?x=%2F&y HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        "GET http://b.example/p HTTP/1.1\r\nHost: b.example\r\nConnection: close, x-own\r\nX-Own: 1\r\n\r\n",
        "DELETE /a/./b//c HTTP/1.0\r\nConnection: keep-alive\r\nAccept:  text/plain \r\n\r\n",
        "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://x\r\nAccess-Control-Request-Method: PUT\r\nExpect: 100-continue\r\n\r\n",
    ]

    private static let fragments: [String] = [
        "\r", "\n", "\r\n", "\r\n\r\n", " ", "\t", ":", ";", ",", "\0", "\u{7F}", "é", "%", "%00", "%2e%2e/", "%2F",
        "..", "//",
        "Content-Length: 5\r\n", "Content-Length: +5\r\n", "Content-Length: 5, 5\r\n", "content-length:6\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\u{0B}chunked\r\n", "Host: b\r\n",
        " folded\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "ffffffffffffffff\r\n", "0x5\r\n", "-1\r\n", "GET / HTTP/1.1\r\n",
        "HTTP/1.1", "\u{FEFF}",
    ]

    private struct Random {
        var state: UInt64
        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(max(1, bound)))
        }
    }

    private func mutated(_ random: inout Random) -> [UInt8] {
        var bytes = Array(Self.seeds[random.next(Self.seeds.count)].utf8)
        for _ in 0..<(1 + random.next(4)) {
            let at = random.next(bytes.count + 1)
            switch random.next(5) {
            case 0 where at < bytes.count: bytes[at] = UInt8(random.next(256))
            case 1 where at < bytes.count: bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.next(8)))
            case 2:
                let other = Array(Self.seeds[random.next(Self.seeds.count)].utf8)
                bytes.replaceSubrange(at..., with: other[random.next(other.count)...])
            default: bytes.insert(contentsOf: Array(Self.fragments[random.next(Self.fragments.count)].utf8), at: at)
            }
        }
        return bytes
    }

    /// A request as it was understood: nil if it is refused or not whole.
    private struct Understood: Equatable {
        var method: String
        var fields: [String]
        var body: [UInt8]
        /// Where the next request begins.
        var end: Int
    }

    private func ours(_ bytes: [UInt8], pieces: Int) -> Understood? {
        var (reader, head) = (HeadReader(), RequestHead())
        var whole = bytes
        var length: Int?
        var size = min(pieces, whole.count)
        while true {
            let count = size
            do {
                length = try whole.withUnsafeMutableBytes { bytes throws(CodecError) in
                    try head.read(
                        UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), with: &reader, limits: HeadLimits())
                }
            } catch { return nil }
            if length != nil || size == whole.count { break }
            size = min(size + pieces, whole.count)
        }
        guard let length else { return nil }
        let (method, fields) = whole.withUnsafeBytes { bytes in
            (
                bytes[head.methodName].text,
                reader.fields.map { "\(bytes[$0.name].text.lowercased()): \(bytes[$0.value].text)" }
            )
        }
        var decoder = BodyDecoder(head.framing)
        var (inbound, body) = (ByteBuffer(), [UInt8]())
        var at = length
        while true {
            do {
                while let slice = try decoder.next(&inbound) { body += slice.readableBytesView }
            } catch { return nil }
            if decoder.isDone { break }
            guard at < whole.count else { return nil }
            let next = min(at + pieces, whole.count)
            inbound.writeBytes(whole[at..<next])
            at = next
        }
        return Understood(method: method, fields: fields, body: body, end: at - inbound.readableBytes)
    }

    /// What SwiftNIO's decoder (llhttp) makes of it.
    private func theirs(_ bytes: [UInt8]) -> Understood? {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        do {
            try channel.pipeline.syncOperations.addHandler(
                ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            guard case .head(let head)? = try channel.readInbound(as: HTTPServerRequestPart.self) else { return nil }
            var body: [UInt8] = []
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .body(let buffer): body += buffer.readableBytesView
                case .end:
                    return Understood(
                        method: head.method.rawValue,
                        // White space behind a value is none of it (RFC 9110 5.5); this reader leaves it there.
                        fields: head.headers.map { field in
                            let end = field.value.lastIndex { $0 != " " && $0 != "\t" }
                            return "\(field.name.lowercased()): \(end.map { field.value[...$0] } ?? "")"
                        }, body: body, end: 0)
                case .head: return nil
                }
            }
            return nil
        } catch { return nil }
    }

    /// Where the other refuses what the grammar has: a tab behind a length, and framing in trailers, which are dropped here.
    private func isStricter(_ bytes: ArraySlice<UInt8>) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self).lowercased().unicodeScalars.map(String.init).joined()
        guard !text.contains("\t\r\n") else { return true }
        let trailers = text.components(separatedBy: "\r\n0\r\n").dropFirst().joined()
        return trailers.contains("content-length:") || trailers.contains("transfer-encoding:")
    }

    /// The other knows the methods of a list, and no others.
    private func isKnown(_ method: String) -> Bool {
        Array(method.utf8).withUnsafeBytes { DovetailGateway.Method($0) } != nil
    }

    @Test(.timeLimit(.minutes(2)), arguments: [1, 2, 3]) func readsNothingInAWayOfItsOwn(seed: Int) throws {
        var random = Random(state: UInt64(seed))
        var accepted = 0
        for number in 0..<4000 {
            let bytes = mutated(&random)
            let whole = ours(bytes, pieces: max(1, bytes.count))
            // However the bytes arrive.
            #expect(
                whole == ours(bytes, pieces: 1),
                "seed \(seed), \(number): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
            guard let whole else { continue }
            accepted += 1
            // NIO reads a request's first bytes only: what follows is cut off, for it to see the same.
            let other = theirs(Array(bytes[..<whole.end]))
            var mine = whole
            mine.end = 0
            if other == nil, isStricter(bytes[..<whole.end]) || !isKnown(whole.method) { continue }
            #expect(
                other == mine, "seed \(seed), \(number): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
            for field in whole.fields { #expect(!field.utf8.contains { $0 == 0 || $0 == 10 || $0 == 13 }) }
        }
        #expect(accepted > 200, "\(accepted) were let in")
    }

    /// The path that is routed is in one form: brought into it again it is the same, and nothing in it leads up.
    @Test func pathsHaveOneForm() throws {
        var random = Random(state: 9)
        let pieces = [
            "/", "a", "%61", "%2e", ".", "..", "%2F", "%5c", "%C3%A9", "~", "%7e", "//", ";", "%", "%4", "%zz", "*",
            "@", ":",
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            let text = "/" + (0..<random.next(6)).map { _ in pieces[random.next(pieces.count)] }.joined()
            var bytes = Array(text.utf8)
            let once = bytes.withUnsafeMutableBytes { bytes in
                (try? RequestTarget.canonicalise(bytes, ByteRange(0, bytes.count))).map {
                    bytes[Int($0.start)..<Int($0.end)].map { $0 }
                }
            }
            guard let once else { continue }
            accepted += 1
            var again = once
            let twice = again.withUnsafeMutableBytes { bytes in
                (try? RequestTarget.canonicalise(bytes, ByteRange(0, bytes.count))).map {
                    bytes[Int($0.start)..<Int($0.end)].map { $0 }
                }
            }
            #expect(twice == once, "\(text)")
            let path = String(decoding: once, as: UTF8.self)
            #expect(!path.split(separator: "/").contains { $0 == ".." || $0 == "." }, "\(text) → \(path)")
        }
        #expect(accepted > 2000)
    }
}
