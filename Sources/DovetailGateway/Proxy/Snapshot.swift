import DovetailCore
import DovetailResilience

/// A configuration as one loop uses it: routes compiled, pools and limiters at hand.
///
/// Each loop compiles its own, so that no reference count is shared between loops. It never changes.
final class Snapshot {
    let configuration: GatewayConfiguration
    let router: Router
    /// How long a client may take with a head, and between two requests, in nanoseconds.
    let headTimeout: Int64
    let idleTimeout: Int64
    /// How large a head may be, and which of its fields go.
    let headLimits: HeadLimits
    let underscores: UnderscoreNames
    let routes: [CompiledRoute]
    let pools: [String: UpstreamPool]
    /// The policy of what no route takes.
    let cors: CompiledCORS?
    /// Whether any route keeps answers.
    let hasCache: Bool
    /// What the gateway takes on in all, where that concerns requests.
    let load: LoadLimits?

    private init() {
        hasCache = false
        cors = nil
        load = nil
        configuration = GatewayConfiguration(listen: .init(port: 0), routes: [])
        headTimeout = configuration.timeouts.head.wholeNanoseconds
        idleTimeout = configuration.timeouts.idle.wholeNanoseconds
        headLimits = configuration.headLimits
        underscores = configuration.underscores
        router = Router([])
        routes = []
        pools = [:]
    }

    static var empty: Snapshot { Snapshot() }

    /// Compiles a valid configuration; pools whose upstream did not change are taken over from `previous`.
    init(
        _ configuration: GatewayConfiguration, authenticators: [String: CompiledAuthenticator], worker: Worker,
        previous: Snapshot
    ) throws(GatewayConfigurationError) {
        var pools: [String: UpstreamPool] = [:]
        for upstream in configuration.upstreams + configuration.authenticationServices {
            if let pool = previous.pools[upstream.name], pool.upstream.isSame(as: upstream) {
                pools[upstream.name] = pool
            } else {
                pools[upstream.name] = try UpstreamPool(upstream, worker: worker)
            }
        }
        var authenticators = authenticators
        for (name, authenticator) in configuration.authenticators {
            guard case .forward(let forward) = authenticator else { continue }
            let route = try CompiledRoute(
                try forward.route(name), configuration: configuration, pools: pools, authenticators: [:],
                worker: worker)
            authenticators[name] = .service(ForwardAuthenticator(name, forward, route: route, worker: worker))
        }
        var routes: [CompiledRoute] = []
        for route in configuration.routes {
            routes.append(
                try CompiledRoute(
                    route, configuration: configuration, pools: pools, authenticators: authenticators, worker: worker))
        }
        self.configuration = configuration
        headTimeout = configuration.timeouts.head.wholeNanoseconds
        idleTimeout = configuration.timeouts.idle.wholeNanoseconds
        headLimits = configuration.headLimits
        underscores = configuration.underscores
        load = configuration.load.concernsRequests ? configuration.load : nil
        cors = configuration.cors.map { CompiledCORS($0, methods: []) }
        self.pools = pools
        hasCache = configuration.routes.contains { $0.cache != nil }
        self.routes = routes
        router = Router(configuration.routes)
    }
}
