import Foundation
import Testing

@testable import DovetailGateway

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

@Suite struct ProxyHeaderTests {
    private func header(_ text: String) -> ProxyHeader.Outcome { ProxyHeader.read(Array(text.utf8)) }

    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    @Test func readsTheTextForm() {
        let known = "PROXY TCP4 192.0.2.1 198.51.100.7 5000 443\r\n"
        #expect(header(known + "GET /") == .header(.init(source: "192.0.2.1", length: known.utf8.count)))
        let six = "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"
        #expect(header(six) == .header(.init(source: "2001:db8::1", length: six.utf8.count)))
        #expect(header("PROXY UNKNOWN\r\n") == .header(.init(source: nil, length: 15)))
        #expect(header("PROXY UNKNOWN ::1 ::1 1 2\r\n") == .header(.init(source: nil, length: 27)))
        for wrong in [
            "GET / HTTP/1.1\r\n", "PROXY TCP4 192.0.2.1 198.51.100.7 5000\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4\u{0}x 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "proxy UNKNOWN\r\n",
            "PROXY \r\n", "\r\n\r\nGET",
            "PROXY UNKNOWN " + String(repeating: "x", count: 200) + "\r\n",
        ] {
            #expect(header(wrong) == .malformed, "\(wrong)")
        }
    }

