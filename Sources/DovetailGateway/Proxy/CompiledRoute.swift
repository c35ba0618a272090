import DovetailCore
import DovetailResilience

/// A route as one loop uses it.
final class CompiledRoute {
    enum Rewrite {
        case none
        case template(RewriteTemplate)
        /// Leaves out this many bytes at the beginning.
        case stripPrefix(Int)
    }

    enum Destination {
        case pool(UpstreamPool)
        case handler(any RawHandler)
    }

    let id: String
    let timeout: Duration?
    let maximumBodyBytes: Int
    let isIdempotent: Bool?
    let rewrite: Rewrite
    let destination: Destination
    let cors: CompiledCORS?
    let limit: CompiledLimit?
    let authenticator: AuthenticatorState?
    let scopes: Set<String>
    let counters: RouteCounters

    init(
        _ route: Route, configuration: GatewayConfiguration, pools: [String: UpstreamPool],
        authenticators: [String: AuthenticatorState], worker: Worker
    ) throws(GatewayConfigurationError) {
        id = route.id
        timeout = route.timeout
        maximumBodyBytes = route.maximumBodyBytes
        isIdempotent = route.isIdempotent
        scopes = route.scopes
        counters = worker.counters(forRoute: route.id)
        rewrite =
            switch route.rewrite {
            case .none: .none
            case .template(let text):
                .template(try RewriteTemplate(text, captures: route.path.captures, route: route.id))
            case .stripPrefix(let prefix): .stripPrefix(prefix.utf8.count)
            }
        switch route.destination {
        case .handler(let handler): destination = .handler(handler)
        case .http(let name):
            guard let pool = pools[name] else {
                throw GatewayConfigurationError(
                    "route '\(route.id)' goes to the upstream '\(name)', which is not configured")
            }
            destination = .pool(pool)
        }
        cors = (route.cors ?? configuration.cors).map { CompiledCORS($0, methods: MethodSet(route)) }
        limit = route.rateLimit.map { CompiledLimit($0, limiter: worker.shared.limiter(for: route.id, limit: $0)) }
        switch route.authentication {
        case .none: authenticator = nil
        case .named(let name):
            guard let state = authenticators[name] else {
                throw GatewayConfigurationError(
                    "route '\(route.id)' asks for the authenticator '\(name)', which is not configured")
            }
            authenticator = state
        }
    }
}
