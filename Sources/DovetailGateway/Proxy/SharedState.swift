import DovetailCore
import DovetailResilience
import Synchronization

/// What the loops of a gateway share: limiters, breakers and budgets, which are exact for the process, and the callback.
final class SharedState: Sendable {
    struct Tables {
        fileprivate var inFlight: [String: (policy: InFlightPolicy, limit: InFlightLimit)] = [:]
        fileprivate var limiters: [String: [String: (limit: Route.Limit, limiter: RateLimiter)]] = [:]
        fileprivate var guards: [String: (upstream: Upstream, guards: UpstreamGuards)] = [:]
        fileprivate var nonces: [String: (settings: SignatureAuthentication, memory: NonceMemory)] = [:]
    }

    private let tables = Mutex(Tables())
    let onRequestFinished: (@Sendable (RequestRecord) -> Void)?
    let cache: ResponseCache
    /// Who counts for several gateways; nil: each counts by itself.
    let rateLimits: (any RateLimitStore)?
    let load = LoadGauge()

    init(
        cacheBytes: Int, rateLimits: (any RateLimitStore)? = nil,
        onRequestFinished: (@Sendable (RequestRecord) -> Void)?
    ) {
        self.rateLimits = rateLimits
        cache = ResponseCache(capacity: max(0, cacheBytes))
        self.onRequestFinished = onRequestFinished
    }

    /// The limiter of one of the limits of a route, or of a section of routes, kept as long as the limit stays the same.
    func limiter(for route: String, _ name: String, limit: Route.Limit) -> RateLimiter {
        tables.withLock { tables in
            if let known = tables.limiters[route]?[name], known.limit == limit { return known.limiter }
            let limiter = RateLimiter(limit.limit)
            tables.limiters[route, default: [:]][name] = (limit, limiter)
            return limiter
        }
    }

    /// The limit of the requests in flight of a route, or of a section of routes, kept as long as it stays the same.
    func inFlight(for route: String, _ policy: InFlightPolicy) -> InFlightLimit? {
        tables.withLock { tables in
            if let known = tables.inFlight[route], known.policy == policy { return known.limit }
            guard let limit = InFlightLimit(policy) else { return nil }
            tables.inFlight[route] = (policy, limit)
            return limit
        }
    }

    /// What is in flight to each upstream that has a limit, and the limit.
    var inFlight: [String: InFlightLimit.Figures] {
        tables.withLock { tables in tables.guards.compactMapValues { $0.guards.inFlight?.figures } }
    }

    /// The guards of an upstream, kept as long as it stays the same.
    func guards(for upstream: Upstream) -> UpstreamGuards {
        tables.withLock { tables in
            if let known = tables.guards[upstream.name], known.upstream.isSame(as: upstream) { return known.guards }
            let guards: UpstreamGuards
            if let known = tables.guards[upstream.name], known.upstream.isSameButServers(as: upstream) {
                guards = UpstreamGuards(upstream, continuing: known.guards, before: known.upstream)
            } else {
                guards = UpstreamGuards(upstream)
            }
            tables.guards[upstream.name] = (upstream, guards)
            return guards
        }
    }

    /// The nonces of an authenticator, kept as long as its bounds stay the same: its keys may change.
    func nonces(of authenticator: String, _ settings: SignatureAuthentication) -> NonceMemory {
        tables.withLock { tables in
            if let known = tables.nonces[authenticator], known.settings.maximumSkew == settings.maximumSkew,
                known.settings.maximumNonces == settings.maximumNonces
            {
                return known.memory
            }
            // A signature holds for the skew before its time and after it.
            let memory = NonceMemory(window: settings.maximumSkew * 2, capacity: settings.maximumNonces)
            tables.nonces[authenticator] = (settings, memory)
            return memory
        }
    }

    /// How each upstream's servers are now.
    var servers: [String: GatewayMetrics.Servers] {
        let now = MonotonicTime.now.nanoseconds
        return tables.withLock { tables in tables.guards.mapValues { $0.guards.health.figures(at: now) } }
    }

    /// How often each upstream's breaker has opened.
    var breakerOpenings: [String: UInt64] {
        tables.withLock { tables in
            tables.guards.compactMapValues { $0.guards.breaker.map { UInt64($0.snapshot.openings) } }
        }
    }

    /// What there is, for ``restore(_:)``.
    var remembered: Tables { tables.withLock { $0 } }

    /// Goes on with what there was: the configuration that made something new does not come to be.
    func restore(_ remembered: Tables) { tables.withLock { $0 = remembered } }

    /// Forgets what `configuration` does not name.
    func keepOnly(_ configuration: GatewayConfiguration) {
        let routes = Set(configuration.routes.map(\.limitedAs))
        let upstreams = Set((configuration.upstreams + configuration.authenticationServices).map(\.name))
        tables.withLock { tables in
            tables.inFlight = tables.inFlight.filter { routes.contains($0.key) }
            tables.limiters = tables.limiters.filter { routes.contains($0.key) }
            tables.nonces = tables.nonces.filter { configuration.authenticators[$0.key] != nil }
            tables.guards = tables.guards.filter { upstreams.contains($0.key) }
        }
    }
}
