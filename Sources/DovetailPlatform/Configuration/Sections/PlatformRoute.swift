import DovetailGateway
import DovetailResilience

extension PlatformConfiguration {
    /// What can be reached from outside under a path, who may, and how often.
    public struct Route: Sendable, Hashable {
        /// Where a request goes.
        public enum Target: Sendable, Hashable {
            /// To the module that provides the contract. Methods, scopes, timeout and retry safety come from the contract.
            case contract(ContractReference)
            /// To an upstream by its name.
            case upstream(String)
            /// To one of several upstreams, drawn by their weights.
            case split([Share])
            /// To the upstream of the version that it asks for.
            case versions(Versions)
            /// Nowhere: the caller is told another place.
            case redirect(Redirect)
            /// To the routes of the requests that it carries.
            case batch(Batch)
            /// To several routes, whose answers become one.
            case aggregate([Part], maxAnswer: Int)
        }

        /// An upstream's share of a route's requests.
        public struct Share: Sendable, Hashable {
            /// The upstream.
            public let upstream: String
            /// Its weight beside the others'.
            public let weight: Int
        }

        /// Another place (RFC 9110, 15.4).
        public struct Redirect: Sendable, Hashable {
            /// 308 by default: for good, and with the same method.
            public let status: Int
            /// Its scheme; nil: the caller's.
            public let scheme: String?
            /// Its host and port; nil: the caller's.
            public let host: String?
        }

        /// Something that a request has to say besides its path and method.
        public struct Condition: Sendable, Hashable {
            /// The header or the parameter.
            public let name: String
            /// What it says; nil: it only has to be there.
            public let value: String?
        }

        /// Changes to the header fields of a message.
        public struct HeaderEdits: Sendable, Hashable {
            /// Fields that are set, in place of those that were there.
            public let set: [String: String]
            /// Fields that go.
            public let remove: [String]
        }

        /// Which answers are kept at the gateway (RFC 9111); what an answer says itself comes first.
        public struct Cache: Sendable, Hashable {
            /// How long an answer is fresh that does not say; nil: it is not kept.
            public let freshFor: Duration?
            /// How long after that it is served while one request fetches it anew.
            public let staleWhileRevalidate: Duration
            /// How long after that it is served where whoever answers fails.
            public let staleIfError: Duration
            /// The largest body that is kept; 1 MiB by default.
            public let maxBody: Int
        }

        /// From where a route may be used.
        public struct Addresses: Sendable, Hashable {
            /// Ranges that may; none: all.
            public let allow: [String]
            /// Ranges that may not, of those.
            public let deny: [String]
        }

        /// Who may call.
        public enum Authentication: Sendable, Hashable {
            /// Everyone; the file says `none`.
            case none
            /// Whom the authenticator of this name knows.
            case authenticator(String)
        }

        /// Where a request goes.
        public let target: Target
        /// The path. Of a contract: the prefix of its endpoints in place of the contract's own, as `/api`. Of an upstream: a
        /// pattern, in which `{name}` is one segment and a last `**` all that follow.
        public let path: String
        /// The `Host` that it answers to; nil: every one.
        public let host: String?
        /// The methods; none: all, or those of the contract.
        public let methods: [String]
        /// Header fields that a request has to have.
        public let headers: [Condition]
        /// Parameters that its query has to have.
        public let query: [Condition]
        /// From where it may be used; nil: from everywhere.
        public let addresses: Addresses?
        /// Whether clients may make WebSockets of their connections.
        public let webSocket: Bool
        /// Which answers are kept at the gateway; nil: none.
        public let cache: Cache?
        /// Changes to requests, for whoever answers them.
        public let requestHeaders: HeaderEdits?
        /// Changes to answers, but for the gateway's own refusals.
        public let responseHeaders: HeaderEdits?
        /// Who may call. Always said in the file, never by default.
        public let authentication: Authentication
        /// What the caller must be allowed, beside what the contract's endpoints require.
        public let scopes: [String]
        /// What claims of the caller have to say.
        public let claims: [String: String]
        /// How often the route may be used, and by each caller: all of them hold, over all routes that the section becomes. None: without a limit.
        public let rateLimits: [RouteRateLimit]
        /// How long a caller waits at most; nil: what the contract says, or 15 s, and no limit for a stream.
        public let timeout: Timeout?
        /// How the path is changed for an upstream; nil: not at all.
        public let rewrite: Rewrite?
        /// The largest request body in bytes; nil: the gateway's limit.
        public let maxBody: Int?

