/// A valid configuration on its way to a ``Snapshot``: its routes are compiled some at a time, so that the loop serves requests in between.
final class SnapshotDraft {
    let configuration: GatewayConfiguration
    let pools: [String: UpstreamPool]
    let router: Router
    private(set) var routes: [CompiledRoute] = []
    private let authenticators: [String: CompiledAuthenticator]
    private unowned let worker: Worker

    /// Begins; pools whose upstream did not change are taken over from `previous`. The router is made elsewhere.
    init(
        _ configuration: GatewayConfiguration, router: Router, authenticators: [String: CompiledAuthenticator],
        worker: Worker, previous: Snapshot
    ) throws(GatewayConfigurationError) {
        var pools: [String: UpstreamPool] = [:]
        for upstream in configuration.upstreams + configuration.authenticationServices {
            if let pool = previous.pools[upstream.name], pool.upstream.isSame(as: upstream),
                pool.upstream.hasSameFiles(as: upstream)
            {
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
        self.configuration = configuration
        self.router = router
        self.pools = pools
        self.authenticators = authenticators
        self.worker = worker
        routes.reserveCapacity(configuration.routes.count)
    }

    /// Compiles the next routes, so many at most; true when there are no more.
    func compile(atMost count: Int) throws(GatewayConfigurationError) -> Bool {
        for route in configuration.routes[routes.count...].prefix(count) {
            routes.append(
                try CompiledRoute(
                    route, configuration: configuration, pools: pools, authenticators: authenticators, worker: worker))
        }
        return routes.count == configuration.routes.count
    }
}
