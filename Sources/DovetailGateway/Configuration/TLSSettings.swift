/// How a gateway speaks TLS to its clients: 1.2 or 1.3, HTTP/2 where the client can.
public struct ListenerTLS: Sendable, Hashable {
    /// A certificate with its key, as PEM files. Read at the start and at each reload.
    public struct Certificate: Sendable, Hashable {
        /// The file with the certificate, and those between it and its root.
        public var chain: String
        /// The file with its private key.
        public var key: String

        /// A certificate.
        public init(chain: String, key: String) {
            self.chain = chain
            self.key = key
        }
    }

    /// Certificates; who asks for none of their names gets the first (RFC 6066 3).
    public var certificates: [Certificate]
    /// A PEM file with the authorities of client certificates: without one of theirs nobody is let in. Nil: clients need none.
    public var clientAuthorities: String?
    /// Whether a client without a certificate is let in all the same, for routes that ask for none.
    public var isClientCertificateOptional = false

    /// Settings.
    public init(certificates: [Certificate], clientAuthorities: String? = nil) {
        self.certificates = certificates
        self.clientAuthorities = clientAuthorities
    }
}

/// How a gateway speaks TLS to an upstream.
public struct UpstreamTLS: Sendable, Hashable {
    /// The name that the server's certificate has to carry; nil for the server's host.
    public var serverName: String?
    /// A PEM file with the authorities that are believed; nil for the system's.
    public var authorities: String?
    /// The gateway's own certificate, for servers that ask for one. As the authorities, it is read at the start and at each reload.
    public var certificate: ListenerTLS.Certificate?
    /// What the files held when they were read.
    var loaded: LoadedTLS?

    /// Settings.
    public init(
        serverName: String? = nil, authorities: String? = nil, certificate: ListenerTLS.Certificate? = nil
    ) {
        self.serverName = serverName
        self.authorities = authorities
        self.certificate = certificate
    }
    /// Whether they say the same; what the files hold is not compared.
    public static func == (one: UpstreamTLS, other: UpstreamTLS) -> Bool {
        one.serverName == other.serverName && one.authorities == other.authorities
            && one.certificate == other.certificate
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(serverName)
        hasher.combine(authorities)
        hasher.combine(certificate)
    }
}