        /// The most requests in flight by it; nil: without a limit.
        public let maxInFlight: InFlight?
        /// Whether it is answered even while the gateway has more to do than it takes on.
        public let essential: Bool
        /// Where copies of its requests go; nil: nowhere.
        public let mirror: Mirror?
        /// What its answers say of its end; nil: nothing.
        public let deprecation: Deprecation?

        /// How a path is changed on its way to an upstream.
        public enum Rewrite: Sendable, Hashable {
            /// The prefix is cut off.
            case stripPrefix(String)
            /// The path is replaced; `{name}` stands for what the route's path matched.
            case path(String)
        }
    }

    /// How often a route may be used, in all or by each caller.
    public struct RouteRateLimit: Sendable, Hashable {
        /// What tells one caller from another.
        public enum Key: Sendable, Hashable {
            /// Nothing: it is the route's as a whole.
            case route
            /// The authenticated principal.
            case principal
            /// The client's address.
            case address
            /// A request header's value.
            case header(String)
        }

        /// The rate and the burst; the burst is the rate's count by default.
        public let limit: RateLimit
        /// What tells callers apart; by default the principal, or the address on a route without authentication.
        public let key: Key
    }
}

extension PlatformConfiguration.Route {
    init(reading section: SectionReader) {
        let contract = section.optional(
            "contract", .contract, "A contract such as orders@1: all its endpoints, as the contract describes them.")
        let upstream = section.optional("upstream", .name, "The upstream that requests go to.")
        let split = section.optional(
            "split",
            .named("upstreams with their weights, as { stable: 95, canary: 5 }") { _ in .integer(0...1_000_000) },
            "Upstreams that requests are drawn to by weight.")
        let redirect = section.optional(
            "redirect", .section("a redirect", Redirect.init), "Another place that callers are told of.")
        let batch = section.optional(
            "batch", .section("{ maximum: … }", Batch.init),
            "Many requests as one, each answered by its own route, by POST.")
        let aggregate = section.optional(
            "aggregate", .section("{ parts: … }", Aggregate.init),
            "Several of the gateway's own routes, whose answers become one, by GET.")
        let versions = section.optional(
            "versions", .section("versions: { by: …, default: …, of: … }", PlatformConfiguration.Versions.init),
            "The versions of what is there, each with its upstream.")
        section.exactlyOne(of: "contract", "upstream", "split", "redirect", "versions", "batch", "aggregate")
        target =
            versions.map(Target.versions) ?? contract.map(Target.contract) ?? split.map {
                .split($0.map { Share(upstream: $0.name, weight: $0.value) })
            }
            ?? redirect.map(Target.redirect) ?? batch.map(Target.batch)
            ?? aggregate.map { .aggregate($0.parts, maxAnswer: $0.maxAnswer) } ?? .upstream(upstream ?? "")
        path = section.required(
            "path", .routePattern, "The prefix of a contract's endpoints, or the pattern of an upstream's paths.")
        host = section.optional("host", .hostName, "The Host that the route answers to; every one unless given.")
        methods = section.collection(
            "methods", .list(of: .method, orSingle: true), "The methods; all, or those of the contract, unless given.")
        headers = section.collection(
            "headers", .named("header names with their values", keys: .headers) { _ in .headerValue },
            "Header fields that a request has to have; * stands for any value."
        ).map(Condition.init)
        query = section.collection(
            "query", .named("parameters with their values", keys: .parameters) { _ in .headerValue },
            "Parameters that the query has to have; * stands for any value."
        ).map(Condition.init)
        addresses = section.optional(
            "addresses", .section("{ allow: …, deny: … }", Addresses.init), "From where the route may be used.")
        requestHeaders = section.optional(
            "requestHeaders", .section("{ set: …, remove: … }", HeaderEdits.init),
            "Changes to requests, for whoever answers them.")
        responseHeaders = section.optional(
            "responseHeaders", .section("{ set: …, remove: … }", HeaderEdits.init),
            "Changes to answers, but for the gateway's own refusals.")
        authentication = section.required(
            "authentication", .routeAuthentication, "The authenticator that callers must satisfy, or none.")
        scopes = section.collection(
            "scopes", .list(of: .scope, orSingle: true),
            "What the caller must be allowed, beside what the contract requires.")
        claims = section.claims(
            "What claims of the caller have to say, all of them; {name} stands for what the path matched.")
        let isOpen = authentication == .none
        if isOpen, !claims.isEmpty {
            section.report("claims need a caller, and the route's authentication is none", key: "claims")
        }
        let limit = ConfigurationType.section("a rate limit") {
            PlatformConfiguration.RouteRateLimit(isOpen: isOpen, reading: $0)
        }
        rateLimits =
            section.optional(
                "rateLimit", .list(of: limit, atLeast: 1, orSection: true),
                "How often each caller may call, or all together; several limits hold all.") ?? []
        timeout = section.optional(
            "timeout", .timeout,
            "How long a caller waits at most; none for streams.")
        rewrite = section.optional(
            "rewrite", .section("a rewrite: { stripPrefix: … } or { path: … }", Rewrite.init),
            "How the path is changed for an upstream.")
        maxBody = section.optional(
            "maxBody", .byteCount(0...1 << 40), "The largest request body; the gateway's limit unless given.")
        webSocket = section.value(
            "webSocket", .flag, default: "false", "Whether clients may make WebSockets of their connections.")
        cache = section.optional(
            "cache", .section("a cache section", Cache.init), "Which answers are kept at the gateway.")
        maxInFlight = section.optional(
            "maxInFlight", .inFlight, "The most requests in flight; those beyond are answered 503, or wait.")
        essential = section.value(
            "essential", .flag, default: "false", "Whether it is answered even while the gateway sheds load.")
        mirror = section.optional(
            "mirror", .section("{ upstream: …, share: … }", PlatformConfiguration.Mirror.init),
            "A second upstream that gets copies of requests, and whose answers nobody sees.")
        deprecation = PlatformConfiguration.Deprecation(among: section)
        if path.hasPrefix("~") {
            do { _ = try PathPattern(path) } catch { section.report("\(error)", key: "path") }
            if case .versions(let versions) = target, versions.by == .path {
                section.report("with an expression for a path, versions are told by a header", key: "path")
            }
        }
        if mirror != nil {
            if case .redirect = target { section.report("nothing goes anywhere that could be copied", key: "mirror") }
        }
        if isOpen, !scopes.isEmpty {
            section.report("scopes need a caller, and the route's authentication is none", key: "scopes")
        }
        if batch != nil || aggregate != nil { reportWhatOthersDo(section) }
        if let split, !split.isEmpty, split.allSatisfy({ $0.value == 0 }) {
            section.report("with weights of zero nothing goes anywhere", key: "split")
        }
        if contract != nil, rewrite != nil {
            section.report(
                "the paths of a contract's endpoints are known; only an upstream's are rewritten", key: "rewrite")
        }
        if contract != nil, path.contains("*") || path.contains("{") || path.hasPrefix("~") {
            section.report("with a contract the path is a plain prefix such as /api", key: "path")
        }
        if case .stripPrefix(let prefix)? = rewrite, !PlatformConfiguration.Route.isPrefix(prefix, of: path) {
            section.report("the path \(quoted(path)) does not begin with \(quoted(prefix))", key: "rewrite")
        }
    }

