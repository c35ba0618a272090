/// What the router does with a request, step by step, for a person to read.
public struct RouteExplanation: Sendable, Hashable, CustomStringConvertible {
    /// The path in the form that is routed and forwarded; nil if it is refused.
    public var canonicalPath: String?
    /// The route that takes the request; nil if none does.
    public var route: String?
    /// What the route's template captures.
    public var captures: [String: String] = [:]
    /// The path that the upstream sees.
    public var upstreamPath: String?
    /// The status of the gateway's own answer where no route takes the request: 400, 404, 405 or 501.
    public var status: Int?
    /// A sentence for each route: that it takes the request, or why it does not.
    public var steps: [String] = []

    init(method: String, path: String, host: String?, in configuration: GatewayConfiguration) {
        guard let method = Array(method.utf8).withUnsafeBytes({ Method($0) }) else {
            status = 501
            steps = ["the method is not supported"]
            return
        }
        var bytes = Array(path.utf8.prefix { $0 != UInt8(ascii: "?") })
        let canonical: Result<ByteRange, CodecError> = bytes.withUnsafeMutableBytes { bytes in
            do throws(CodecError) {
                return .success(try RequestTarget.canonicalise(bytes, ByteRange(0, bytes.count)))
            } catch {
                return .failure(error)
            }
        }
        switch canonical {
        case .failure(let error):
            status = error.status
            steps = ["refused: \(error.reason)"]
        case .success(let range): find(method, range, bytes, host ?? "", configuration)
        }
    }

    private mutating func find(
        _ method: Method, _ path: ByteRange, _ bytes: [UInt8], _ host: String, _ configuration: GatewayConfiguration
    ) {
        let text = String(decoding: bytes[Int(path.start)..<Int(path.end)], as: UTF8.self)
        canonicalPath = text
        let (all, _) = RouteExplanation.match(method, host, bytes, path, configuration.routes)
        for route in configuration.routes {
            let (alone, _) = RouteExplanation.match(method, host, bytes, path, [route])
            let step: String
            switch alone {
            case .notFound:
                let named = route.host.map { "\($0)" } ?? ""
                step = "no: \(named)\(route.path) does not match"
            case .methodNotAllowed(let allowed): step = "no: it takes \(allowed.description)"
            case .route:
                if case .route(let index) = all, configuration.routes[index].id == route.id {
                    step = "yes: \(route.path), the \(route.path.kind) match that comes first"
                } else {
                    step = "no: another route comes first"
                }
            }
            steps.append("\(route.id): \(step)")
        }
        switch all {
        case .notFound: status = 404
        case .methodNotAllowed: status = 405
        case .route(let index): found(configuration.routes[index], method, path, bytes, host)
        }
    }

    private mutating func found(_ route: Route, _ method: Method, _ path: ByteRange, _ bytes: [UInt8], _ host: String) {
        self.route = route.id
        let (_, ranges) = RouteExplanation.match(method, host, bytes, path, [route])
        for (name, range) in zip(route.path.captures, ranges) {
            captures[name] = String(decoding: bytes[Int(range.start)..<Int(range.end)], as: UTF8.self)
        }
        let text = canonicalPath ?? ""
        switch route.rewrite {
        case .none: upstreamPath = text
        case .stripPrefix(let prefix):
            let rest = String(text.dropFirst(prefix.count))
            upstreamPath = rest.isEmpty ? "/" : rest
        case .template(let template):
            upstreamPath = captures.reduce(template) { path, capture in
                path.split(separator: "/", omittingEmptySubsequences: false)
                    .map { $0 == "{\(capture.key)}" ? capture.value : String($0) }.joined(separator: "/")
            }
        }
    }

    private static func match(
        _ method: Method, _ host: String, _ bytes: [UInt8], _ path: ByteRange, _ routes: [Route]
    ) -> (Router.Match, [ByteRange]) {
        var captures = Router.Captures()
        let match = Array(host.utf8).withUnsafeBytes { host in
            bytes.withUnsafeBytes { bytes in
                Router(routes).match(method, host: host, bytes: bytes, path: path, captures: &captures)
            }
        }
        return (match, captures.ranges)
    }

    public var description: String {
        let outcome =
            route.map { "\($0) → \(upstreamPath ?? "")" } ?? "no route, answered \(status ?? 404)"
        return ([outcome] + steps.map { "  " + $0 }).joined(separator: "\n")
    }
}
