extension PlatformConfiguration {
    /// The one door from outside: what is not named here cannot be reached.
    public struct Gateway: Sendable, Hashable {
        /// The node in whose process the gateway runs.
        public let node: String
        /// Where it listens; `127.0.0.1:8080` by default, so that a machine opens its door on purpose.
        public let listen: ListenAddress
        /// How it speaks TLS; nil: it does not.
        public let tls: GatewayTLS?
        /// Load balancers in front that tell the client's address by the PROXY protocol.
        public let proxyProtocol: [String]
        /// Proxies in front whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        public let trustedProxies: [String]
        /// Whether upstreams get `Forwarded` beside `X-Forwarded-*`.
        public let forwarded: Bool
        /// Whether fields of clients whose names hold an underscore are let through.
        public let underscoresInHeaders: Bool
        /// The ways to find out who calls, by name.
        public let authentication: [String: Authenticator]
        /// What browsers of other origins may do; nil: nothing.
        public let cors: CORS?
        /// The bounds of connections and requests.
        public let limits: Limits
        /// The routes. The most specific one is taken, whatever their order.
        public let routes: [Route]
    }

    /// A certificate and its key, as PEM files.
    public struct CertificateFiles: Sendable, Hashable {
        /// The file with the certificate, and those between it and its root.
        public let chain: String
        /// The file with its private key.
        public let key: String
    }

    /// How the gateway speaks TLS. The files are read at the start and at each reload.
    public struct GatewayTLS: Sendable, Hashable {
        /// Certificates; who asks for none of their names gets the first.
        public let certificates: [CertificateFiles]
        /// A PEM file with the authorities of client certificates, without which nobody is let in; nil: clients need none.
        public let clientAuthorities: String?
        /// Whether clients without a certificate are let in all the same.
        public let clientCertificates: ClientCertificates

        /// Whether clients need certificates, where there are authorities for them.
        public enum ClientCertificates: String, Sendable, Hashable, CaseIterable {
            /// Nobody is let in without.
            case required
            /// Routes that ask for one by their authentication let nobody in without.
            case optional
        }
    }

    /// What browsers may do with the answers on pages of other origins (Fetch standard, 3.2).
    public struct CORS: Sendable, Hashable {
        /// Origins such as `https://shop.example`, or `*`.
        public let allowOrigins: [String]
        /// Methods that a preflight is granted; those of the routes if empty.
        public let allowMethods: [String]
        /// Request headers that a preflight is granted; `authorization`, `content-type`, `idempotency-key` and
        /// `x-correlation-id` by default.
        public let allowHeaders: [String]
        /// Response headers that a page may read; `x-correlation-id` by default.
        public let exposeHeaders: [String]
        /// Whether cookies and credentials are sent along; not together with the origin `*`.
        public let allowCredentials: Bool
        /// How long a browser may keep what a preflight was told; 10 minutes by default.
        public let maxAge: Duration
    }

    /// The bounds of connections and requests at the gateway.
    public struct Limits: Sendable, Hashable {
        /// The largest request head, request line and all; 32 KiB by default, then 431.
        public let headerBytes: Int
        /// The most header fields of a request; 100 by default, then 431.
        public let headerFields: Int
        /// The longest request target; 8 KiB by default, then 414.
        public let targetBytes: Int
        /// The largest request body, unless a route says otherwise; 1 MiB by default, then 413.
        public let maxBody: Int
        /// How much memory kept answers may take in all; 64 MiB by default.
        public let cache: Int
        /// The most client connections; nil: without a limit.
        public let connections: Int?
        /// The most requests in flight in all; nil: without a limit.
        public let inFlight: Int?
        /// How late an event loop may be before it takes no more requests on; nil: as late as it gets.
        public let loopLag: Duration?
        /// How long a connection may stay open without a request; 75 s by default.
        public let idleTimeout: Duration
        /// How long a request, its answer or a WebSocket may go without a byte in either direction; 5 minutes by default; nil: for ever.
        public let streamTimeout: Duration?
        /// How long a client may take to send a request's head; 10 s by default.
        public let headerTimeout: Duration
        /// How long requests in flight may take to finish when the gateway stops; 30 s by default.
        public let drainTimeout: Duration
    }
}

extension PlatformConfiguration.Gateway {
    init(reading section: SectionReader) {
        node = section.required("node", .name, "The node in whose process the gateway runs.")
        listen = section.value("listen", .address, default: "127.0.0.1:8080", "Where the gateway listens.")
        tls = section.optional(
            "tls", .section("TLS settings", PlatformConfiguration.GatewayTLS.init),
            "TLS at the gateway's door: 1.2 and 1.3, HTTP/2 where the client can.")
        proxyProtocol =
            section.optional(
                "proxyProtocol",
                .section("{ from: [10.0.0.0/8] }") { section in
                    section.required(
                        "from", .list(of: .addressRange, atLeast: 1, orSingle: true),
                        "Addresses of the load balancers, whose connections have to begin with its header.")
                }, "Load balancers in front that tell the client's address by the PROXY protocol, version 1 or 2.")
            ?? []
        trustedProxies = section.collection(
            "trustedProxies", .list(of: .addressRange, orSingle: true),
            "Proxies in front whose X-Forwarded-For and X-Forwarded-Proto are believed; none unless given.")
        forwarded = section.value(
            "forwarded", .flag, default: "false", "Whether upstreams get Forwarded (RFC 7239) beside X-Forwarded-*.")
        underscoresInHeaders = section.value(
            "underscoresInHeaders", .flag, default: "false",
            "Whether header fields of clients whose names hold an underscore are let through; they are dropped unless given."
        )
        let authenticators = section.collection(
            "authentication", .named("authenticators by name") { _ in .authenticator },
            "The ways to find out who calls, by name.")
        authentication = Dictionary(authenticators.map { ($0.name, $0.value) }) { first, _ in first }
        cors = section.optional(
            "cors", .section("a CORS section", PlatformConfiguration.CORS.init),
            "What browsers may do with the answers on pages of other origins.")
        limits = section.section(
            "limits", .section("a limits section", PlatformConfiguration.Limits.init),
            "The bounds of connections and requests.")
        routes = section.collection(
            "routes", .list(of: .section("a route", PlatformConfiguration.Route.init)),
            "The routes: only what is named here can be reached from outside.")
        if case .unix = listen { section.report("the gateway listens on TCP, not on a Unix socket", key: "listen") }
        if authenticators.contains(where: { $0.name == "none" }) {
            section.report("'none' means no authentication and names no authenticator", key: "authentication")
        }
    }
}