    private static func isPrefix(_ prefix: String, of path: String) -> Bool {
        let prefix = prefix.hasSuffix("/") ? prefix : prefix + "/"
        return (path + "/").hasPrefix(prefix)
    }
}

extension PlatformConfiguration.Route.Rewrite {
    init(reading section: SectionReader) {
        let prefix = section.optional("stripPrefix", .urlPath, "A prefix that is cut off.")
        let path = section.optional("path", .routePath, "The whole new path; {name} stands for what the route matched.")
        section.exactlyOne(of: "stripPrefix", "path")
        self = prefix.map(Self.stripPrefix) ?? .path(path ?? "/")
    }
}

extension PlatformConfiguration.RouteRateLimit {
    init(isOpen: Bool, reading section: SectionReader) {
        limit = RateLimit(reading: section)
        let key = section.optional(
            "by", .rateLimitKey,
            "What tells callers apart, or route for all together; principal, or address without authentication, unless given."
        )
        self.key = key ?? (isOpen ? .address : .principal)
        if isOpen, key == .principal {
            section.report("callers of a route without authentication have no principal; limit by address", key: "by")
        }
    }
}

extension PlatformConfiguration.Route.Redirect {
    init(reading section: SectionReader) {
        status = section.value(
            "status", .integer(300...308), default: "308", "The status: 301, 302, 303, 307 or 308.")
        scheme = section.optional(
            "scheme",
            .text("http or https", pattern: "^https?$", example: "https") {
                ["http", "https"].contains($0) ? $0 : nil
            },
            "The scheme of the other place; the caller's unless given.")
        host = section.optional(
            "host",
            .text("a host, with a port where it has one", pattern: "^[A-Za-z0-9.:\\[\\]-]+$", example: "localhost") {
                ServerURL("http://\($0)") == nil ? nil : $0
            }, "The host of the other place; the caller's unless given.")
        if ![301, 302, 303, 307, 308].contains(status) {
            section.report("\(status) does not send callers elsewhere; use 301, 302, 303, 307 or 308", key: "status")
        }
    }
}

