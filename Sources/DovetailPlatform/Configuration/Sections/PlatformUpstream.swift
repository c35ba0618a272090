extension PlatformConfiguration {
    /// A service outside of the platform that routes lead to.
    public struct Upstream: Sendable, Hashable {
        /// How a server is chosen for a request.
        public enum LoadBalancing: String, Sendable, Hashable, CaseIterable {
            /// One after the other, by weight.
            case roundRobin = "round-robin"
            /// The one of two drawn at random that has fewer requests in flight; the default.
            case leastRequest = "least-request"
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
        /// How a server is chosen; `least-request` by default.
        public let loadBalancing: LoadBalancing
        /// The policy of calls to it; `default` unless given.
        public let policy: String?
        /// How long a connection may take to be made; 1 s by default.
        public let connectTimeout: Duration
        /// How many connections to each server an event loop makes at most; 256 by default.
        public let connections: Int
        /// How many requests an event loop lets wait for a connection; 1024 by default, then 503.
        public let waiting: Int
        /// How long an unused connection is kept; 50 s by default. Shorter than the server's own, or it closes under a request.
        public let idleTimeout: Duration
    }
}

extension PlatformConfiguration.Upstream {
    init(name: String, reading section: SectionReader) {
        self.name = name
        servers = section.required(
            "servers", .list(of: .server, atLeast: 1), "The servers: each a URL, or a URL with a weight.")
        loadBalancing = section.value(
            "loadBalancing", .keyword(example: .leastRequest, reserved: ["peak-ewma", "consistent-hash"]),
            default: "least-request", "How a server is chosen for a request.")
        section.reserved("healthCheck", "requests that find out whether a server is well; the traffic itself tells")
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
        let url = ConfigurationType<ServerURL>.plainServerURL
        return url.map { PlatformConfiguration.Upstream.Server(url: $0, weight: 1) }.or(
            .section("a URL with a weight: { url: …, weight: 2 }") { section in
                PlatformConfiguration.Upstream.Server(
                    url: section.required("url", .plainServerURL, "The server's URL, without a path."),
                    weight: section.value("weight", .integer(1...1000), default: "1", "Its share beside the others'."))
            })
    }
}