extension PlatformConfiguration.CORS {
    init(reading section: SectionReader) {
        allowOrigins = section.required(
            "allowOrigins", .list(of: .origin, atLeast: 1, orSingle: true),
            "Origins such as https://shop.example, or *.")
        allowMethods = section.collection(
            "allowMethods", .list(of: .method, orSingle: true),
            "Methods granted to a preflight; those of the routes unless given.")
        allowHeaders =
            section.optional(
                "allowHeaders", .list(of: .headerName, orSingle: true),
                "Request headers granted to a preflight; those that the platform reads unless given.")
            ?? ["authorization", "content-type", "idempotency-key", "x-correlation-id"]
        exposeHeaders =
            section.optional(
                "exposeHeaders", .list(of: .headerName, orSingle: true),
                "Response headers that a page may read; x-correlation-id unless given.") ?? ["x-correlation-id"]
        allowCredentials = section.value(
            "allowCredentials", .flag, default: "false", "Whether cookies and credentials are sent along.")
        maxAge = section.value(
            "maxAge", .duration(orZero: true), default: "10m", "How long a browser may keep a preflight's answer.")
        if allowCredentials, allowOrigins.contains("*") {
            section.report("with the origin * no credentials can be allowed; name the origins", key: "allowCredentials")
        }
    }
}

extension PlatformConfiguration.Limits {
    init(reading section: SectionReader) {
        headerBytes = section.value(
            "headerBytes", .byteCount(1024...60 << 10), default: "32KiB",
            "The largest request head; more is answered 431.")
        headerFields = section.value(
            "headerFields", .integer(10...10_000), default: "100", "The most header fields; more are answered 431.")
        targetBytes = section.value(
            "targetBytes", .byteCount(256...60 << 10), default: "8KiB",
            "The longest request target; more is answered 414.")
        maxBody = section.value(
            "maxBody", .byteCount(0...1 << 40), default: "1MiB",
            "The largest request body, unless a route says otherwise; more is answered 413.")
        cache = section.value(
            "cache", .byteCount(0...1 << 40), default: "64MiB", "How much memory kept answers may take in all.")
        connections = section.optional(
            "connections", .integer(1...10_000_000), "The most client connections; those beyond are closed.")
        inFlight = section.optional(
            "inFlight", .integer(1...10_000_000), "The most requests in flight in all; more are answered 503.")
        loopLag = section.optional(
            "loopLag", .duration, "How late an event loop may be before it answers requests with 503.")
        idleTimeout = section.value(
            "idleTimeout", .duration, default: "75s", "How long a connection may stay open without a request.")
        let forever: ConfigurationType<Duration?> = .none()
        let duration: ConfigurationType<Duration> = .duration
        streamTimeout = section.value(
            "streamTimeout", forever.or(duration.map { .some($0) }), default: "5m",
            "How long a request, its answer or a WebSocket may go without a byte in either direction; none: for ever.")
        headerTimeout = section.value(
            "headerTimeout", .duration, default: "10s", "How long a client may take to send a request's head.")
        drainTimeout = section.value(
            "drainTimeout", .duration, default: "30s", "How long requests in flight may take when the gateway stops.")
        if targetBytes > headerBytes {
            section.report("a target longer than the whole head ('headerBytes') cannot come", key: "targetBytes")
        }
    }
}

extension PlatformConfiguration.CertificateFiles {
    init(reading section: SectionReader) {
        chain = section.required(
            "chain", .line("a file's path"), "A PEM file with the certificate, and those between it and its root.")
        key = section.required("key", .line("a file's path"), "A PEM file with its private key.")
    }
}

extension PlatformConfiguration.GatewayTLS {
    init(reading section: SectionReader) {
        certificates = section.required(
            "certificates",
            .list(of: .section("{ chain: …, key: … }", PlatformConfiguration.CertificateFiles.init), atLeast: 1),
            "Certificates; who asks for none of their names gets the first.")
        clientAuthorities = section.optional(
            "clientAuthorities", .line("a file's path"),
            "A PEM file with the authorities of client certificates: without one of theirs nobody is let in.")
        clientCertificates = section.value(
            "clientCertificates", .keyword(example: .required), default: "required",
            "Whether all clients need a certificate, or only those of routes that ask for one.")
        if section.has("clientCertificates"), clientAuthorities == nil {
            section.report(
                "certificates are believed by 'clientAuthorities', which are missing", key: "clientCertificates")
        }
    }
}
