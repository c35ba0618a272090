import DovetailGateway

extension PlatformConfiguration {
    /// Another service that says who calls.
    public struct Forward: Sendable, Hashable {
        /// What is asked for, by GET.
        public let url: String
        /// A PEM file with the authorities that are believed; nil for the system's.
        public let authorities: String?
        /// The client's fields that it is told; `authorization` and `cookie` by default.
        public let requestHeaders: [String]
        /// Fields of its answer that go on to whoever answers the request.
        public let responseHeaders: [String]
        /// The field of its answer that names the caller; nil: nobody is named.
        public let principal: String?
        /// The field of its answer with what the caller may.
        public let scopes: String?
        /// How long it may take; 2 s by default.
        public let timeout: Duration
        /// How long an answer that lets in is kept; not at all by default.
        public let cacheFor: Duration
        /// What it is kept for; the whole request by default.
        public let cacheBy: ForwardAuthentication.Keeping
        /// Requests that it is asked about at once; 256 by default.
        public let maxInFlight: Int
    }
}

extension PlatformConfiguration.Forward {
    init(reading section: SectionReader) {
        url = section.required("url", .webURL, "What is asked for, by GET, for each request.")
        authorities = section.optional(
            "authorities", .line("a file's path"),
            "A PEM file with the authorities that are believed; the system's unless given.")
        requestHeaders =
            section.optional(
                "requestHeaders", .list(of: .headerName, orSingle: true),
                "The client's headers that it is told; authorization and cookie unless given.")
            ?? ["authorization", "cookie"]
        responseHeaders = section.collection(
            "responseHeaders", .list(of: .headerName, orSingle: true),
            "Headers of its answer that go on to whoever answers the request, in place of the client's.")
        principal = section.optional(
            "principal", .headerName, "The header of its answer that names the caller; nobody is let in without it.")
        scopes = section.optional("scopes", .headerName, "The header of its answer with what the caller may.")
        timeout = section.value("timeout", .duration, default: "2s", "How long it may take; then nobody is let in.")
        cacheFor = section.value(
            "cacheFor", .duration(orZero: true), default: "0s", "How long an answer that lets in is kept.")
        cacheBy = section.value(
            "cacheBy", .keyword(example: .request), default: "request",
            "What it is kept for: the request (credentials, method, host, path, query), or the credential alone.")
        maxInFlight = section.value(
            "maxInFlight", .integer(1...65_536), default: "256",
            "Requests that it is asked about at once on each core; more are answered 503.")
        if scopes != nil, principal == nil {
            section.report("scopes are somebody's; name the 'principal'", key: "scopes")
        }
        if section.has("cacheBy"), cacheFor == .zero {
            section.report("nothing is kept without 'cacheFor'", key: "cacheBy")
        }
    }

    func compiled(in folder: String) throws -> ForwardAuthentication {
        let rest = url.drop { $0 != ":" }.dropFirst(3)
        let path = rest.drop { $0 != "/" && $0 != "?" }
        guard let server = ServerURL(String(url.dropLast(path.count))) else {
            throw PlatformError("'\(url)' is no URL of a service")
        }
        var tls: UpstreamTLS?
        if server.isSecure { tls = UpstreamTLS(authorities: authorities.map { resolve($0, in: folder) }) }
        return ForwardAuthentication(
            server: .init(host: server.host, port: server.port), tls: tls,
            target: path.hasPrefix("/") ? String(path) : "/" + path, requestHeaders: requestHeaders,
            responseHeaders: responseHeaders, principalHeader: principal, scopesHeader: scopes, timeout: timeout,
            cacheFor: cacheFor, keeping: cacheBy, maximumInFlight: maxInFlight)
    }
}
