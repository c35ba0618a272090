import DovetailGateway

extension PlatformConfiguration {
    /// A service outside of the platform that routes lead to.
    public struct Upstream: Sendable, Hashable {
        /// How a server is chosen for a request.
        public enum LoadBalancing: String, Sendable, Hashable, CaseIterable {
            /// One after the other, by weight.
            case roundRobin = "round-robin"
            /// The one of two drawn at random that has fewer requests in flight; the default.
            case leastRequest = "least-request"
            /// The one of two drawn at random that would answer sooner, by its latest answers and what it has in flight.
            case peakLatency = "peak-ewma"
            /// Always the same for a key, as long as it is there.
            case consistentHash = "consistent-hash"
        }

        /// What is spoken to servers.
        public enum Transport: String, Sendable, Hashable, CaseIterable {
            /// HTTP/1.1; the default.
            case http1
            /// HTTP/2, which gRPC needs.
            case http2
        }

        /// What decides which server a request goes to.
        public enum HashKey: Sendable, Hashable {
            /// The authenticated principal, or the address of who has none.
            case principal
            /// The client's address.
            case address
            /// The path.
            case path
            /// A request header's value, or the address of who sends none.
            case header(String)
        }

        /// When a server is left out because of its answers.
        public struct OutlierEjection: Sendable, Hashable {
            /// Failures in a row that are too many; 5 by default.
            public let failures: Int
            /// How long it is left out the first time; 10 s by default.
            public let time: Duration
            /// How long at most; 5 minutes by default.
            public let longest: Duration
            /// The largest share of the servers that are left out at a time, rounded up; half of them by default. The last one never is.
            public let share: Double
        }

        /// Requests that find out whether servers are well.
        public struct HealthCheck: Sendable, Hashable {
            /// What is asked for, by GET.
            public let path: String
            /// The statuses of one who is well; 200 to 399 by default.
            public let statuses: ClosedRange<Int>
            /// From one to the next; 5 s by default.
            public let interval: Duration
            /// How long an answer may take; 2 s by default.
            public let timeout: Duration
            /// So many good answers in a row make a server well again; 2 by default.
            public let healthyAfter: Int
            /// So many bad ones in a row, and it gets no requests; 3 by default.
            public let unhealthyAfter: Int
        }

        /// How TLS is spoken to servers of `https` URLs.
        public struct TLS: Sendable, Hashable {
            /// The name that their certificate has to carry; nil: the URL's host.
            public let serverName: String?
            /// A PEM file with the authorities that are believed; nil: the system's.
            public let authorities: String?
            /// The gateway's own certificate.
            public let certificate: PlatformConfiguration.CertificateFiles?
        }

        /// One server of an upstream.
        public struct Server: Sendable, Hashable {
            /// Its origin.
            public let url: ServerURL
            /// Its share beside the others'; 1 by default.
            public let weight: Int
        }

        /// The upstream's name.
        public let name: String
        /// Its servers, at least one.
        public let servers: [Server]
        /// What is spoken to them; `http1` by default.
        public let `protocol`: Transport
        /// Which `Host` servers are told; the client's by default.
        public let hostHeader: DovetailGateway.Upstream.HostHeader
        /// The headers in which servers are told who calls; nil: they are not.
        public let principalHeaders: PrincipalHeaders?
        /// How a server is chosen; `least-request` by default.
        public let loadBalancing: LoadBalancing
        /// What decides where a request goes under `consistent-hash`; the principal by default.
        public let hashBy: HashKey
        /// When a server is left out because of its answers.
        public let outlierEjection: OutlierEjection
        /// How servers are asked whether they are well; nil: they are not.
        public let healthCheck: HealthCheck?
        /// How TLS is spoken to servers of `https` URLs.
        public let tls: TLS?
        /// The policy of calls to it; `default` unless given.
        public let policy: String?
        /// How long a connection may take to be made; 1 s by default.
        public let connectTimeout: Duration
        /// How many connections to each server an event loop makes at most; 256 by default.
        public let connections: Int
        /// How many requests an event loop lets wait for a connection; 1024 by default, then 503.
        public let waiting: Int
        /// The most requests in flight to it, over all event loops; nil: without a limit.
        public let maxInFlight: InFlight?
        /// A limit on requests in flight that is found by how long answers take; nil: none.
        public let adaptiveLimit: AdaptiveLimit?
        /// How long a read's first server has before a second one is asked too; nil: for ever.
        public let hedgeAfter: Duration?
        /// How long a server that is new or well again takes to get its whole share; nil: no time.
        public let slowStart: Duration?
        /// How often the names of servers are resolved anew; 30 s by default; zero: when a connection is made.
        public let resolveInterval: Duration
        /// How long an unused connection is kept; 50 s by default. Shorter than the server's own, or it closes under a request.
        public let idleTimeout: Duration
    }
}

