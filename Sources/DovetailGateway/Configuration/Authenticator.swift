/// How a request's principal is established.
public enum Authenticator: Sendable, Hashable {
    /// By a JSON Web Token in `Authorization: Bearer` (RFC 7519, RFC 6750).
    case jwt(JWTConfiguration)
    /// By a key in a header field of its own.
    case apiKeys(header: String, [Credential])
    /// By a name and a password in `Authorization: Basic` (RFC 7617).
    case basic(realm: String, [Credential])
    /// By another service, which is asked.
    case forward(ForwardAuthentication)
    /// By the request's signature.
    case signatures(SignatureAuthentication)
    /// By a name in the client's certificate.
    case certificates([CertificateClient])
}

/// Somebody who is known by a certificate.
public struct CertificateClient: Sendable, Hashable {
    /// Who it is.
    public var subject: String
    /// A name that the certificate has: a host, a URI, an address of mail; its common name where it has none of them.
    public var certificateName: String
    /// What it permits.
    public var scopes: Set<String>
    /// What else is known of it, for routes that ask for claims.
    public var claims: [String: Set<String>]

    /// A client.
    public init(
        subject: String, certificateName: String, scopes: Set<String> = [], claims: [String: Set<String>] = [:]
    ) {
        self.subject = subject
        self.certificateName = certificateName
        self.scopes = scopes
        self.claims = claims
    }
}

/// Somebody who is known by a secret.
public struct Credential: Sendable, Hashable {
    /// Who it is: the principal's subject, and the name under basic authentication.
    public var subject: String
    /// The key or the password. Only a digest of it is kept.
    public var secret: String
    /// What it permits.
    public var scopes: Set<String>
    /// What else is known of it, for routes that ask for claims.
    public var claims: [String: Set<String>]

    /// A credential.
    public init(subject: String, secret: String, scopes: Set<String> = [], claims: [String: Set<String>] = [:]) {
        self.claims = claims
        self.subject = subject
        self.secret = secret
        self.scopes = scopes
    }
}

extension Credential: CustomStringConvertible, CustomReflectable {
    public var description: String { "\(subject) (secret not shown)" }
    public var customMirror: Mirror { Mirror(self, children: ["subject": subject]) }
}

/// Which tokens are believed.
public struct JWTConfiguration: Sendable, Hashable {
    /// A signature algorithm (RFC 7518 3.1, RFC 8037 3.1).
    public enum Algorithm: String, Sendable, Hashable, CaseIterable {
        /// HMAC under a shared secret.
        case hs256 = "HS256", hs384 = "HS384", hs512 = "HS512"
        /// RSASSA-PKCS1-v1_5.
        case rs256 = "RS256", rs384 = "RS384", rs512 = "RS512"
        /// RSASSA-PSS.
        case ps256 = "PS256", ps384 = "PS384", ps512 = "PS512"
        /// ECDSA on P-256, P-384, P-521.
        case es256 = "ES256", es384 = "ES384", es512 = "ES512"
        /// Ed25519.
        case edDSA = "EdDSA"

        /// Whether it takes a secret that both sides know.
        public var isSymmetric: Bool { rawValue.hasPrefix("HS") }
    }

    /// What signatures are verified with. Each kind of key goes with algorithms of its own and no others.
    public enum Key: Sendable, Hashable {
        /// A shared secret for HS256, HS384 and HS512, of at least 32, 48 and 64 bytes (RFC 7518 3.2).
        case secret([UInt8], id: String? = nil)
        /// An RSA public key in PEM, for RS… and PS….
        case rsa(pem: String, id: String? = nil)
        /// A P-256, P-384 or P-521 public key in PEM, for the ES… of its curve.
        case ecdsa(pem: String, id: String? = nil)
        /// An Ed25519 public key in PEM, for EdDSA.
        case edDSA(pem: String, id: String? = nil)
        /// The text of a JSON Web Key Set (RFC 7517); its RSA, elliptic and Ed25519 keys count.
        case jwks(json: String)
        /// Where a JSON Web Key Set is published, and how often it is fetched again. An unknown key id has it fetched at once, but not more often than
        /// every 30 s; if it cannot be fetched, the keys of before go on.
        case jwksURL(String, refresh: Duration = .seconds(300))
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
