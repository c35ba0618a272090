import DovetailResilience

/// A service behind the gateway: its servers, and how calls to it behave.
public struct Upstream: Sendable {
    /// One server.
    public struct Server: Sendable, Hashable {
        /// A name or an address.
        public var host: String
        /// The port.
        public var port: Int
        /// Its share beside the others'.
        public var weight: Int
        /// The name that the address was found by; nil if `host` is as configured.
        var resolvedFrom: String?

        /// The host as configured.
        var hostName: String { resolvedFrom ?? host }
        /// The address that is connected to, and the port.
        var place: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
        /// Host and port as `Host` has them.
        var authority: String { "\(bracketed):\(port)" }
        /// The same without the port that the scheme implies.
        func authority(isSecure: Bool) -> String { port == (isSecure ? 443 : 80) ? bracketed : authority }
        private var bracketed: String { hostName.contains(":") ? "[\(hostName)]" : hostName }

        /// A server.
        public init(host: String, port: Int, weight: Int = 1) {
            self.host = host
            self.port = port
            self.weight = weight
        }
    }

    /// Which `Host` servers are told, `:authority` in HTTP/2. `X-Forwarded-Host` is the client's in any case.
    public enum HostHeader: Sendable, Hashable {
        /// The one that the client has sent.
        case client
        /// The server's own name, as it is configured, with its port where that is not the scheme's.
        case server
        /// This one, with its port where it has one.
        case fixed(String)
    }

    /// What is spoken to servers.
    public enum Transport: String, Sendable, Hashable, CaseIterable {
        /// HTTP/1.1 on connections that are kept.
        case http1
        /// HTTP/2: agreed on by ALPN over TLS, by prior knowledge without (RFC 9113 3). gRPC needs it.
        case http2
    }

    /// How a server is chosen.
    public enum LoadBalancing: Sendable, Hashable {
        /// What a key is made of.
        public enum Key: Sendable, Hashable {
            /// The client's address.
            case address
            /// The principal; the address of who has none.
            case principal
            /// The path.
            case path
            /// A header field's value; the address of who sends none.
            case header(String)
        }

        /// Each in turn, as often as its weight says.
        case roundRobin
        /// The one with fewer requests in flight, by its weight, of two drawn at random.
        case leastRequest
        /// The one of two drawn at random that would answer sooner, by its latest answers and what it has in flight.
        case peakLatency
        /// Always the same for a key, as long as it is there.
        case consistentHash(Key)
    }

    /// When a server is left out for a while because of its answers.
    public struct OutlierEjection: Sendable, Hashable {
        /// Failures in a row that are too many: no connection, no answer, or a 500, 502, 503 or 504.
        public var consecutiveFailures: Int
        /// How long it is left out the first time; the second time twice as long, and so on.
        public var time: Duration
        /// How long at most.
        public var longestTime: Duration
        /// The largest share of the servers that are left out at a time, rounded up; half of them unless set. The last one never is.
        public var maximumShare = 0.5

        /// Five in a row, for ten seconds, at most five minutes.
        public init(
            consecutiveFailures: Int = 5, time: Duration = .seconds(10), longestTime: Duration = .seconds(300)
        ) {
            self.consecutiveFailures = consecutiveFailures
            self.time = time
            self.longestTime = longestTime
        }
    }

    /// Requests that find out whether a server is well.
    public struct HealthCheck: Sendable, Hashable {
        /// What is asked for, by GET.
        public var path: String
        /// The statuses of one who is well.
        public var statuses: ClosedRange<Int>
        /// From one request to the next.
        public var interval: Duration
        /// How long an answer may take.
        public var timeout: Duration
        /// So many answers in a row that say so make a server well again.
        public var healthyAfter: Int
        /// So many failures in a row, and it is asked nothing else.
        public var unhealthyAfter: Int

        /// A check every 5 s.
        public init(
            path: String, statuses: ClosedRange<Int> = 200...399, interval: Duration = .seconds(5),
            timeout: Duration = .seconds(2), healthyAfter: Int = 2, unhealthyAfter: Int = 3
        ) {
            self.path = path
            self.statuses = statuses
            self.interval = interval
            self.timeout = timeout
            self.healthyAfter = healthyAfter
            self.unhealthyAfter = unhealthyAfter
        }
    }

