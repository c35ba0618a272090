/// A gateway's counters since it started, summed over its loops, and a few gauges.
public struct GatewayMetrics: Sendable, Equatable {
    /// Why the gateway itself answered a request.
    public enum Rejection: String, Sendable, Hashable, CaseIterable {
        /// Not valid HTTP, or beyond a limit of the head.
        case malformed
        /// No route for the path, or none for the method.
        case noRoute, methodNotAllowed
        /// A body beyond the route's limit.
        case bodyTooLarge
        /// No or no valid credentials; not enough of a right.
        case unauthenticated, forbidden
        /// A rate limit, a full queue.
        case rateLimited, overloaded
        /// More than the gateway itself takes on.
        case shed
        /// An upstream that brought no answer, an open circuit breaker, a deadline.
        case upstream, circuitOpen, timeout
    }

    /// The counters of one upstream.
    public struct Upstream: Sendable, Equatable {
        /// Answers by the time from their attempt's start to their head, in the buckets of ``Route/bounds`` (not cumulative).
        public var latency = [UInt64](repeating: 0, count: Route.bounds.count + 1)
        /// The sum of all these times, in seconds.
        public var latencySum = 0.0
        /// Bytes of requests and of answers, with their heads; of WebSockets too.
        public var bytesSent: UInt64 = 0, bytesReceived: UInt64 = 0

        /// Counters at zero.
        public init() {}

        mutating func add(_ other: Upstream) {
            for index in latency.indices { latency[index] += other.latency[index] }
            latencySum += other.latencySum
            bytesSent += other.bytesSent
            bytesReceived += other.bytesReceived
        }
    }

    /// How many of an upstream's servers get requests, and why the others do not.
    public struct Servers: Sendable, Equatable {
        /// Those that get requests.
        public var available = 0
        /// Those that probes call unwell, and those that are left out because of their answers.
        public var unwell = 0, ejected = 0
        /// How often a server was left out because of its answers, in all.
        public var ejections: UInt64 = 0

        /// No servers.
        public init() {}
    }

    /// The counters of one route.
    public struct Route: Sendable, Equatable {
        /// Upper bounds of the latency buckets, in seconds; the last bucket has none.
        public static let bounds: [Double] = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
        ]
        /// Requests by the first digit of their status: index 0 for 1xx, 4 for 5xx; index 5 for those that broke off.
        public var requests = [UInt64](repeating: 0, count: 6)
        /// Requests in each latency bucket (not cumulative), from the head to the answer's last byte.
        public var latency = [UInt64](repeating: 0, count: bounds.count + 1)
        /// The sum of all latencies, in seconds.
        public var latencySum = 0.0

        /// Counters at zero.
        public init() {}
    }

    /// By route id; requests that met no route are under `""`.
    public var routes: [String: Route] = [:]
    /// Requests that the gateway answered itself, by reason.
    public var rejected: [Rejection: UInt64] = [:]
    /// Attempts that brought no answer, by upstream.
    public var upstreamErrors: [String: UInt64] = [:]
    /// Attempts beyond a request's first, by upstream.
    public var retries: [String: UInt64] = [:]
    /// Requests that were copied to a mirror, by its upstream; and those that were to be, but had too large a body or found too many on their way.
    public var mirrored: [String: UInt64] = [:], unmirrored: [String: UInt64] = [:]
    /// Second attempts that were made because the first server was slow; those whose answer came first; and those that the budget did not have. By upstream.
    public var hedges: [String: UInt64] = [:], hedgesWon: [String: UInt64] = [:], hedgesRefused: [String: UInt64] = [:]
    /// Requests in flight to upstreams that have a limit, and the limit as it stands.
    public var inFlight: [String: Int] = [:], inFlightLimits: [String: Int] = [:]
    /// Requests that an adaptive limit would have refused, were it more than observed. By upstream.
    public var wouldRefuse: [String: UInt64] = [:]
    /// Connections that were closed because there were too many.
    public var refusedConnections: UInt64 = 0
    /// How late the latest event loop is, in seconds.
    public var loopLag = 0.0
    /// What each upstream was asked and has answered.
    public var upstreams: [String: Upstream] = [:]
    /// How each upstream's servers are.
    public var servers: [String: Servers] = [:]
    /// Fields of clients' requests that were dropped because of an underscore in their names.
    public var droppedFields: UInt64 = 0
    /// How often a circuit breaker opened, by upstream.
    public var breakerOpenings: [String: UInt64] = [:]
    /// Requests answered from the cache.
    public var cacheHits: UInt64 = 0
    /// Answers in the cache right now, and the bytes they take.
    public var cachedAnswers = 0, cachedBytes = 0
    /// Requests whose deadline passed.
    public var timeouts: UInt64 = 0
    /// Answers of handlers in this process that came when nobody waited any more.
    public var lateAnswers: UInt64 = 0
    /// Handlers in this process that are working right now.
    public var handlerCallsInFlight = 0
    /// Client connections that are open right now.
    public var openClientConnections = 0

    /// Counters at zero.
    public init() {}

    /// Takes what all loops share.
    mutating func take(_ shared: SharedState) {
        servers = shared.servers
        breakerOpenings = shared.breakerOpenings
        refusedConnections = UInt64(max(0, shared.load.refusedConnections))
        let figures = shared.inFlight
        inFlight = figures.mapValues(\.inFlight)
        inFlightLimits = figures.mapValues(\.limit)
        wouldRefuse = figures.mapValues(\.wouldRefuse)
    }

    /// Adds another loop's counters.
    mutating func add(_ other: GatewayMetrics) {
        for (id, route) in other.routes {
            var sum = routes[id] ?? Route()
            for index in sum.requests.indices { sum.requests[index] += route.requests[index] }
            for index in sum.latency.indices { sum.latency[index] += route.latency[index] }
            sum.latencySum += route.latencySum
            routes[id] = sum
        }
        for (name, upstream) in other.upstreams { upstreams[name, default: Upstream()].add(upstream) }
        rejected.merge(other.rejected, uniquingKeysWith: +)
        upstreamErrors.merge(other.upstreamErrors, uniquingKeysWith: +)
        retries.merge(other.retries, uniquingKeysWith: +)
        mirrored.merge(other.mirrored, uniquingKeysWith: +)
        unmirrored.merge(other.unmirrored, uniquingKeysWith: +)
        hedges.merge(other.hedges, uniquingKeysWith: +)
        hedgesWon.merge(other.hedgesWon, uniquingKeysWith: +)
        hedgesRefused.merge(other.hedgesRefused, uniquingKeysWith: +)
        loopLag = max(loopLag, other.loopLag)
        cacheHits += other.cacheHits
        droppedFields += other.droppedFields
        timeouts += other.timeouts
        lateAnswers += other.lateAnswers
        handlerCallsInFlight += other.handlerCallsInFlight
        openClientConnections += other.openClientConnections
    }
}

/// One loop's counters of a route.
final class RouteCounters {
    private var requests = [UInt64](repeating: 0, count: 6)
    private let latency = LatencyCounts()

    var values: GatewayMetrics.Route {
        var values = GatewayMetrics.Route()
        (values.requests, values.latency, values.latencySum) = (requests, latency.buckets, latency.seconds)
        return values
    }

    /// Counts a request of `status` (0 if it broke off) that took `nanoseconds`.
    func count(status: Int, nanoseconds: Int64) {
        requests[status == 0 ? 5 : min(max(status / 100, 1), 5) - 1] += 1
        latency.count(nanoseconds)
    }
}