extension PlatformConfiguration.Route.Condition {
    fileprivate init(_ entry: (name: String, value: String)) {
        self.init(name: entry.name, value: entry.value == "*" ? nil : entry.value)
    }
}

extension PlatformConfiguration.Route.Addresses {
    init(reading section: SectionReader) {
        allow = section.collection(
            "allow", .list(of: .addressRange, orSingle: true), "Ranges of addresses that may; all unless given.")
        deny = section.collection(
            "deny", .list(of: .addressRange, orSingle: true), "Ranges of addresses that may not, of those.")
    }
}

extension PlatformConfiguration.Route.HeaderEdits {
    init(reading section: SectionReader) {
        let set = section.collection(
            "set", .named("header names with their values", keys: .headers) { _ in .headerValue },
            "Fields that are set, in place of those that were there.")
        self.set = Dictionary(set.map { ($0.name, $0.value) }) { first, _ in first }
        remove = section.collection("remove", .list(of: .headerName, orSingle: true), "Fields that go.")
        if let flaw = DovetailGateway.HeaderEdits(set: self.set, remove: Set(remove)).flaw {
            section.report(flaw, key: set.isEmpty ? "remove" : "set")
        }
    }
}

extension PlatformConfiguration.Route.Cache {
    init(reading section: SectionReader) {
        freshFor = section.optional(
            "freshFor", .duration, "How long an answer is fresh that does not say so itself; not kept unless given.")
        staleWhileRevalidate = section.value(
            "staleWhileRevalidate", .duration(orZero: true), default: "0s",
            "How long after that it is served while one request fetches it anew.")
        staleIfError = section.value(
            "staleIfError", .duration(orZero: true), default: "0s",
            "How long after that it is served where whoever answers fails.")
        maxBody = section.value(
            "maxBody", .byteCount(0...1 << 30), default: "1MiB", "The largest body that is kept.")
    }
}

extension PlatformConfiguration.Route {
    /// How long a caller waits at most.
    public enum Timeout: Sendable, Hashable {
        /// As long as it takes.
        case none
        /// From the request's head to the answer's last byte.
        case after(Duration)
    }

    /// How long a caller waits for what has this timeout of its own, where it has one; nil for as long as it takes.
    func limit(own: Duration? = nil, isStream: Bool = false) -> Duration? {
        switch timeout {
        case .after(let limit): min(limit, own ?? limit)
        case .some(.none): own
        case nil: own ?? (isStream ? nil : .seconds(15))
        }
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Route.Timeout {
    fileprivate static var timeout: ConfigurationType {
        let none: ConfigurationType<Duration?> = .none()
        let duration: ConfigurationType<Duration> = .duration
        return none.or(duration.map { .some($0) }).map { $0.map(Value.after) ?? Value.none }
    }
}
