import DovetailContracts
import DovetailCore
import DovetailGateway
import DovetailHTTP
import DovetailModules
import Foundation
import HTTPTypes

/// Makes the data plane's configuration out of the platform's: contracts become routes.
struct GatewayAssembly {
    let configuration: PlatformConfiguration
    let gateway: PlatformConfiguration.Gateway
    let catalog: ModuleCatalog
    let node: String
    let table: EndpointTable
    let folder: String
    let recorder: (@Sendable (RequestRecord) -> Void)?

    func make() throws -> Gateway {
        let compiled = try compile()
        return try Gateway(compiled, onRequestFinished: recorder) { try await TextFetch.text(at: $0) }
    }

    func compile() throws -> GatewayConfiguration {
        guard case .tcp(let host, let port) = gateway.listen else {
            throw PlatformError("the gateway listens on TCP, not on a Unix socket")
        }
        var upstreams: [String: DovetailGateway.Upstream] = [:]
        for upstream in configuration.upstreams.values {
            upstreams[upstream.name] = try upstream.compiled(
                configuration.policy(forUpstream: upstream.name), in: folder)
        }
        var routes: [DovetailGateway.Route] = []
        for route in gateway.routes {
            switch route.target {
            case .upstream(let name):
                routes.append(try compile(route, id: route.id, to: .http(name)))
            case .split(let shares):
                let weights = Dictionary(shares.map { ($0.upstream, $0.weight) }) { first, _ in first }
                routes.append(try compile(route, id: route.id, to: .split(weights)))
            case .versions(let versions):
                routes += try compile(route, versions)
            case .redirect(let redirect):
                routes.append(
                    try compile(
                        route, id: route.id,
                        to: .redirect(.init(status: redirect.status, scheme: redirect.scheme, host: redirect.host))))
            case .batch(let batch):
                let policy = BatchPolicy(maximum: batch.maximum, maximumAnswerBytes: batch.maxAnswer)
                var compiled = try compile(route, id: route.id, to: .batch(policy))
                compiled.methods = [.post]
                routes.append(compiled)
            case .aggregate(let parts, let maxAnswer):
                let plan = AggregatePlan(
                    parts: parts.map { .init(name: $0.name, target: $0.get, isRequired: $0.isRequired) },
                    maximumAnswerBytes: maxAnswer)
                var compiled = try compile(route, id: route.id, to: .aggregate(plan))
                compiled.methods = [.get, .head]
                routes.append(compiled)
            case .contract(let reference):
                guard let contract = catalog.contract(reference.description),
                    let module = catalog.provider(of: reference.description),
                    let home = configuration.nodes.first(where: { $0.modules.contains(module) })
                else { throw PlatformError("no module on any node provides the contract \(reference)") }
                let destination: DovetailGateway.Route.Destination
                if home.name == node {
                    destination = .handler(table)
                } else {
                    guard case .tcp(let host, let port)? = home.address else {
                        throw PlatformError(
                            "the node '\(home.name)' needs `listen` (or `url`), for the gateway to reach '\(module)'")
                    }
                    let name = "module \(module)"
                    var upstream = DovetailGateway.Upstream(
                        name: name, servers: [.init(host: host, port: port)],
                        under: configuration.gatewayPolicy(forModule: module))
                    upstream.isFellow = true
                    upstreams[name] = upstream
                    destination = .http(name)
                }
                for endpoint in contract.endpoints {
                    routes.append(try compile(route, endpoint, to: destination))
                }
            }
        }
        var authenticators: [String: DovetailGateway.Authenticator] = [:]
        for (name, authenticator) in gateway.authentication {
            authenticators[name] = try authenticator.compiled(in: folder)
        }
        let limits = gateway.limits
        var compiled = GatewayConfiguration(
            listen: .init(host: host, port: port), routes: routes, upstreams: Array(upstreams.values),
            authenticators: authenticators,
            headLimits: .init(bytes: limits.headerBytes, fields: limits.headerFields, target: limits.targetBytes),
            timeouts: .init(head: limits.headerTimeout, idle: limits.idleTimeout, drain: limits.drainTimeout),
            cors: gateway.cors?.compiled, nodeToken: configuration.security.nodeToken?.revealed)
        compiled.timeouts.stream = limits.streamTimeout
        compiled.cacheBytes = limits.cache
        compiled.load = LoadLimits(
            maximumConnections: limits.connections, maximumInFlight: limits.inFlight, maximumLoopLag: limits.loopLag)
        compiled.proxyProtocol = gateway.proxyProtocol.compactMap(AddressRange.init)
        compiled.trustedProxies = gateway.trustedProxies.compactMap(AddressRange.init)
        compiled.sendsForwarded = gateway.forwarded
        compiled.underscores = gateway.underscoresInHeaders ? .forwarded : .dropped
        compiled.tls = gateway.tls.map { tls in
            var compiled = ListenerTLS(
                certificates: tls.certificates.map { $0.compiled(in: folder) },
                clientAuthorities: tls.clientAuthorities.map { resolve($0, in: folder) })
            compiled.isClientCertificateOptional = tls.clientCertificates == .optional
            return compiled
        }
        try compiled.validate()
        return compiled
    }

