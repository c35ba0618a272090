/// How a request's principal is established.
public enum Authenticator: Sendable, Hashable {
    /// By a JSON Web Token in `Authorization: Bearer` (RFC 7519, RFC 6750).
    case jwt(JWTConfiguration)
}

/// Which tokens are believed.
public struct JWTConfiguration: Sendable, Hashable {
    /// A signature algorithm (RFC 7518 3.1).
    public enum Algorithm: String, Sendable, Hashable, CaseIterable {
        /// HMAC with SHA-256 under a shared secret.
        case hs256 = "HS256"
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        case rs256 = "RS256"
        /// ECDSA on P-256 with SHA-256.
        case es256 = "ES256"
    }

    /// What signatures are verified with. Each kind of key goes with algorithms of its own and no others.
    public enum Key: Sendable, Hashable {
        /// A shared secret of at least 32 bytes, for HS256 (RFC 7518 3.2).
        case secret([UInt8], id: String? = nil)
        /// An RSA public key in PEM, for RS256.
        case rsa(pem: String, id: String? = nil)
        /// A P-256 public key in PEM, for ES256.
        case ecdsa(pem: String, id: String? = nil)
        /// The text of a JSON Web Key Set (RFC 7517); its RSA and P-256 keys count.
        case jwks(json: String)
    }

    /// What `iss` has to be.
    public var issuer: String
    /// What `aud` has to be or to contain.
    public var audience: String
    /// The algorithms that are accepted.
    public var algorithms: Set<Algorithm>
    /// The keys.
    public var keys: [Key]
    /// How far clocks may differ.
    public var leeway: Duration

    /// Tokens of `issuer` for `audience`.
    public init(
        issuer: String, audience: String, algorithms: Set<Algorithm>, keys: [Key], leeway: Duration = .seconds(30)
    ) {
        self.issuer = issuer
        self.audience = audience
        self.algorithms = algorithms
        self.keys = keys
        self.leeway = leeway
    }
}
