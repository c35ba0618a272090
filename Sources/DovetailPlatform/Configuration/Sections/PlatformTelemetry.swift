extension PlatformConfiguration {
    /// What the platform tells about itself.
    public struct Telemetry: Sendable, Hashable {
        /// The form of access log lines.
        public enum AccessLog: String, Sendable, Hashable, CaseIterable {
            /// One JSON object a line; the default.
            case json
            /// The Common Log Format.
            case common
            /// No lines.
            case off
        }

        /// Metrics in Prometheus' text format.
        public struct Prometheus: Sendable, Hashable {
            /// The path; `/metrics` by default.
            public let path: String
            /// An address of their own; nil: they are served at the admin door.
            public let listen: ListenAddress?
        }

        /// The form of access log lines; `json` by default.
        public let accessLog: AccessLog
        /// Where metrics are served.
        public let prometheus: Prometheus
        /// The share of traces that begin here that are kept; all by default. A trace that a caller began follows the caller.
        public let tracingSample: Double
    }

    /// The operator's door: the commands of the command line go through it.
    public struct Admin: Sendable, Hashable {
        /// Where it listens; `unix:data/admin.sock` by default: the file's mode says who may.
        public let listen: ListenAddress
        /// What a client must know on TCP.
        public let token: Secret?

        /// Where a node's door is. The nodes of one machine cannot share a socket, so all but the first put their name in the path's.
        public func listen(node: String, isFirst: Bool) -> ListenAddress {
            guard !isFirst, case .unix(let path) = listen else { return listen }
            let suffix = ".sock"
            return .unix(
                path: path.hasSuffix(suffix) ? "\(path.dropLast(suffix.count))-\(node)\(suffix)" : "\(path)-\(node)")
        }
    }

    /// What the nodes know of each other.
    public struct Security: Sendable, Hashable {
        /// The secret by which nodes know each other; needed as soon as one of them listens beyond its machine.
        public let nodeToken: Secret?
    }
}

extension PlatformConfiguration.Telemetry {
    init(reading section: SectionReader) {
        accessLog = section.value(
            "accessLog", .keyword(example: .json), default: "json", "The form of access log lines.")
        prometheus = section.section(
            "prometheus",
            .section("a Prometheus section") { prometheus in
                Prometheus(
                    path: prometheus.value("path", .urlPath, default: "/metrics", "The path."),
                    listen: prometheus.optional(
                        "listen", .address, "An address of their own; the admin door unless given."))
            }, "Metrics in Prometheus' text format.")
        section.reserved("otlp", "export of traces and metrics by OTLP")
        tracingSample = section.section(
            "tracing",
            .section("a tracing section") { tracing in
                tracing.value(
                    "sample", .ratio, default: "100%", "The share of the traces that begin here that are kept.")
            }, "Which traces are kept.")
    }
}

extension PlatformConfiguration.Admin {
    init(reading section: SectionReader) {
        listen = section.value("listen", .address, default: "unix:data/admin.sock", "Where the door listens.")
        token = section.optional(
            "token", .secret(minimumBytes: 16), "What a client must know on TCP; write it as ${NAME}.")
        if case .tcp = listen, token == nil {
            section.report("on TCP the door needs a 'token'; on a Unix socket the file's mode is enough", key: "listen")
        }
    }
}

extension PlatformConfiguration.Security {
    init(reading section: SectionReader) {
        nodeToken = section.optional(
            "nodeToken", .secret(minimumBytes: 16), "The secret by which nodes know each other; write it as ${NAME}.")
    }
}
