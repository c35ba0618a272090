/// Everything a gateway does, as a value: `Gateway` takes one to start with, and another to change to while it runs.
public struct GatewayConfiguration: Sendable {
    /// An address and a port to listen on.
    public struct Listen: Sendable, Hashable {
        /// An address, or a name that resolves to one.
        public var host: String
        /// The port; 0 for any that is free.
        public var port: Int

        /// An address and a port.
        public init(host: String = "127.0.0.1", port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// How long clients may take.
    public struct Timeouts: Sendable, Hashable {
        /// From a request's first byte to the end of its head.
        public var head: Duration
        /// Between requests on one connection.
        public var idle: Duration
        /// Within a request, its answer or a WebSocket, without a byte in either direction; nil for ever. 5 minutes unless set.
        public var stream: Duration? = .seconds(300)
        /// For requests in flight once a graceful shutdown has begun.
        public var drain: Duration

        /// Timeouts; 10 s, 75 s and 30 s unless given.
        public init(head: Duration = .seconds(10), idle: Duration = .seconds(75), drain: Duration = .seconds(30)) {
            self.head = head
            self.idle = idle
            self.drain = drain
        }
    }

    /// Where to listen. Fixed for the life of a gateway.
    public var listen: Listen
    /// How it speaks TLS; nil for clear text. Whether it does is fixed for the life of a gateway, its certificates are not.
    public var tls: ListenerTLS?
    /// Bytes that kept answers may take, in all. Fixed for the life of a gateway.
    public var cacheBytes: Int = 67_108_864
    /// What is reachable. Nothing else is.
    public var routes: [Route]
    /// The upstreams that routes name.
    public var upstreams: [Upstream]
    /// The authenticators that routes name.
    public var authenticators: [String: Authenticator]
    /// Who may tell the client's address by the PROXY protocol, and has to: load balancers in front. Connections of others are their own.
    public var proxyProtocol: [AddressRange] = []
    /// Proxies in front whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    public var trustedProxies: [AddressRange] = []
    /// Whether upstreams get `Forwarded` (RFC 7239) beside `X-Forwarded-*`.
    public var sendsForwarded = false
    /// What becomes of clients' fields, and trailers, whose names hold an underscore.
    public var underscores = UnderscoreNames.dropped
    /// What the gateway takes on in all.
    public var load = LoadLimits()
    /// How large a request's head may be.
    public var headLimits: HeadLimits
    /// How long clients may take.
    public var timeouts: Timeouts
    /// The cross-origin policy of routes that have none of their own.
    public var cors: CORSPolicy?
    /// The secret by which this platform's nodes know each other; upstreams that are nodes of it get it.
    public var nodeToken: String?

    /// A configuration.
    public init(
        listen: Listen, routes: [Route], upstreams: [Upstream] = [], authenticators: [String: Authenticator] = [:],
        headLimits: HeadLimits = HeadLimits(), timeouts: Timeouts = Timeouts(), cors: CORSPolicy? = nil,
        nodeToken: String? = nil
    ) {
        self.listen = listen
        self.routes = routes
        self.upstreams = upstreams
        self.authenticators = authenticators
        self.headLimits = headLimits
        self.timeouts = timeouts
        self.cors = cors
        self.nodeToken = nodeToken
    }

    /// Throws ``GatewayConfigurationError`` if a gateway could not run by this.
    public func validate() throws(GatewayConfigurationError) {
        guard (0...65_535).contains(listen.port) else {
            throw GatewayConfigurationError("listen port \(listen.port) is not between 0 and 65535")
        }
        guard (256...61_440).contains(headLimits.bytes), headLimits.fields > 0, headLimits.target > 0 else {
            throw GatewayConfigurationError(
                "head limits have to be above zero, and between 256 bytes and 60 KiB in all")
        }
        if let nodeToken, nodeToken.isEmpty || !nodeToken.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            throw GatewayConfigurationError("the node token has to be visible ASCII")
        }
        if let stream = timeouts.stream, stream <= .zero {
            throw GatewayConfigurationError("the time that a stream may be idle is above zero")
        }
        guard (load.maximumConnections ?? 1) > 0, (load.maximumInFlight ?? 1) > 0,
            (load.maximumLoopLag ?? .seconds(1)) > .zero
        else { throw GatewayConfigurationError("limits on connections, requests in flight and lag are above zero") }
        try validateUpstreams()
        try validateAuthenticators()
        var ids: Set<String> = []
        for route in routes {
            guard ids.insert(route.id).inserted else {
                throw GatewayConfigurationError("route '\(route.id)' is there twice")
            }
            try validate(route)
        }
        try validateSections()
        for policy in routes.compactMap(\.cors) + [cors].compactMap({ $0 })
        where policy.allowCredentials && policy.allowOrigins.contains("*") {
            throw GatewayConfigurationError("cors: credentials are not allowed together with the origin '*'")
        }
    }

