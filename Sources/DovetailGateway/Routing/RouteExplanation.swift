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

    init(
        method: String, path: String, host: String?, _ headers: [(String, String)] = [],
        in configuration: GatewayConfiguration
    ) {
        let methodName = method
        let known = Array(method.utf8).withUnsafeBytes { name in
            Method(name) ?? (Method.isForwarded(name) ? .other : nil)
        }
        guard let method = known else {
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
        case .success(let range):
            let request = Request(
                method: method, methodName: methodName, path: range, pathBytes: bytes, host: host ?? "",
                query: path.split(separator: "?", maxSplits: 1).dropFirst().first.map(String.init), headers: headers)
            find(request, configuration)
        }
    }

    /// A request as the router sees it: path, query and fields as places in one run of bytes.
    private struct Request {
        let method: Method
        var methodName = ByteRange.empty
        let path: ByteRange
        let host: String
        var bytes: [UInt8]
        var query: ByteRange?
        var fields: [HeaderField] = []

        init(
            method: Method, methodName: String, path: ByteRange, pathBytes: [UInt8], host: String, query: String?,
            headers: [(String, String)]
        ) {
            self.method = method
            self.path = path
            self.host = host
            bytes = pathBytes
            self.query = query.map { add($0) }
            self.methodName = add(methodName)
            for (name, value) in headers {
                fields.append(HeaderField(name: add(name), value: add(value), known: .other))
            }
        }

        private mutating func add(_ text: String) -> ByteRange {
            let start = bytes.count
            bytes += Array(text.utf8)
            return ByteRange(start, bytes.count)
        }
    }

    private mutating func find(_ request: Request, _ configuration: GatewayConfiguration) {
        canonicalPath = request.bytes.withUnsafeBytes { $0[request.path].text }
        let (all, _) = RouteExplanation.match(request, configuration.routes)
        for route in configuration.routes {
            let (alone, _) = RouteExplanation.match(request, [route])
            let step: String
            switch alone {
            case .notFound where !route.conditions.isEmpty && RouteExplanation.matchesWithoutConditions(request, route):
                step = "no: it asks for \(route.conditions.map(\.description).joined(separator: " and "))"
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
        case .route(let index): found(configuration.routes[index], request)
        }
    }

    private mutating func found(_ route: Route, _ request: Request) {
        self.route = route.id
        let (_, ranges) = RouteExplanation.match(request, [route])
        for (name, range) in zip(route.path.captures, ranges) {
            captures[name] = String(decoding: request.bytes[Int(range.start)..<Int(range.end)], as: UTF8.self)
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

    private static func matchesWithoutConditions(_ request: Request, _ route: Route) -> Bool {
        var route = route
        route.conditions = []
        return match(request, [route]).0 != .notFound
    }

    private static func match(_ request: Request, _ routes: [Route]) -> (Router.Match, [ByteRange]) {
        var captures = Router.Captures()
        let match = Array(request.host.utf8).withUnsafeBytes { host in
            request.bytes.withUnsafeBytes { bytes in
                Router(routes).match(
                    request.method, named: request.methodName, host: host, bytes: bytes, path: request.path,
                    query: request.query,
                    fields: request.fields, captures: &captures)
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
