/// A service outside of the platform that routes lead to.
public struct UpstreamConfiguration: Sendable, Hashable {
    /// How a server is chosen for a request.
    public enum LoadBalancing: String, Sendable, Hashable, CaseIterable {
        /// One after the other, by weight.
        case roundRobin = "round-robin"
        /// The one of two drawn at random that has fewer requests in flight.
        case leastRequest = "least-request"
        /// The one of two drawn at random that answers sooner, as lately seen; the default.
        case peakEWMA = "peak-ewma"
        /// The same server for the same client address, as long as it is there.
        case consistentHash = "consistent-hash"
    }

    /// One server of an upstream.
    public struct Server: Sendable, Hashable {
        /// Its origin.
        public let url: ServerURL
        /// Its share beside the others'; 1 by default.
        public let weight: Int
    }

    /// Requests that find out whether a server is well.
    public struct HealthCheck: Sendable, Hashable {
        /// The path that is asked; an answer from 200 to 399 is a good one.
        public let path: String
        /// How often; every 5 s by default.
        public let interval: Duration
        /// How long an answer may take; 1 s by default.
        public let timeout: Duration
        /// After how many good answers in a row a server is taken back; 2 by default.
        public let healthyAfter: Int
        /// After how many bad ones in a row it is left out; 3 by default.
        public let unhealthyAfter: Int
    }

    /// The upstream's name.
    public let name: String
    /// Its servers, at least one.
    public let servers: [Server]
    /// How a server is chosen; `peak-ewma` by default.
    public let loadBalancing: LoadBalancing
    /// Requests that find out whether a server is well; nil: only the traffic itself tells.
    public let healthCheck: HealthCheck?
    /// The policy of calls to it; `default` unless given.
    public let policy: String?
    /// How long a connection may take to be made; 1 s by default.
    public let connectTimeout: Duration
}

extension UpstreamConfiguration {
    init(name: String, reading section: SectionReader) {
        self.name = name
        servers = section.required(
            "servers", .list(of: .server, atLeast: 1), "The servers: each a URL, or a URL with a weight.")
        loadBalancing = section.value(
            "loadBalancing", .keyword(example: .peakEWMA), default: "peak-ewma", "How a server is chosen for a request."
        )
        healthCheck = section.optional(
            "healthCheck", .section("a health check", HealthCheck.init),
            "Requests that find out whether a server is well.")
        policy = section.optional("policy", .name, "The policy of calls to the upstream; default unless given.")
        connectTimeout = section.value(
            "connectTimeout", .duration, default: "1s", "How long a connection may take to be made.")
        var seen: Set<ServerURL> = []
        for server in servers where !seen.insert(server.url).inserted {
            section.report("the server \(server.url) is there twice; give it a weight instead", key: "servers")
        }
    }

    static func type(name: String) -> ConfigurationType<UpstreamConfiguration> {
        .section("an upstream") { UpstreamConfiguration(name: name, reading: $0) }
    }
}

extension UpstreamConfiguration.HealthCheck {
    init(reading section: SectionReader) {
        path = section.required("path", .urlPath, "The path that is asked.")
        interval = section.value("interval", .duration, default: "5s", "How often.")
        timeout = section.value("timeout", .duration, default: "1s", "How long an answer may take.")
        healthyAfter = section.value(
            "healthyAfter", .integer(1...100), default: "2", "After how many good answers in a row it is taken back.")
        unhealthyAfter = section.value(
            "unhealthyAfter", .integer(1...100), default: "3", "After how many bad answers in a row it is left out.")
    }
}

extension ConfigurationType where Value == UpstreamConfiguration.Server {
    static var server: ConfigurationType {
        let url = ConfigurationType<ServerURL>.serverURL
        return url.map { UpstreamConfiguration.Server(url: $0, weight: 1) }.or(
            .section("a URL with a weight: { url: …, weight: 2 }") { section in
                UpstreamConfiguration.Server(
                    url: section.required("url", .serverURL, "The server's URL, without a path."),
                    weight: section.value("weight", .integer(1...1000), default: "1", "Its share beside the others'."))
            })
    }
}