    private func validateUpstreams() throws(GatewayConfigurationError) {
        var names: Set<String> = []
        for upstream in upstreams {
            guard names.insert(upstream.name).inserted else {
                throw GatewayConfigurationError("upstream '\(upstream.name)' is there twice")
            }
            guard !upstream.servers.isEmpty else {
                throw GatewayConfigurationError("upstream '\(upstream.name)' has no servers")
            }
            try upstream.validateTraffic()
            if let flaw = upstream.principalHeaders?.flaw {
                throw GatewayConfigurationError("upstream '\(upstream.name)' \(flaw)")
            }
            if case .fixed(let host) = upstream.hostHeader,
                host.isEmpty || !Array(host.utf8).withUnsafeBytes({ $0.isHost })
            {
                throw GatewayConfigurationError(
                    "upstream '\(upstream.name)' sends the Host '\(host)', which is no name or address")
            }
            guard upstream.poolSize > 0, upstream.maximumWaiting >= 0, upstream.connectTimeout > .zero else {
                throw GatewayConfigurationError(
                    "upstream '\(upstream.name)' needs a pool and a connect timeout above zero")
            }
            if let ejection = upstream.outlierEjection,
                ejection.consecutiveFailures < 1 || ejection.time <= .zero || ejection.longestTime < ejection.time
                    || !(0...1).contains(ejection.maximumShare) || ejection.maximumShare == 0
            {
                throw GatewayConfigurationError(
                    "upstream '\(upstream.name)' leaves servers out after no failure, for no time, or none of them")
            }
            if let check = upstream.healthCheck,
                !check.path.hasPrefix("/") || !check.path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
                    || check.interval <= .zero || check.timeout <= .zero || check.healthyAfter < 1
                    || check.unhealthyAfter < 1
            {
                throw GatewayConfigurationError(
                    "upstream '\(upstream.name)' has a health check without a path, or with a time or count of zero")
            }
            for server in upstream.servers where !(1...1000).contains(server.weight) {
                throw GatewayConfigurationError(
                    "upstream '\(upstream.name)' has a weight of \(server.weight), which is not between 1 and 1000")
            }
            for server in upstream.servers where !(1...65_535).contains(server.port) || server.host.isEmpty {
                throw GatewayConfigurationError(
                    "upstream '\(upstream.name)' has the server '\(server.host):\(server.port)', which is no address")
            }
        }
    }

    private func validate(_ route: Route) throws(GatewayConfigurationError) {
        func refuse(_ reason: String) -> GatewayConfigurationError {
            GatewayConfigurationError("route '\(route.id)' \(reason)")
        }
        for method in route.methods where !Array(method.rawValue.utf8).withUnsafeBytes({ Method.isForwarded($0) }) {
            throw refuse("takes the method \(method.rawValue), which is not supported")
        }
        try route.validateTraffic()
        for name in route.destination.upstreams + (route.mirror.map { [$0.upstream] } ?? [])
        where !upstreams.contains(where: { $0.name == name }) {
            throw refuse("goes to the upstream '\(name)', which is not configured")
        }
        for upstream in upstreams
        where route.allowsWebSocket && upstream.protocol == .http2
            && route.destination.upstreams.contains(upstream.name)
        {
            throw refuse(
                "has WebSockets, and its upstream '\(upstream.name)' speaks http2; WebSockets go to servers over http1")
        }
        switch route.destination {
        case .split(let weights):
            guard !weights.isEmpty, weights.values.allSatisfy({ (0...1_000_000).contains($0) }),
                weights.values.contains(where: { $0 > 0 })
            else { throw refuse("is split by weights that are below zero, or all zero") }
        case .redirect(let redirect):
            guard [301, 302, 303, 307, 308].contains(redirect.status) else {
                throw refuse(
                    "redirects with the status \(redirect.status), which is none of 301, 302, 303, 307 and 308")
            }
            guard ((redirect.scheme ?? "") + (redirect.host ?? "")).utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw refuse("redirects to a scheme or host that is none")
            }
        case .batch, .aggregate: try validateGathering(route)
        case .http, .handler: break
        }
        if let cache = route.cache,
            cache.maximumBodyBytes < 0 || cache.staleIfError < .zero || cache.staleWhileRevalidate < .zero
                || cache.freshFor ?? .zero < .zero
        {
            throw refuse("keeps answers for a time or up to a size below zero")
        }
        if let flaw = route.requestHeaders?.flaw ?? route.responseHeaders?.flaw {
            throw refuse("edits headers: \(flaw)")
        }
        if case .named(let name) = route.authentication, authenticators[name] == nil {
            throw refuse("asks for the authenticator '\(name)', which is not configured")
        }
        if route.authentication == .none, !route.scopes.isEmpty {
            throw refuse("requires scopes but no authentication")
        }
        if route.authentication == .none, !route.claims.isEmpty {
            throw refuse("requires claims but no authentication")
        }
        for (name, value) in route.claims { _ = try ClaimRequirement(name, value, route: route) }
        if route.maximumBodyBytes < 0 { throw refuse("has a maximum body below zero") }
        if let timeout = route.timeout, timeout <= .zero { throw refuse("has a timeout that is not above zero") }
        switch route.rewrite {
        case .none: break
        case .template(let template): _ = try RewriteTemplate(template, captures: route.path.captures, route: route.id)
        case .stripPrefix(let prefix):
            guard prefix.hasPrefix("/"), !prefix.hasSuffix("/"),
                route.path.description == prefix || route.path.description.hasPrefix(prefix + "/")
            else { throw refuse("strips '\(prefix)', which its path does not begin with") }
        }
    }
}
