import DovetailCore
import DovetailResilience

/// An authenticator as one loop uses it.
enum CompiledAuthenticator {
    case tokens(AuthenticatorState)
    case secrets(CredentialTable)
    case service(ForwardAuthenticator)
    case signatures(SignatureVerifier)
    case certificates(CertificatePrincipals)
}

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
        /// Each with the sum of its weight and those before it.
        case split([(pool: UpstreamPool, upTo: Int)])
        case redirect(Redirect)
        case handler(any RawHandler)
        case gathering(GatheringPlan)
    }

    let id: String
    let timeout: Duration?
    /// The same in nanoseconds.
    let timeoutNanoseconds: Int64?
    let maximumBodyBytes: Int
    let isIdempotent: Bool?
    let rewrite: Rewrite
    let addresses: AddressFilter?
    let cache: CachePolicy?
    let hasConditions: Bool
    let allowsWebSocket: Bool
    let requestHeaders: CompiledHeaderEdits?
    let responseHeaders: CompiledHeaderEdits?
    let destination: Destination
    let cors: CompiledCORS?
    /// Limits that do not ask who calls.
    let earlyLimits: [CompiledLimit]
    /// Those that do, and those of the route as a whole.
    let lateLimits: [CompiledLimit]
    let authenticator: CompiledAuthenticator?
    let authenticatorName: String?
    let scopes: Set<String>
    let claims: [ClaimRequirement]
    let counters: RouteCounters
    let inFlight: InFlightLimit?
    let isEssential: Bool
    /// What answers say of its end, as lines; nil for nothing.
    let deprecationLines: [UInt8]?
    let mirror: CompiledMirror?

    init(
        _ route: Route, configuration: GatewayConfiguration, pools: [String: UpstreamPool],
        authenticators: [String: CompiledAuthenticator], worker: Worker
    ) throws(GatewayConfigurationError) {
        id = route.id
        timeout = route.timeout
        timeoutNanoseconds = route.timeout?.wholeNanoseconds
        maximumBodyBytes = route.maximumBodyBytes
        isIdempotent = route.isIdempotent
        scopes = route.scopes
        var claims: [ClaimRequirement] = []
        for (name, value) in route.claims.sorted(by: { $0.key < $1.key }) {
            claims.append(try ClaimRequirement(name, value, route: route))
        }
        self.claims = claims
        addresses = route.addresses
        cache = route.cache
        allowsWebSocket = route.allowsWebSocket
        hasConditions = !route.conditions.isEmpty
        requestHeaders = route.requestHeaders.map(CompiledHeaderEdits.init)
        var responseHeaders = route.responseHeaders
        if route.deprecation != nil {
            // Answers say it once, and the route knows.
            responseHeaders = responseHeaders ?? HeaderEdits()
            responseHeaders?.remove.formUnion(["deprecation", "sunset"])
        }
        self.responseHeaders = responseHeaders.map(CompiledHeaderEdits.init)
        counters = worker.counters(forRoute: route.id)
        isEssential = route.isEssential
        deprecationLines = route.deprecation?.lines
        inFlight = route.maximumInFlight.flatMap { worker.shared.inFlight(for: route.limitedAs, $0) }
        rewrite =
            switch route.rewrite {
            case .none: .none
            case .template(let text):
                .template(try RewriteTemplate(text, captures: route.path.captures, route: route.id))
            case .stripPrefix(let prefix): .stripPrefix(prefix.utf8.count)
            }
        func pool(_ name: String) throws(GatewayConfigurationError) -> UpstreamPool {
            guard let pool = pools[name] else {
                throw GatewayConfigurationError(
                    "route '\(route.id)' goes to the upstream '\(name)', which is not configured")
            }
            return pool
        }
        mirror = try route.mirror.map { policy throws(GatewayConfigurationError) in
            CompiledMirror(policy, pool: try pool(policy.upstream))
        }
        switch route.destination {
        case .handler(let handler): destination = .handler(handler)
        case .redirect(let redirect): destination = .redirect(redirect)
        case .batch(let policy): destination = .gathering(.batch(policy))
        case .aggregate(let plan): destination = .gathering(try GatheringPlan(plan, route: route))
        case .http(let name): destination = .pool(try pool(name))
        case .split(let weights):
            var parts: [(pool: UpstreamPool, upTo: Int)] = []
            for (name, weight) in weights.sorted(by: { $0.key < $1.key }) where weight > 0 {
                parts.append((try pool(name), (parts.last?.upTo ?? 0) + weight))
            }
            destination = .split(parts)
        }
        let headers = route.conditions.compactMap { condition -> String? in
            if case .header(let name) = condition.part { name } else { nil }
        }
        cors = (route.cors ?? configuration.cors).map {
            CompiledCORS($0, methods: route.methods, headers: headers)
        }
        let limits = CompiledLimit.limits(of: route, shared: worker.shared)
        earlyLimits = limits.filter { $0.phase == 0 }
        lateLimits = limits.filter { $0.phase > 0 }.sorted { $0.phase < $1.phase }
        switch route.authentication {
        case .none: (authenticator, authenticatorName) = (nil, nil)
        case .named(let name):
            guard let state = authenticators[name] else {
                throw GatewayConfigurationError(
                    "route '\(route.id)' asks for the authenticator '\(name)', which is not configured")
            }
            (authenticator, authenticatorName) = (state, name)
        }
    }
}