    /// A contract's endpoint below the route's path: what is retried, asked for and waited for is the contract's word.
    private func compile(
        _ route: PlatformConfiguration.Route, _ endpoint: EndpointDescription,
        to destination: DovetailGateway.Route.Destination
    ) throws -> DovetailGateway.Route {
        let prefix = route.path == "/" ? "" : route.path
        let timeout = route.limit(own: endpoint.timeout, isStream: endpoint.isStream)
        var compiled = DovetailGateway.Route(
            id: "\(endpoint.contract.name)@\(endpoint.contract.version) \(endpoint.name)", host: route.host,
            methods: endpoint.method == .get ? [.get, .head] : [endpoint.method],
            path: try PathPattern("\(prefix)\(endpoint.path)"), authentication: route.authentication.compiled,
            scopes: Set(endpoint.scopes + route.scopes), rateLimits: route.rateLimits.map(\.compiled), timeout: timeout,
            rewrite: .template(endpoint.versionedPath.description), destination: destination,
            isIdempotent: endpoint.idempotency == .key ? nil : endpoint.idempotency == .byNature,
            maximumBodyBytes: route.maxBody ?? gateway.limits.maxBody)
        route.addRules(to: &compiled)
        if compiled.cache == nil, let caching = endpoint.caching {
            compiled.cache = CachePolicy(freshFor: caching.freshFor)
        }
        return compiled
    }

    /// A route for each version, and one for requests that say none.
    private func compile(
        _ route: PlatformConfiguration.Route, _ versions: PlatformConfiguration.Versions
    ) throws -> [DovetailGateway.Route] {
        try versions.versions.flatMap { version -> [DovetailGateway.Route] in
            func compiled(_ id: String) throws -> DovetailGateway.Route {
                var compiled = try compile(route, id: id, to: .http(version.upstream))
                if let deprecation = version.deprecation { compiled.deprecation = deprecation.compiled }
                return compiled
            }
            var said = try compiled("\(route.id) version \(version.name)")
            var unsaid = try compiled("\(route.id) version \(version.name) by default")
            switch versions.by {
            case .header(let name):
                said.conditions.append(RouteCondition(.header(name), version.name))
                unsaid.conditions.append(.absent(.header(name)))
            case .path:
                let prefix = "/v\(version.name)"
                said.path = try PathPattern(prefix + route.path)
                switch said.rewrite {
                case .none: said.rewrite = .stripPrefix(prefix)
                case .stripPrefix(let more): said.rewrite = .stripPrefix(prefix + more)
                case .template: break
                }
            }
            return version.name == versions.standard ? [said, unsaid] : [said]
        }
    }

    private func compile(
        _ route: PlatformConfiguration.Route, id: String, to destination: DovetailGateway.Route.Destination
    ) throws -> DovetailGateway.Route {
        var compiled = DovetailGateway.Route(
            id: id, host: route.host, methods: Set(route.methods.compactMap { HTTPRequest.Method($0) }),
            path: try PathPattern(route.path), authentication: route.authentication.compiled,
            scopes: Set(route.scopes), rateLimits: route.rateLimits.map(\.compiled), timeout: route.limit(),
            rewrite: route.rewrite?.compiled ?? .none, destination: destination,
            maximumBodyBytes: route.maxBody ?? gateway.limits.maxBody)
        route.addRules(to: &compiled)
        return compiled
    }
}

extension PlatformConfiguration.Route {
    /// What it takes, in words: it stays the same wherever the route stands in the file.
    var id: String {
        let conditions = (headers + query).map { "\($0.name)=\($0.value ?? "*")" }.sorted()
        return
            ((methods.isEmpty ? [] : [methods.sorted().joined(separator: ",")]) + ["\(host ?? "")\(path)"]
            + (conditions.isEmpty ? [] : ["if \(conditions.joined(separator: ", "))"])).joined(separator: " ")
    }

