import DovetailCore
import DovetailResilience
import HTTPTypes

extension Route.Destination {
    /// The upstreams that it names.
    var upstreams: [String] {
        switch self {
        case .http(let name): [name]
        case .split(let weights): weights.keys.sorted()
        case .redirect, .handler, .batch, .aggregate: []
        }
    }
}

/// One thing that is reachable through the gateway: which requests, under which rules, to where.
public struct Route: Sendable {
    /// Who may use a route. Said in words, never defaulted.
    public enum Authentication: Sendable, Hashable {
        /// Anybody.
        case none
        /// Whoever the authenticator of this name vouches for.
        case named(String)
    }

    /// Whose requests a rate limit counts together.
    public enum RateLimitSubject: Sendable, Hashable {
        /// All of them.
        case route
        /// Those of one principal; those without one by address.
        case principal
        /// Those of one client address.
        case address
        /// Those with one value of a header field; those without it by address.
        case header(String)
    }

    /// A rate limit of a route.
    public struct Limit: Sendable, Hashable {
        /// How much.
        public var limit: RateLimit
        /// For each of whom.
        public var by: RateLimitSubject

        /// A limit for each `by`.
        public init(_ limit: RateLimit, by: RateLimitSubject) {
            self.limit = limit
            self.by = by
        }
    }

    /// The path that the upstream sees.
    public enum Rewrite: Sendable, Hashable {
        /// The client's, in canonical form.
        case none
        /// Made of the route's captures: `/v1/orders/{id}`.
        case template(String)
        /// The client's without this beginning.
        case stripPrefix(String)
    }

    /// Where requests go.
    public enum Destination: Sendable {
        /// To the upstream of this name.
        case http(String)
        /// To one of several upstreams, drawn for each request by these weights.
        case split([String: Int])
        /// Nowhere: the client is told another place.
        case redirect(Redirect)
        /// To a handler in this process, without a socket.
        case handler(any RawHandler)
        /// To the routes of the requests that it carries.
        case batch(BatchPolicy)
        /// To several routes, whose answers become one.
        case aggregate(AggregatePlan)
    }

    /// Names the route in metrics, logs and explanations; unique in a configuration.
    public var id: String
    /// What it is a part of, with other routes of the same name: they share what their limits let in. Nil for a route by itself.
    public var section: String?
    /// The host it is for, in lower case and without a port; nil for every host.
    public var host: String?
    /// The methods it takes; empty for all. GET includes HEAD.
    public var methods: Set<HTTPRequest.Method>
    /// The paths it takes.
    public var path: PathPattern
    /// What a request has to say besides; of routes with the same path the one with the most conditions comes first.
    public var conditions: [RouteCondition] = []
    /// From where it may be used; nil for from everywhere.
    public var addresses: AddressFilter?
    /// Whether a client may make a WebSocket of its connection (RFC 6455). Its timeout ends with the upstream's agreement.
    public var allowsWebSocket = false
    /// What is kept of an upstream's answers; nil for nothing.
    public var cache: CachePolicy?
    /// Changes to the request's fields, for whoever answers it.
    public var requestHeaders: HeaderEdits?
    /// Changes to the fields of its answers, but for refusals of the gateway's own.
    public var responseHeaders: HeaderEdits?
    /// Who may use it.
    public var authentication: Authentication
    /// Scopes that the principal must have, all of them.
    public var scopes: Set<String>
    /// Claims that the principal must have, all of them, with their values; `{name}` stands for what the path captured.
    public var claims: [String: String] = [:]
    /// Limits on requests: a request has to be let in by each of them. Those that do not ask who calls are asked before authentication, then those by
    /// principal, then those of the route as a whole; of the same kind in this order.
    public var rateLimits: [Limit]
    /// From the request's head to the answer's last byte; nil for no limit, as a stream of events wants it.
    public var timeout: Duration?
    /// The path that the upstream sees.
    public var rewrite: Rewrite
    /// Where requests go.
    public var destination: Destination
    /// Whether a request may be sent again after it may have been carried out; nil for what the method promises.
    public var isIdempotent: Bool?
    /// Bytes of a request body at most.
    public var maximumBodyBytes: Int
    /// The most requests in flight by it; nil for no limit.
    public var maximumInFlight: InFlightPolicy?
    /// Whether it is answered even while the gateway has more to do than it takes on, as a health check has to be.
    public var isEssential = false
    /// Since when it is deprecated, and until when it is there; nil if it is not.
    public var deprecation: Deprecation?
    /// Where copies of its requests go; nil for nowhere.
    public var mirror: MirrorPolicy?
    /// Its own cross-origin policy; nil for the gateway's.
    public var cors: CORSPolicy?

    /// What its limits are counted under.
    var limitedAs: String { section ?? id }

    /// A route; 15 s and 1 MiB of body unless given.
    public init(
        id: String, host: String? = nil, methods: Set<HTTPRequest.Method> = [], path: PathPattern,
        authentication: Authentication, scopes: Set<String> = [], rateLimits: [Limit] = [],
        timeout: Duration? = .seconds(15), rewrite: Rewrite = .none, destination: Destination,
        isIdempotent: Bool? = nil, maximumBodyBytes: Int = 1_048_576, cors: CORSPolicy? = nil
    ) {
        self.id = id
        self.host = host
        self.methods = methods
        self.path = path
        self.authentication = authentication
        self.scopes = scopes
        self.rateLimits = rateLimits
        self.timeout = timeout
        self.rewrite = rewrite
        self.destination = destination
        self.isIdempotent = isIdempotent
        self.maximumBodyBytes = maximumBodyBytes
        self.cors = cors
    }
}
