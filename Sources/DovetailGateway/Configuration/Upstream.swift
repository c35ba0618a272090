import DovetailResilience

/// A service behind the gateway that is reached over HTTP/1.1: its servers, and how calls to it behave.
public struct Upstream: Sendable {
    /// One server.
    public struct Server: Sendable, Hashable {
        /// A name or an address.
        public var host: String
        /// The port.
        public var port: Int

        /// A server.
        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// How a server is chosen.
    public enum LoadBalancing: Sendable, Hashable {
        /// Each in turn.
        case roundRobin
        /// The one with fewer requests in flight of two drawn at random.
        case leastRequest
    }

    /// The name that routes use.
    public var name: String
    /// Its servers, at least one.
    public var servers: [Server]
    /// How a server is chosen.
    public var loadBalancing: LoadBalancing
    /// How long one attempt to connect may take.
    public var connectTimeout: Duration
    /// Connections to each server from each event loop at most. Requests beyond wait their turn until their timeout.
    public var poolSize: Int
    /// Requests that wait for a connection on each event loop at most; more are answered 503.
    public var maximumWaiting: Int
    /// How long an unused connection is kept. Must be shorter than the server's own, or it closes under a request.
    public var idleTimeout: Duration
    /// When requests are stopped because too many fail: a 500, 502, 503 or 504, no answer, no connection. Nil for never. The
    /// policy's `outcome` is not asked.
    public var circuitBreaker: CircuitBreakerPolicy?
    /// Which failed attempts are made again; nil for none but the free one on a connection that went stale.
    public var retry: UpstreamRetry?
    /// Whether its servers are nodes of this platform: they alone are told the principal, and get the nodes' token.
    public var isFellow: Bool

    /// An upstream with the defaults of a network nearby.
    public init(
        name: String, servers: [Server], loadBalancing: LoadBalancing = .roundRobin,
        connectTimeout: Duration = .seconds(1), poolSize: Int = 256, maximumWaiting: Int = 1024,
        idleTimeout: Duration = .seconds(50), circuitBreaker: CircuitBreakerPolicy? = .init(),
        retry: UpstreamRetry? = .init(), isFellow: Bool = false
    ) {
        self.name = name
        self.servers = servers
        self.loadBalancing = loadBalancing
        self.connectTimeout = connectTimeout
        self.poolSize = poolSize
        self.maximumWaiting = maximumWaiting
        self.idleTimeout = idleTimeout
        self.circuitBreaker = circuitBreaker
        self.retry = retry
        self.isFellow = isFellow
    }

    /// Whether `other` says the same, so that pools, breaker and budget can go on.
    func isSame(as other: Upstream) -> Bool {
        name == other.name && servers == other.servers && loadBalancing == other.loadBalancing
            && connectTimeout == other.connectTimeout && poolSize == other.poolSize
            && maximumWaiting == other.maximumWaiting && idleTimeout == other.idleTimeout && retry == other.retry
            && isFellow == other.isFellow && Upstream.isSame(circuitBreaker, other.circuitBreaker)
    }

    /// Compares what the gateway uses of two policies; a closure cannot be compared.
    private static func isSame(_ one: CircuitBreakerPolicy?, _ other: CircuitBreakerPolicy?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        return one.window == other.window && one.failureRateThreshold == other.failureRateThreshold
            && one.minimumNumberOfCalls == other.minimumNumberOfCalls
            && one.slowCallDurationThreshold == other.slowCallDurationThreshold
            && one.slowCallRateThreshold == other.slowCallRateThreshold
            && one.consecutiveConnectFailures == other.consecutiveConnectFailures
            && one.openDuration == other.openDuration && one.maximumOpenDuration == other.maximumOpenDuration
            && one.openDurationJitter == other.openDurationJitter
            && one.permittedNumberOfCallsInHalfOpenState == other.permittedNumberOfCallsInHalfOpenState
            && one.maximumDurationInHalfOpenState == other.maximumDurationInHalfOpenState
    }
}