extension PlatformConfiguration.Upstream {
    init(name: String, reading section: SectionReader) {
        self.name = name
        servers = section.required(
            "servers", .list(of: .server, atLeast: 1), "The servers: each a URL, or a URL with a weight.")
        `protocol` = section.value(
            "protocol", .keyword(example: .http2), default: "http1",
            "What is spoken to the servers; http2 in clear text is by prior knowledge, as gRPC wants it.")
        hostHeader = section.value(
            "hostHeader", .hostHeader, default: "client",
            "Which Host the servers are told: client for the one that the client has sent, server for their own name, or a name."
        )
        principalHeaders = section.optional(
            "principalHeaders",
            .section("{ subject: X-User, scopes: X-Scopes }") { section in
                let headers = PrincipalHeaders(
                    subject: section.optional("subject", .headerName, "The header with the caller's name."),
                    authenticator: section.optional(
                        "authenticator", .headerName,
                        "The header with the name of the authenticator that knows the caller."),
                    scopes: section.optional(
                        "scopes", .headerName, "The header with what the caller may, a space between two."),
                    claims: Dictionary(
                        section.collection(
                            "claims", .named("claims with their headers", keys: .parameters) { _ in .headerName },
                            "Headers with what claims of the caller say, by the claims' names."
                        ).map { ($0.name, $0.value) }
                    ) { first, _ in first })
                return headers
            },
            "The headers in which the servers are told who calls; whatever clients send under these names is dropped.")
        loadBalancing = section.value(
            "loadBalancing", .keyword(example: .leastRequest), default: "least-request",
            "How a server is chosen for a request.")
        hashBy = section.value(
            "hashBy", .hashKey, default: "principal", "What decides where a request goes under consistent-hash.")
        outlierEjection = section.section(
            "outlierEjection", .section("{ failures: …, time: …, longest: … }", OutlierEjection.init),
            "When a server is left out because of its answers.")
        healthCheck = section.optional(
            "healthCheck", .section("a health check", HealthCheck.init),
            "Requests that find out whether servers are well.")
        tls = section.optional(
            "tls", .section("TLS settings", TLS.init), "How TLS is spoken to servers of https URLs.")
        policy = section.optional("policy", .name, "The policy of calls to the upstream; default unless given.")
        connectTimeout = section.value(
            "connectTimeout", .duration, default: "1s", "How long a connection may take to be made.")
        connections = section.value(
            "connections", .integer(1...100_000), default: "256", "Connections to each server from each event loop.")
        waiting = section.value(
            "waiting", .integer(0...1_000_000), default: "1024",
            "Requests that wait for a connection on each event loop; more are answered 503.")
        idleTimeout = section.value(
            "idleTimeout", .duration, default: "50s",
            "How long an unused connection is kept; shorter than the server's own.")
        maxInFlight = section.optional(
            "maxInFlight", .inFlight,
            "The most requests in flight to it, over all event loops; those beyond are answered 503, or wait.")
        adaptiveLimit = section.optional(
            "adaptiveLimit", .section("an adaptive limit", PlatformConfiguration.AdaptiveLimit.init),
            "A limit on requests in flight that is found by how long answers take.")
        hedgeAfter = section.optional(
            "hedge",
            .section("{ after: 50ms }") { section in
                section.required("after", .duration, "How long the first server has for its answer to begin.")
            }, "When a read is asked of a second server too, because the first one is slow; within the retries' budget."
        )
        slowStart = section.optional(
            "slowStart", .duration, "How long a server that is new or well again takes to get its whole share.")
        resolveInterval = section.value(
            "resolve", .duration(orZero: true), default: "30s",
            "How often the names of servers are resolved anew; 0s for when a connection is made.")
        if hedgeAfter != nil, servers.count == 1, servers.allSatisfy({ AddressRange($0.url.host) != nil }) {
            section.report("a second attempt needs a second server", key: "hedge")
        }
        if loadBalancing != .consistentHash, section.has("hashBy") {
            section.report("only loadBalancing: consistent-hash asks for a key", key: "hashBy")
        }
        let secure = servers.count { $0.url.isSecure }
        if secure > 0, secure < servers.count {
            section.report("the servers are all https or all http", key: "servers")
        }
        if secure == 0, tls != nil {
            section.report("TLS is spoken to https URLs, and the servers have none", key: "tls")
        }
        var seen: Set<ServerURL> = []
        for server in servers where !seen.insert(server.url).inserted {
            section.report("the server \(server.url) is there twice; give it a weight instead", key: "servers")
        }
    }