    @Test func readsTheBinaryForm() {
        func block(_ command: UInt8, _ family: UInt8, _ body: [UInt8], size: Int? = nil) -> ProxyHeader.Outcome {
            let size = size ?? body.count
            return ProxyHeader.read(
                ProxyHeaderTests.signature + [command, family, UInt8(size >> 8), UInt8(size & 0xFF)] + body)
        }
        let four: [UInt8] = [192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 1, 187]
        let six: [UInt8] = [0x20, 0x01, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [1]
        #expect(block(0x21, 0x11, four) == .header(.init(source: "192.0.2.1", length: 28)))
        // Extensions are passed over.
        #expect(block(0x21, 0x11, four + [4, 0, 1, 9]) == .header(.init(source: "192.0.2.1", length: 32)))
        #expect(block(0x21, 0x21, six + six + [0, 1, 0, 2]) == .header(.init(source: "2001:db8::1", length: 52)))
        let mapped: [UInt8] = Array(repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 9]
        #expect(block(0x21, 0x21, mapped + six + [0, 1, 0, 2]) == .header(.init(source: "192.0.2.9", length: 52)))
        #expect(block(0x20, 0x00, []) == .header(.init(source: nil, length: 16)))
        #expect(block(0x20, 0x11, four) == .header(.init(source: nil, length: 28)), "the balancer's own")
        #expect(block(0x21, 0x00, [1, 2]) == .header(.init(source: nil, length: 18)))
        #expect(block(0x11, 0x11, four) == .malformed)
        #expect(block(0x22, 0x11, four) == .malformed)
        #expect(block(0x21, 0x12, four) == .malformed, "no datagrams")
        #expect(block(0x21, 0x11, Array(four.dropLast())) == .malformed)
        #expect(block(0x21, 0x11, [], size: 5000) == .malformed)
        #expect(block(0x21, 0x11, Array(four.dropLast()), size: 12) == .incomplete)
    }

    /// However it is cut, a header is read the same; and whatever comes, nothing crashes, nothing is read beyond what is there, and it is decided in the end.
    @Test func readsPiecesAndAnythingElse() {
        var random = SystemRandomNumberGenerator()
        let valid: [[UInt8]] = [
            Array("PROXY TCP4 192.0.2.1 198.51.100.7 5000 443\r\n".utf8), Array("PROXY UNKNOWN\r\n".utf8),
            ProxyHeaderTests.signature + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 1, 187],
        ]
        for bytes in valid {
            for count in bytes.indices { #expect(ProxyHeader.read(bytes[..<count]) == .incomplete) }
        }
        for _ in 0..<20_000 {
            var bytes = valid.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let index = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                default: if bytes.count > 1 { bytes.remove(at: index) }
                }
            }
            switch ProxyHeader.read(bytes) {
            case .header(let header):
                #expect(header.length <= bytes.count)
                if let source = header.source { #expect(AddressRange.bytes(of: source) != nil) }
            case .incomplete:
                let more = ProxyHeader.read(bytes + Array(repeating: 0, count: 8192))
                #expect(more != .incomplete, "\(bytes)")
            case .malformed: break
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ClientAddressTests {
    private func configuration(
        _ backend: Backend, _ change: (inout GatewayConfiguration) -> Void
    ) throws -> GatewayConfiguration {
        var route = Route(id: "all", path: try PathPattern("/**"), authentication: .none, destination: .http("u"))
        route.addresses = AddressFilter(deny: [AddressRange("203.0.113.0/24")].compactMap { $0 })
        var configuration = DovetailGatewayTests.configuration(backend, routes: [route])
        change(&configuration)
        return configuration
    }

    private var local: [AddressRange] { [AddressRange("127.0.0.0/8")].compactMap { $0 } }

    @Test func theAddressThatABalancerTellsIsTheClientsEverywhere() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let configuration = try configuration(backend) { $0.proxyProtocol = local }
        try await withGateway(configuration) { gateway in
            let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            let client = try await gateway.client()
            // In pieces, and with the request behind it.
            try await client.send("PROXY TCP4 192.0.2.1 ")
            try await Task.sleep(for: .milliseconds(20))
            try await client.send("198.51.100.7 5000 443\r\n" + request)
            #expect(await client.response()?.status == 200)
            try await client.send(request)
            #expect(await client.response()?.status == 200)
            #expect(backend.requests.all.map { $0.value("x-forwarded-for") } == ["192.0.2.1", "192.0.2.1"])
            await gateway.finished.wait(for: 2)
            #expect(gateway.finished.all.map(\.clientAddress) == ["192.0.2.1", "192.0.2.1"])
            let denied = try await gateway.send("PROXY TCP4 203.0.113.9 198.51.100.7 5000 443\r\n" + request)
            #expect(denied?.status == 403)
            let unknown = try await gateway.send("PROXY UNKNOWN\r\n" + request)
            #expect(unknown?.status == 200)
            #expect(backend.requests.all.last?.value("x-forwarded-for") == "127.0.0.1")
            for wrong in [request, "PROXY TCP4 nonsense\r\n" + request] {
                let client = try await gateway.client()
                try? await client.send(wrong)
                #expect(await client.readToEnd().isEmpty, "closed without a word")
            }
            await client.close()
        }
        await backend.stop()
    }

    @Test func connectionsOfOthersAreTheirOwn() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let configuration = try configuration(backend) {
            $0.proxyProtocol = [AddressRange("10.0.0.0/8")].compactMap { $0 }
        }
        try await withGateway(configuration) { gateway in
            let own = try await gateway.get("/")
            #expect(own?.status == 200)
            let lying = try await gateway.send(
                "PROXY TCP4 192.0.2.1 198.51.100.7 5000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(lying?.status == 400)
            #expect(backend.requests.all.count == 1)
        }
        await backend.stop()
    }

    @Test func aBalancersHeaderComesBeforeTLS() async throws {
        let certificates = try TestCertificates()
        let (chain, key) = try certificates.issue("edge", for: ["localhost"])
        let backend = try await Backend { _ in [.send(ok)] }
        let configuration = try configuration(backend) {
            $0.proxyProtocol = local
            $0.tls = ListenerTLS(certificates: [.init(chain: chain, key: key)])
        }
        try await withGateway(configuration) { gateway in
            for version in ["--http1.1", "--http2"] {
                let (output, status) = try await curl([
                    version, "--haproxy-protocol", "--haproxy-clientip", "192.0.2.77", "--cacert",
                    certificates.authority, "https://localhost:\(gateway.port)/",
                ])
                // Older versions of curl can only tell their own address.
                if output.contains("haproxy-clientip") {
                    let (output, status) = try await curl([
                        version, "--haproxy-protocol", "--cacert", certificates.authority,
                        "https://localhost:\(gateway.port)/",
                    ])
                    #expect(status == 0 && output == "ok", "\(output)")
                } else {
                    #expect(status == 0 && output == "ok", "\(output)")
                    #expect(backend.requests.all.last?.value("x-forwarded-for") == "192.0.2.77")
                }
                #expect(backend.requests.all.last?.value("x-forwarded-proto") == "https")
            }
        }
        await backend.stop()
    }

    @Test func whatTrustedProxiesSayIsBelievedUpToTheFirstThatIsNone() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        let configuration = try configuration(backend) {
            $0.trustedProxies = local + [AddressRange("10.0.0.0/8")].compactMap { $0 }
            $0.sendsForwarded = true
        }
        try await withGateway(configuration) { gateway in
            let client = try await gateway.client()
            func send(_ fields: [String]) async throws -> (Int?, String?, String?, String?) {
                let count = backend.requests.all.count
                let lines = fields.map { $0 + "\r\n" }.joined()
                try await client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\(lines)\r\n")
                let status = await client.response()?.status
                let request = backend.requests.all.count > count ? backend.requests.all.last : nil
                return (
                    status, request?.value("x-forwarded-for"), request?.value("x-forwarded-proto"),
                    request?.value("forwarded")
                )
            }
            var told = try await send([
                "X-Forwarded-For: 1.1.1.1, 192.0.2.5", "x-forwarded-for: 10.0.0.3", "X-Forwarded-Proto: https",
            ])
            #expect(told.1 == "192.0.2.5, 10.0.0.3, 127.0.0.1", "who stands left of the client may be invented")
            #expect(told.2 == "https")
            #expect(told.3 == "host=\"shop.test\";for=192.0.2.5;proto=https, for=10.0.0.3, for=127.0.0.1")
            // The next request of the connection is somebody else's.
            told = try await send(["X-Forwarded-For: 2001:db8::7"])
            #expect(told.1 == "2001:db8::7, 127.0.0.1" && told.2 == "http")
            #expect(told.3 == "host=\"shop.test\";for=\"[2001:db8::7]\";proto=http, for=127.0.0.1")
            told = try await send(["X-Forwarded-For: [2001:db8::8]:99, 192.0.2.6:80"])
            #expect(told.1 == "192.0.2.6, 127.0.0.1")
            told = try await send(["X-Forwarded-For: 192.0.2.5, unknown"])
            #expect(told.1 == "127.0.0.1", "what is no address ends the chain")
            told = try await send([])
            #expect(told.1 == "127.0.0.1")
            #expect(try await send(["X-Forwarded-For: 203.0.113.4"]).0 == 403)
            await gateway.finished.wait(for: 6)
            #expect(gateway.finished.all.map(\.clientAddress)[0...1] == ["192.0.2.5", "2001:db8::7"])
            await client.close()
        }
        await backend.stop()
    }

    @Test func nobodyIsBelievedUnlessToldSo() async throws {
        let backend = try await Backend { _ in [.send(ok)] }
        try await withGateway(try configuration(backend) { _ in }) { gateway in
            _ = try await gateway.get(
                "/", fields: ["X-Forwarded-For: 203.0.113.4", "X-Forwarded-Proto: https", "Forwarded: for=1.1.1.1"])
            let request = backend.requests.all.last
            #expect(request?.values("x-forwarded-for") == ["127.0.0.1"])
            #expect(request?.value("x-forwarded-proto") == "http")
            #expect(request?.value("forwarded") == nil)
        }
        await backend.stop()
    }
}