    /// What it says besides path, destination and who may.
    fileprivate func addRules(to route: inout DovetailGateway.Route) {
        route.conditions =
            headers.map { RouteCondition(.header($0.name), $0.value) }
            + query.map { RouteCondition(.query($0.name), $0.value) }
        route.addresses = addresses.map {
            AddressFilter(allow: $0.allow.compactMap(AddressRange.init), deny: $0.deny.compactMap(AddressRange.init))
        }
        route.cache = cache.map { cache in
            CachePolicy(
                freshFor: cache.freshFor, staleWhileRevalidate: cache.staleWhileRevalidate,
                staleIfError: cache.staleIfError, maximumBodyBytes: cache.maxBody)
        }
        route.allowsWebSocket = webSocket
        route.claims = claims
        // Prefixes of several contracts may be the same.
        route.section = if case .contract(let contract) = target { "\(contract) \(id)" } else { id }
        route.maximumInFlight = maxInFlight?.compiled
        route.isEssential = essential
        route.mirror = mirror?.compiled
        route.deprecation = deprecation?.compiled
        route.requestHeaders = requestHeaders?.compiled
        route.responseHeaders = responseHeaders?.compiled
    }
}

extension PlatformConfiguration.Route.HeaderEdits {
    fileprivate var compiled: DovetailGateway.HeaderEdits { .init(set: set, remove: Set(remove)) }
}

extension PlatformConfiguration.CertificateFiles {
    /// With its paths from the platform's folder.
    func compiled(in folder: String) -> ListenerTLS.Certificate {
        .init(chain: resolve(chain, in: folder), key: resolve(key, in: folder))
    }
}

extension PlatformConfiguration.Route.Authentication {
    fileprivate var compiled: DovetailGateway.Route.Authentication {
        switch self {
        case .none: .none
        case .authenticator(let name): .named(name)
        }
    }
}

extension PlatformConfiguration.Route.Rewrite {
    fileprivate var compiled: DovetailGateway.Route.Rewrite {
        switch self {
        case .stripPrefix(let prefix): .stripPrefix(prefix)
        case .path(let template): .template(template)
        }
    }
}

extension PlatformConfiguration.RouteRateLimit {
    fileprivate var compiled: DovetailGateway.Route.Limit {
        switch key {
        case .route: .init(limit, by: .route)
        case .principal: .init(limit, by: .principal)
        case .address: .init(limit, by: .address)
        case .header(let name): .init(limit, by: .header(name))
        }
    }
}

extension PlatformConfiguration.CORS {
    fileprivate var compiled: CORSPolicy {
        var policy = CORSPolicy(
            allowOrigins: Set(allowOrigins),
            allowMethods: Set(allowMethods.compactMap { HTTPRequest.Method(rawValue: $0) }),
            allowCredentials: allowCredentials, maxAge: maxAge)
        if !allowHeaders.isEmpty { policy.allowHeaders = allowHeaders }
        if !exposeHeaders.isEmpty { policy.exposeHeaders = exposeHeaders }
        return policy
    }
}

extension PlatformConfiguration.Caller {
    var compiled: Credential {
        Credential(
            subject: name, secret: secret.revealed, scopes: Set(scopes), claims: claims.mapValues { [$0] })
    }
}

extension PlatformConfiguration.Authenticator {
    fileprivate func compiled(in folder: String) throws -> DovetailGateway.Authenticator {
        let jwt: PlatformConfiguration.JWT
        switch self {
        case .jwt(let settings): jwt = settings
        case .apiKeys(let header, let clients): return .apiKeys(header: header, clients.map(\.compiled))
        case .basic(let realm, let users): return .basic(realm: realm, users.map(\.compiled))
        case .hmac(let hmac): return .signatures(hmac.compiled)
        case .clientCertificate(let clients): return .certificates(clients.map(\.compiled))
        case .forward(let forward): return .forward(try forward.compiled(in: folder))
        }
        let algorithms = Set(jwt.algorithms)
        let key: JWTConfiguration.Key
        switch jwt.keys {
        case .secret(let secret): key = .secret(Array(secret.revealed.utf8))
        case .jwks(let json): key = .jwks(json: json)
        case .jwksURL(let url, let refresh): key = .jwksURL(url, refresh: refresh)
        case .jwksFile(let path): key = .jwks(json: try text(of: resolve(path, in: folder)))
        case .publicKeyFile(let path):
            let pem = try text(of: resolve(path, in: folder))
            let name = jwt.algorithms.first?.rawValue ?? ""
            key = name == "EdDSA" ? .edDSA(pem: pem) : name.hasPrefix("ES") ? .ecdsa(pem: pem) : .rsa(pem: pem)
        }
        return .jwt(
            .init(issuer: jwt.issuer, audience: jwt.audience, algorithms: algorithms, keys: [key], leeway: jwt.leeway))
    }

    private func text(of path: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw PlatformError("the key file '\(path)' cannot be read")
        }
        return text
    }
}
