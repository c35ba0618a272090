import DovetailGateway

extension PlatformConfiguration {
    /// How many requests may be in flight at the same time.
    public struct InFlight: Sendable, Hashable {
        /// The most, over all event loops.
        public let requests: Int
        /// The most that wait for a place; none by default: those beyond are answered 503 at once.
        public let queue: Int
        /// How long one waits at most; 500 ms by default.
        public let wait: Duration
    }

    /// A limit on requests in flight that is found by how long answers take.
    public struct AdaptiveLimit: Sendable, Hashable {
        /// The limit to begin with; 20 by default.
        public let initial: Int
        /// The lowest; 5 by default.
        public let least: Int
        /// The highest; 1000 by default.
        public let most: Int
        /// Whether it holds, or metrics only tell what it would do.
        public let observe: Bool
    }

    /// A second upstream that gets copies of requests.
    public struct Mirror: Sendable, Hashable {
        /// The upstream.
        public let upstream: String
        /// Which share of the requests; all by default.
        public let share: Double
        /// Whether those that are not idempotent are copied too.
        public let allMethods: Bool
        /// The largest body that is copied; 64 KiB by default.
        public let maxBody: Int
        /// Copies in flight on each event loop at most; 100 by default.
        public let maxInFlight: Int
    }

    /// What answers say of a route's end.
    public struct Deprecation: Sendable, Hashable {
        /// From when it should not be used, in seconds since 1970.
        public let deprecated: Int64?
        /// When it will be gone.
        public let sunset: Int64?
        /// A page that tells more.
        public let link: String?
    }

    /// The versions of what is behind a path.
    public struct Versions: Sendable, Hashable {
        /// Where a request says its version.
        public enum Place: Sendable, Hashable {
            /// In this header.
            case header(String)
            /// At the beginning of its path, as `/v1`.
            case path
        }

        /// One version.
        public struct Version: Sendable, Hashable {
            /// Its name.
            public let name: String
            /// Where its requests go.
            public let upstream: String
            /// What its answers say of its end.
            public let deprecation: Deprecation?
        }

        /// Where a request says its version.
        public let by: Place
        /// The version of requests that say none; nil: they are not taken.
        public let standard: String?
        /// The versions.
        public let versions: [Version]
    }
}

extension ConfigurationType where Value == PlatformConfiguration.InFlight {
    /// A number, or a number with a queue.
    static var inFlight: ConfigurationType {
        ConfigurationType<Int>.integer(1...1_000_000).map { .init(requests: $0, queue: 0, wait: .milliseconds(500)) }
            .or(
                .section("a limit: { requests: 100, queue: 50, wait: 500ms }") { section in
                    .init(
                        requests: section.required("requests", .integer(1...1_000_000), "The most requests in flight."),
                        queue: section.value(
                            "queue", .integer(0...1_000_000), default: "0",
                            "The most that wait for a place; those beyond are answered 503 at once."),
                        wait: section.value("wait", .duration, default: "500ms", "How long one waits at most."))
                })
    }
}

extension PlatformConfiguration.InFlight {
    var compiled: InFlightPolicy { .init(maximum: requests, maximumWaiting: queue, longestWait: wait) }
}

extension PlatformConfiguration.AdaptiveLimit {
    init(reading section: SectionReader) {
        initial = section.value("initial", .integer(1...1_000_000), default: "20", "The limit to begin with.")
        least = section.value("least", .integer(1...1_000_000), default: "5", "The lowest that it becomes.")
        most = section.value("most", .integer(1...1_000_000), default: "1000", "The highest that it becomes.")
        observe = section.value(
            "observe", .flag, default: "false", "Whether metrics only tell what it would do, and nothing is refused.")
        if most < least { section.report("the highest limit is below the lowest", key: "most") }
    }

    var compiled: AdaptiveInFlightPolicy {
        .init(.init(initial: initial, minimum: least, maximum: max(most, least)), isEnforced: !observe)
    }
}

extension PlatformConfiguration.Mirror {
    init(reading section: SectionReader) {
        upstream = section.required("upstream", .name, "The upstream that gets the copies.")
        share = section.value("share", .ratio, default: "100%", "Which share of the requests is copied.")
        allMethods = section.value(
            "allMethods", .flag, default: "false",
            "Whether requests that are not idempotent are copied too: what they do is then done twice.")
        maxBody = section.value(
            "maxBody", .byteCount(0...1 << 24), default: "64KiB", "The largest body that is copied.")
        maxInFlight = section.value(
            "maxInFlight", .integer(1...100_000), default: "100", "Copies in flight on each event loop at most.")
    }

    var compiled: MirrorPolicy {
        .init(
            to: upstream, share: share, allMethods: allMethods, maximumBodyBytes: maxBody, maximumInFlight: maxInFlight)
    }
}

extension PlatformConfiguration.Deprecation {
    /// Reads the keys of a section that has others besides; nil if there are none.
    init?(among section: SectionReader) {
        deprecated = section.optional(
            "deprecated", .date, "From when it should not be used any more; answers say so (RFC 9745).")
        sunset = section.optional("sunset", .date, "When it will be gone; answers say so (RFC 8594).")
        link = section.optional("link", .link, "A page about it; answers link to it.")
        if let deprecated, let sunset, sunset < deprecated {
            section.report("it is gone before it is deprecated", key: "sunset")
        }
        if deprecated == nil, sunset == nil {
            if link != nil { section.report("a link needs 'deprecated' or 'sunset'", key: "link") }
            return nil
        }
    }

    var compiled: DovetailGateway.Deprecation { .init(date: deprecated, sunset: sunset, link: link) }
}

extension PlatformConfiguration.Versions {
    init(reading section: SectionReader) {
        by = section.required("by", .versionPlace, "Where a request says its version: header:name, or path.")
        standard = section.optional(
            "default", .versionName, "The version of requests that say none; they are not taken unless given.")
        versions = section.required(
            "of",
            .named("versions by name", keys: .versions) { name in
                .section("a version: { upstream: … }") { Version(name: name, reading: $0) }
            }, "The versions by name."
        ).map(\.value)
        if versions.isEmpty { section.report("there is no version", key: "of") }
        if let standard, !versions.isEmpty, !versions.contains(where: { $0.name == standard }) {
            section.report("no version is named \(quoted(standard))", key: "default")
        }
    }
}

extension PlatformConfiguration.Versions.Version {
    fileprivate init(name: String, reading section: SectionReader) {
        self.name = name
        upstream = section.required("upstream", .name, "The upstream that its requests go to.")
        deprecation = PlatformConfiguration.Deprecation(among: section)
    }
}
