#if DEBUG || FUZZING
    import DovetailCore
    import DovetailModules
    import HTTPTypes
    import NIOCore

    @testable import DovetailGateway
    @testable import DovetailPlatform

    /// What the gateway reads from outside. The first byte that a reader gets says how the rest arrives, or for whom it is.
    enum GatewayFuzz {
        static let readers: [@Sendable ([UInt8]) -> Void] = [
            request, response, router, expression, proxyHeader, configuration, claims, fieldValues,
        ]

        // MARK: Requests

        /// What is taken in means the same however it arrives, and means it again when it is written anew.
        private static func request(_ bytes: [UInt8]) {
            guard let seed = bytes.first else { return }
            let bytes = Array(bytes.dropFirst())
            let whole = ReadMessage(request: bytes, piece: bytes.count)
            precondition(
                whole == ReadMessage(request: bytes, piece: Int(seed) + 1), "a request that depends on its pieces")
            guard let whole else { return }
            precondition(whole.isClean, "a request with a byte that ends a line")
            let again = ReadMessage(request: whole.written, piece: whole.written.count)
            precondition(again?.meaning == whole.meaning, "a request that does not say itself again")
        }

        private static func response(_ bytes: [UInt8]) {
            guard let seed = bytes.first else { return }
            let bytes = Array(bytes.dropFirst())
            let method = Method(rawValue: seed % 7) ?? .get
            let whole = ReadMessage(response: bytes, to: method, piece: bytes.count)
            precondition(
                whole == ReadMessage(response: bytes, to: method, piece: Int(seed) + 1),
                "an answer that depends on its pieces")
            guard let whole else { return }
            precondition(whole.isClean, "an answer with a byte that ends a line")
            let again = ReadMessage(response: whole.written, to: method, piece: whole.written.count)
            precondition(again?.meaning == whole.meaning, "an answer that does not say itself again")
        }

        // MARK: Routing

        private static let paths = [
            "/", "/**", "/a", "/a/", "/a/**", "/a/{x}", "/a/{x}/b", "/a/{x}/{y}", "/a/b/{y}", "/ab/**", "/a%20b",
            "/{x}/c",
            "~ ^/a/(?<id>[0-9]+)$", "~ ^/(?<all>.*)x$", "~ ^/a/(?<left>[^/]+)/(?<right>[^/]*)$", "~ ^/c(d|e)*f{2,3}?$",
        ]

        /// Routes for all hosts and for one, each path for some methods.
        private static let routes: [Route] = paths.enumerated().compactMap { index, path in
            (try? PathPattern(path)).map { pattern in
                Route(
                    id: path, host: index % 3 == 2 ? "one.test" : nil, methods: index % 4 == 3 ? [.post, .put] : [],
                    path: pattern, authentication: .none, destination: .http("u"))
            }
        }
        private static let table = Router(routes)

        /// A method, a host and a line feed, a path.
        private static func router(_ bytes: [UInt8]) {
            guard let seed = bytes.first, let feed = bytes.firstIndex(of: 0x0A), feed > 0 else { return }
            let (method, host) = (Method(rawValue: seed % 7) ?? .get, Array(bytes[1..<feed]))
            guard let path = canonical(Array(bytes[(feed + 1)...])) else { return }
            precondition(canonical(path) == path, "a path with two forms")
            let (match, captured) = find(method, host, [], path)
            precondition(
                (match, captured) == find(method, host, Array("GET ".utf8), path), "a route that depends on the place")
            guard case .route(let index) = match else { return }
            let route = routes[index]
            precondition(MethodSet(route.methods).contains(method), "a route that does not take the method")
            precondition(captured.count == route.path.captures.count, "a route with captures of another")
            guard route.path.expression == nil else { return }
            precondition(rebuilt(route.path, captured, path) == path, "a route of another path")
        }

        private static func canonical(_ path: [UInt8]) -> [UInt8]? {
            var bytes = path
            return bytes.withUnsafeMutableBytes { bytes in
                (try? RequestTarget.canonicalise(bytes, ByteRange(0, bytes.count))).map { range in
                    Array(UnsafeRawBufferPointer(bytes)[range])
                }
            }
        }

        private static func find(
            _ method: Method, _ host: [UInt8], _ before: [UInt8], _ path: [UInt8]
        ) -> (Router.Match, [[UInt8]]) {
            var captures = Router.Captures()
            return (before + path).withUnsafeBytes { bytes in
                let range = ByteRange(before.count, bytes.count)
                let match = host.withUnsafeBytes { host in
                    table.match(method, host: host, bytes: bytes, path: range, captures: &captures)
                }
                return (match, captures.ranges.map { Array(bytes[$0]) })
            }
        }

        /// The path that a pattern with these captures says; of a prefix with what follows it.
        private static func rebuilt(_ pattern: PathPattern, _ captured: [[UInt8]], _ path: [UInt8]) -> [UInt8] {
            var (built, captured) = ([UInt8](), captured[...])
            for segment in pattern.segments {
                built.append(0x2F)
                switch segment {
                case .literal(let text): built += Array(text.utf8)
                case .capture: built += captured.popFirst() ?? []
                }
            }
            guard pattern.kind == .prefix, path.starts(with: built) else { return built }
            let rest = path[built.count...]
            return rest.isEmpty || rest.first == 0x2F ? path : built
        }

        /// An expression, a line feed, a path.
        private static func expression(_ bytes: [UInt8]) {
            let parts = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let expression = try? PathExpression(String(decoding: parts[0], as: UTF8.self))
            else {
                return
            }
            let path = Array(parts[1])
            path.withUnsafeBytes { bytes in
                guard let captured = expression.match(bytes, path: ByteRange(0, bytes.count)) else { return }
                precondition(captured.count == expression.captures.count)
                for range in captured { precondition(range.start <= range.end && Int(range.end) <= bytes.count) }
                precondition(path.starts(with: expression.literal), "an expression that forgets how it begins")
            }
        }

        // MARK: The PROXY protocol

        /// What is read from the beginning of bytes is read from them whole, and nothing is believed too early.
        private static func proxyHeader(_ bytes: [UInt8]) {
            let whole = ProxyHeader.read(bytes)
            switch whole {
            case .header(let header):
                precondition(header.length <= bytes.count)
                precondition(ProxyHeader.read(bytes.prefix(header.length)) == whole)
                if let source = header.source {
                    let text = AddressRange.bytes(of: source).flatMap(AddressRange.text(of:))
                    precondition(text == source, "an address that does not say itself again")
                }
                for count in 0..<min(header.length, 256) {
                    precondition(
                        ProxyHeader.read(bytes.prefix(count)) == .incomplete, "a header that is there too early")
                }
            case .incomplete:
                for count in 0..<min(bytes.count, 256) {
                    precondition(
                        ProxyHeader.read(bytes.prefix(count)) == .incomplete, "a header that was refused before")
                }
            case .malformed:
                precondition(ProxyHeader.read(bytes + [0x0D, 0x0A]) == .malformed, "a header that becomes one")
            }
        }

        // MARK: Configuration

        /// A file is taken, or refused with reasons; if it is taken, its routes can be explained.
        private static func configuration(_ bytes: [UInt8]) {
            do throws(ConfigurationError) {
                let read = try PlatformConfiguration.parse(bytes)
                let plan = try? RoutePlan(read, catalog: ModuleCatalog([]), folder: "/nonexistent")
                _ = plan?.lines
                _ = try? plan?.explain("GET /a/7")
            } catch {
                precondition(!error.issues.isEmpty, "a file that is refused without a reason")
            }
        }

        // MARK: Tokens and field values

        /// The claims of a token whose signature holds. Nothing that is not wanted makes it good.
        private static func claims(_ bytes: [UInt8]) {
            _ = Base64URL.decode(bytes[...])
            guard let claims = try? JSON.decode(TokenClaims.self, from: bytes) else { return }
            let wanted = JWTConfiguration(issuer: "i", audience: "a", algorithms: [.hs256], keys: [])
            let texts = TokenClaims.texts(of: bytes)
            guard let token = try? claims.check(against: wanted, name: "n", now: 1_800_000_000_000, all: texts) else {
                return
            }
            precondition(token.expires > 1_800_000_000_000, "a token that has expired")
            precondition(!token.principal.principal.subject.isEmpty, "a token of nobody")
        }

        /// Values whose grammar the gateway knows: what it makes of them has to be within bounds.
        private static func fieldValues(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { bytes in
                var control = CacheControl()
                control.add(bytes)
                for seconds in [
                    control.maxAge, control.sharedMaxAge, control.staleWhileRevalidate, control.staleIfError,
                ] {
                    precondition((seconds ?? 0) >= 0, "a time below zero")
                }
                _ = HTTPDate.seconds(bytes)
                var random = FastRandom()
                if let trace = TraceContext(bytes, random: &random) {
                    var written = ByteBuffer()
                    written.writeTraceparent(trace)
                    precondition(
                        written.withUnsafeReadableBytes { TraceContext($0, random: &random) } != nil,
                        "a trace that does not say itself again")
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            if let range = AddressRange(text),
                let address = AddressRange.bytes(of: text.prefix { $0 != "/" }.description)
            {
                precondition(range.contains(address), "a range without its own address")
            }
        }
    }

    /// A message as it was understood, with its body.
    struct ReadMessage: Equatable {
        private var start = ""
        private var fields: [[UInt8]] = []
        private var framing = BodyFraming.none
        private var keepsAlive = false
        private var declaredLength: Int?
        private var body: [UInt8] = []
        private var trailers: [UInt8] = []
        /// Where the next message begins.
        private var end = 0

        /// More than a gateway takes by itself: a message in other words may have a `Host` of its own.
        private static let limits = HeadLimits(fields: 256)

        /// Nil for what is refused or not whole. `piece` is how many bytes arrive at a time.
        init?(request bytes: [UInt8], piece: Int) {
            var (reader, head) = (HeadReader(), RequestHead())
            var bytes = bytes
            let read = ReadMessage.head(&bytes, piece) { bytes throws(CodecError) in
                try head.read(bytes, with: &reader, limits: ReadMessage.limits)
            }
            guard let read else { return nil }
            (framing, keepsAlive) = (head.framing, head.keepAlive)
            bytes.withUnsafeBytes { bytes in
                let target = bytes[head.path].text + (head.query.map { "?" + bytes[$0].text } ?? "")
                start = "\(head.method.name) \(target) HTTP/1.\(head.minorVersion)\r\n"
                if !head.host.isEmpty { start += "Host: \(bytes[head.host].text)\r\n" }
                takeFields(reader, bytes)
            }
            guard takeBody(bytes, from: read, piece) else { return nil }
        }

        init?(response bytes: [UInt8], to method: Method, piece: Int) {
            var (reader, head) = (HeadReader(), ResponseHead())
            var bytes = bytes
            let read = ReadMessage.head(&bytes, piece) { bytes throws(CodecError) in
                try head.read(UnsafeRawBufferPointer(bytes), with: &reader, limits: ReadMessage.limits, method: method)
            }
            guard let read else { return nil }
            (framing, keepsAlive, declaredLength) = (head.framing, head.keepAlive, head.declaredLength)
            bytes.withUnsafeBytes { bytes in
                start = "HTTP/1.\(head.minorVersion) \(head.status) \r\n"
                takeFields(reader, bytes)
            }
            guard takeBody(bytes, from: read, piece) else { return nil }
        }

        private static func head(
            _ bytes: inout [UInt8], _ piece: Int, _ read: (UnsafeMutableRawBufferPointer) throws(CodecError) -> Int?
        ) -> Int? {
            var size = min(piece, bytes.count)
            while true {
                let count = size
                do {
                    let length = try bytes.withUnsafeMutableBytes { bytes in
                        try read(UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
                    }
                    if let length { return length }
                } catch { return nil }
                guard size < bytes.count else { return nil }
                size = min(size + piece, bytes.count)
            }
        }

        /// All but those that are written anew.
        private mutating func takeFields(_ reader: HeadReader, _ bytes: UnsafeRawBufferPointer) {
            for field in reader.fields {
                switch field.known {
                case .host, .contentLength, .transferEncoding: continue
                default: fields.append(Array(bytes[field.name]) + [0x3A, 0x20] + Array(bytes[field.value]))
                }
            }
        }

        private mutating func takeBody(_ bytes: [UInt8], from start: Int, _ piece: Int) -> Bool {
            var (decoder, inbound, at) = (BodyDecoder(framing), ByteBuffer(), start)
            while true {
                do throws(CodecError) {
                    while let slice = try decoder.next(&inbound) { body += slice.readableBytesView }
                } catch { return false }
                if decoder.isDone || (decoder.endsWithConnection && at == bytes.count) { break }
                guard at < bytes.count else { return false }
                let next = min(at + piece, bytes.count)
                inbound.writeBytes(bytes[at..<next])
                at = next
            }
            precondition(decoder.count == body.count, "a body that is counted wrongly")
            trailers = decoder.trailers
            end = at - inbound.readableBytes
            return true
        }

        /// Whether no part holds what ends a line.
        var isClean: Bool { fields.allSatisfy { field in !field.contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D } } }

        /// Without where it ended.
        var meaning: ReadMessage {
            var copy = self
            copy.end = 0
            return copy
        }

        /// The message in the gateway's own words.
        var written: [UInt8] {
            var bytes = Array(start.utf8)
            for field in fields { bytes += field + [0x0D, 0x0A] }
            switch framing {
            case .none, .untilClose:
                if let declaredLength { bytes += Array("content-length: \(declaredLength)\r\n".utf8) }
            case .length(let length): bytes += Array("content-length: \(length)\r\n".utf8)
            case .chunked: bytes += Array("transfer-encoding: chunked\r\n".utf8)
            }
            bytes += [0x0D, 0x0A]
            guard framing == .chunked else { return bytes + body }
            if !body.isEmpty { bytes += Array("\(String(body.count, radix: 16))\r\n".utf8) + body + [0x0D, 0x0A] }
            return bytes + Array("0\r\n".utf8) + trailers + [0x0D, 0x0A]
        }
    }
#endif
