/// Another service that says who calls, and whether they may: it is asked with a GET that carries what `requestHeaders` name.
///
/// An answer of 2xx lets the request in. 401, 403 and redirections are the client's answer. With anything else, or without an answer in time, nobody is
/// let in: 503.
public struct ForwardAuthentication: Sendable, Hashable {
    /// What a kept answer is kept for.
    public enum Keeping: String, Sendable, Hashable, CaseIterable {
        /// The request as it was asked about: its credentials, method, host, path and query.
        case request
        /// The credentials alone, for a service that does not look at what is asked for.
        case credential
    }

    /// Where the service is.
    public var server: Upstream.Server
    /// How TLS is spoken to it; nil for clear text.
    public var tls: UpstreamTLS?
    /// The path that is asked for, with a query where it has one.
    public var target: String
    /// The client's fields that it is told: they carry the credentials.
    public var requestHeaders: [String]
    /// Fields of its answer that go on to whoever answers the request; those of the names that a client sends do not.
    public var responseHeaders: [String]
    /// The field of its answer that names the principal; an answer without it lets nobody in. Nil: there is no principal.
    public var principalHeader: String?
    /// The field of its answer with the principal's scopes, words with spaces or commas between them.
    public var scopesHeader: String?
    /// How long it may take.
    public var timeout: Duration
    /// How long an answer that lets in is kept; zero for not at all.
    public var cacheFor: Duration
    /// What it is kept for.
    public var keeping: Keeping
    /// Requests that it is asked about at once, on each event loop; more are answered 503.
    public var maximumInFlight: Int

    /// A service; two seconds, nothing kept, and 256 at once unless said otherwise.
    public init(
        server: Upstream.Server, tls: UpstreamTLS? = nil, target: String,
        requestHeaders: [String] = ["authorization", "cookie"], responseHeaders: [String] = [],
        principalHeader: String? = nil, scopesHeader: String? = nil, timeout: Duration = .seconds(2),
        cacheFor: Duration = .zero, keeping: Keeping = .request, maximumInFlight: Int = 256
    ) {
        self.server = server
        self.tls = tls
        self.target = target
        self.requestHeaders = requestHeaders
        self.responseHeaders = responseHeaders
        self.principalHeader = principalHeader
        self.scopesHeader = scopesHeader
        self.timeout = timeout
        self.cacheFor = cacheFor
        self.keeping = keeping
        self.maximumInFlight = maximumInFlight
    }

    /// What is wrong with it, in words; nil if nothing is.
    var flaw: String? {
        guard target.hasPrefix("/"), target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else {
            return "asks for '\(target)', which is no path"
        }
        guard timeout > .zero, cacheFor >= .zero, maximumInFlight > 0 else {
            return "has a timeout, a time to keep answers or a number at once that is below what can be"
        }
        if scopesHeader != nil, principalHeader == nil { return "is told scopes, but not whose" }
        for name in requestHeaders + responseHeaders + [principalHeader, scopesHeader].compactMap({ $0 }) {
            let bytes = name.utf8.map(lowercased)
            guard !bytes.isEmpty, bytes.allSatisfy(ByteClass.token.contains) else {
                return "names '\(name)', which is no header's name"
            }
            switch bytes.withUnsafeBytes({ KnownField.of($0) }) {
            case .other, .authorization, .origin: break
            default: return "names the header '\(name)', which is the gateway's own"
            }
        }
        return nil
    }

    /// The name of the upstream that stands for it.
    static func upstreamName(_ name: String) -> String { "authentication \(name)" }

    func upstream(_ name: String) -> Upstream {
        var upstream = Upstream(
            name: ForwardAuthentication.upstreamName(name), servers: [server], outlierEjection: nil,
            connectTimeout: min(timeout, .seconds(1)), poolSize: maximumInFlight, retry: nil)
        upstream.tls = tls
        return upstream
    }

    /// The route that questions take, which no path leads to.
    func route(_ name: String) throws(GatewayConfigurationError) -> Route {
        Route(
            id: ForwardAuthentication.upstreamName(name), path: try PathPattern("/**"), authentication: .none,
            timeout: timeout, destination: .http(ForwardAuthentication.upstreamName(name)))
    }
}

extension GatewayConfiguration {
    /// The services that are asked who calls, as upstreams.
    var authenticationServices: [Upstream] {
        authenticators.compactMap { name, authenticator in
            if case .forward(let forward) = authenticator { forward.upstream(name) } else { nil }
        }
    }
}
