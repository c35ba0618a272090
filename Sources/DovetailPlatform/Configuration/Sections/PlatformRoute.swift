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
        /// Who may call. Always said in the file, never by default.
        public let authentication: Authentication
        /// What the caller must be allowed, beside what the contract's endpoints require.
        public let scopes: [String]
        /// How often each caller may call; nil: without a limit.
        public let rateLimit: RouteRateLimit?
        /// How long a caller waits at most; nil: what the contract says, or the policy.
        public let timeout: Duration?
        /// How the path is changed for an upstream; nil: not at all.
        public let rewrite: Rewrite?
        /// The largest request body in bytes; nil: the gateway's limit.
        public let maxBody: Int?

        /// How a path is changed on its way to an upstream.
        public enum Rewrite: Sendable, Hashable {
            /// The prefix is cut off.
            case stripPrefix(String)
            /// The path is replaced; `{name}` stands for what the route's path matched.
            case path(String)
        }
    }

    /// How often each caller may call a route.
    public struct RouteRateLimit: Sendable, Hashable {
        /// What tells one caller from another.
        public enum Key: Sendable, Hashable {
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
        section.exactlyOne(of: "contract", "upstream")
        target = contract.map(Target.contract) ?? .upstream(upstream ?? "")
        path = section.required(
            "path", .routePath, "The prefix of a contract's endpoints, or the pattern of an upstream's paths.")
        host = section.optional("host", .hostName, "The Host that the route answers to; every one unless given.")
        methods = section.collection(
            "methods", .list(of: .method, orSingle: true), "The methods; all, or those of the contract, unless given.")
        authentication = section.required(
            "authentication", .routeAuthentication, "The authenticator that callers must satisfy, or none.")
        scopes = section.collection(
            "scopes", .list(of: .scope, orSingle: true),
            "What the caller must be allowed, beside what the contract requires.")
        let isOpen = authentication == .none
        rateLimit = section.optional(
            "rateLimit", .section("a rate limit") { PlatformConfiguration.RouteRateLimit(isOpen: isOpen, reading: $0) },
            "How often each caller may call.")
        timeout = section.optional("timeout", .duration, "How long a caller waits at most.")
        rewrite = section.optional(
            "rewrite", .section("a rewrite: { stripPrefix: … } or { path: … }", Rewrite.init),
            "How the path is changed for an upstream.")
        maxBody = section.optional(
            "maxBody", .byteCount(0...1 << 40), "The largest request body; the gateway's limit unless given.")
        section.reserved("cache", "answers kept at the gateway")
        if isOpen, !scopes.isEmpty {
            section.report("scopes need a caller, and the route's authentication is none", key: "scopes")
        }
        if contract != nil, rewrite != nil {
            section.report(
                "the paths of a contract's endpoints are known; only an upstream's are rewritten", key: "rewrite")
        }
        if contract != nil, path.contains("*") || path.contains("{") {
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
            "by", .rateLimitKey, "What tells callers apart; principal, or address without authentication, unless given."
        )
        self.key = key ?? (isOpen ? .address : .principal)
        if isOpen, key == .principal {
            section.report("callers of a route without authentication have no principal; limit by address", key: "by")
        }
    }
}