    /// The name that routes use.
    public var name: String
    /// Its servers, at least one.
    public var servers: [Server]
    /// What is spoken to them.
    public var `protocol` = Transport.http1
    /// Which `Host` they are told.
    public var hostHeader = HostHeader.client
    /// How a server is chosen.
    public var loadBalancing: LoadBalancing
    /// When a server is left out because of its answers; nil for never.
    public var outlierEjection: OutlierEjection?
    /// How servers are asked whether they are well; nil for not at all.
    public var healthCheck: HealthCheck?
    /// How TLS is spoken to its servers; nil for clear text.
    public var tls: UpstreamTLS?
    /// How long one attempt to connect may take.
    public var connectTimeout: Duration
    /// How long an attempt may take from the last byte of its request to the head of its answer: one that takes longer has failed, and counts against
    /// its server. Nil: as long as its route has.
    public var attemptTimeout: Duration?
    /// Connections to each server from each event loop at most, of HTTP/2 streams. Requests beyond wait their turn until their timeout.
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
    /// The most requests in flight to it; nil for no limit.
    public var maximumInFlight: InFlightPolicy?
    /// A limit on requests in flight that is found by how long answers take; nil for none.
    public var adaptiveInFlight: AdaptiveInFlightPolicy?
    /// When a read is asked of a second server too, because the first one is slow; nil for never.
    public var hedge: HedgePolicy?
    /// How long a server that is new or well again takes to get its whole share; nil for no time.
    public var slowStart: Duration?
    /// How often the names of servers are resolved anew; nil for when a connection is made.
    public var resolveInterval: Duration?
    /// How its servers are told who calls; nil for not at all.
    public var principalHeaders: PrincipalHeaders?
    /// Whether its servers are nodes of this platform: they alone are told the principal, and get the nodes' token.
    public var isFellow: Bool

    /// An upstream with the defaults of a network nearby.
    public init(
        name: String, servers: [Server], loadBalancing: LoadBalancing = .roundRobin,
        outlierEjection: OutlierEjection? = .init(), healthCheck: HealthCheck? = nil,
        connectTimeout: Duration = .seconds(1), poolSize: Int = 256, maximumWaiting: Int = 1024,
        idleTimeout: Duration = .seconds(50), circuitBreaker: CircuitBreakerPolicy? = .init(),
        retry: UpstreamRetry? = .init(), isFellow: Bool = false
    ) {
        self.name = name
        self.servers = servers
        self.loadBalancing = loadBalancing
        self.outlierEjection = outlierEjection
        self.healthCheck = healthCheck
        self.connectTimeout = connectTimeout
        self.poolSize = poolSize
        self.maximumWaiting = maximumWaiting
        self.idleTimeout = idleTimeout
        self.circuitBreaker = circuitBreaker
        self.retry = retry
        self.isFellow = isFellow
    }

    /// What a server is told that it is asked as, where that is not for the client to say.
    func host(for server: Server) -> String {
        switch hostHeader {
        case .client: server.authority
        case .server: server.authority(isSecure: tls != nil)
        case .fixed(let host): host
        }
    }

    /// Whether `other` says the same, so that pools, breaker and budget can go on.
    func isSame(as other: Upstream) -> Bool { servers == other.servers && isSameButServers(as: other) }

    /// Whether `other` says the same but for which servers there are.
    func isSameButServers(as other: Upstream) -> Bool {
        name == other.name && self.protocol == other.protocol && hostHeader == other.hostHeader
            && loadBalancing == other.loadBalancing
            && tls == other.tls && outlierEjection == other.outlierEjection && healthCheck == other.healthCheck
            && connectTimeout == other.connectTimeout && attemptTimeout == other.attemptTimeout
            && poolSize == other.poolSize
            && maximumWaiting == other.maximumWaiting && idleTimeout == other.idleTimeout && retry == other.retry
            && isFellow == other.isFellow && maximumInFlight == other.maximumInFlight
            && adaptiveInFlight == other.adaptiveInFlight && hedge == other.hedge && slowStart == other.slowStart
            && resolveInterval == other.resolveInterval && principalHeaders == other.principalHeaders
            && Upstream.isSame(circuitBreaker, other.circuitBreaker)
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