    static func type(name: String) -> ConfigurationType<PlatformConfiguration.Upstream> {
        .section("an upstream") { PlatformConfiguration.Upstream(name: name, reading: $0) }
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Upstream.Server {
    static var server: ConfigurationType {
        let url = ConfigurationType<ServerURL>.serverURL
        return url.map { PlatformConfiguration.Upstream.Server(url: $0, weight: 1) }.or(
            .section("a URL with a weight: { url: …, weight: 2 }") { section in
                PlatformConfiguration.Upstream.Server(
                    url: section.required("url", .serverURL, "The server's URL, without a path."),
                    weight: section.value("weight", .integer(1...1000), default: "1", "Its share beside the others'."))
            })
    }
}

extension PlatformConfiguration.Upstream.OutlierEjection {
    init(reading section: SectionReader) {
        failures = section.value(
            "failures", .integer(1...1_000_000), default: "5",
            "Failures in a row that are too many: no answer, or a 500, 502, 503 or 504.")
        time = section.value("time", .duration, default: "10s", "How long a server is left out the first time.")
        longest = section.value("longest", .duration, default: "5m", "How long a server is left out at most.")
        share = section.value(
            "share", .ratio, default: "50%",
            "The largest share of the servers that are left out at a time, rounded up; the last one never is.")
        if share == 0 { section.report("at 0% no server would ever be left out", key: "share") }
        if longest < time { section.report("the longest time is shorter than the first", key: "longest") }
    }
}

extension PlatformConfiguration.Upstream.HealthCheck {
    init(reading section: SectionReader) {
        path = section.required("path", .urlPath, "What is asked for, by GET.")
        statuses = section.value("statuses", .statuses, default: "200-399", "The statuses of one who is well.")
        interval = section.value("interval", .duration, default: "5s", "From one request to the next.")
        timeout = section.value("timeout", .duration, default: "2s", "How long an answer may take.")
        healthyAfter = section.value(
            "healthyAfter", .integer(1...1000), default: "2", "So many good answers in a row make a server well again.")
        unhealthyAfter = section.value(
            "unhealthyAfter", .integer(1...1000), default: "3", "So many bad ones in a row, and it gets no requests.")
    }
}

extension PlatformConfiguration.Upstream.TLS {
    init(reading section: SectionReader) {
        serverName = section.optional(
            "serverName", .hostName, "The name that the servers' certificate has to carry; the URL's host unless given."
        )
        authorities = section.optional(
            "authorities", .line("a file's path"), "A PEM file with the authorities that are believed.")
        certificate = section.optional(
            "certificate", .section("{ chain: …, key: … }", PlatformConfiguration.CertificateFiles.init),
            "The gateway's own certificate, for servers that ask for one.")
    }
}
