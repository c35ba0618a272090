/// A way to find out who calls.
public enum AuthenticatorConfiguration: Sendable, Hashable {
    /// A bearer token that is a signed JWT (RFC 7519).
    case jwt(JWTConfiguration)
}

/// Which JWTs are believed. `iss`, `aud` and `exp` are always checked.
public struct JWTConfiguration: Sendable, Hashable {
    /// A signature algorithm (RFC 7518, RFC 8037).
    public enum Algorithm: String, Sendable, Hashable, CaseIterable {
        case hs256 = "HS256"
        case hs384 = "HS384"
        case hs512 = "HS512"
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case ps256 = "PS256"
        case ps384 = "PS384"
        case ps512 = "PS512"
        case es256 = "ES256"
        case es384 = "ES384"
        case es512 = "ES512"
        case edDSA = "EdDSA"

        /// Whether signing and verifying take the same secret.
        public var isSymmetric: Bool { self == .hs256 || self == .hs384 || self == .hs512 }

        /// The least bytes of its secret (RFC 7518, 3.2).
        var minimumSecretBytes: Int { self == .hs256 ? 32 : self == .hs384 ? 48 : 64 }
    }

    /// Where the keys come from.
    public enum Keys: Sendable, Hashable {
        /// A file with a JSON Web Key Set (RFC 7517).
        case jwksFile(String)
        /// A JSON Web Key Set as JSON text.
        case jwks(String)
        /// A shared secret, for HS256, HS384 and HS512.
        case secret(Secret)
        /// A file with one public key in PEM.
        case publicKeyFile(String)
    }

    /// The `iss` that a token must have.
    public let issuer: String
    /// The `aud` values of which a token must have one.
    public let audience: [String]
    /// The algorithms that a token may be signed with; a token has no say in it.
    public let algorithms: [Algorithm]
    /// The keys.
    public let keys: Keys
    /// How far clocks may differ; 30 s by default.
    public let leeway: Duration
}

extension ConfigurationType where Value == AuthenticatorConfiguration {
    static var authenticator: ConfigurationType {
        .section("an authenticator") { section in
            .jwt(
                section.required(
                    "jwt", .section("a JWT section", JWTConfiguration.init), "A bearer token that is a signed JWT."))
        }
    }
}

extension JWTConfiguration {
    init(reading section: SectionReader) {
        issuer = section.required("issuer", .line("the issuer's name or URL"), "The 'iss' that a token must have.")
        audience = section.required(
            "audience", .list(of: .line("an audience"), atLeast: 1, orSingle: true),
            "The 'aud' values of which a token must have one.")
        algorithms = section.required(
            "algorithms", .list(of: .keyword(example: .es256), atLeast: 1),
            "The algorithms that a token may be signed with.")
        leeway = section.value("leeway", .duration(orZero: true), default: "30s", "How far clocks may differ.")
        let jwks = section.optional(
            "jwks", .section("a key set: { file: … } or { inline: … }", JWTConfiguration.keySet),
            "A JSON Web Key Set (RFC 7517).")
        let secret = section.optional(
            "secret", .secret(minimumBytes: 32), "The shared secret of HS256, HS384 or HS512; write it as ${NAME}.")
        let publicKey = section.optional("publicKey", .line("a file's path"), "A file with one public key in PEM.")
        section.exactlyOne(of: "jwks", "secret", "publicKey")
        keys =
            jwks ?? secret.map(Keys.secret) ?? publicKey.map(Keys.publicKeyFile) ?? .jwksFile("")
        checkKeysFitAlgorithms(section)
    }

    private static func keySet(reading section: SectionReader) -> Keys {
        let file = section.optional("file", .line("a file's path"), "A file with the key set.")
        let inline = section.optional(
            "inline", .text("a key set as JSON text", example: "{}") { $0.isEmpty ? nil : $0 },
            "The key set as JSON text.")
        section.exactlyOne(of: "file", "inline")
        return file.map(Keys.jwksFile) ?? .jwks(inline ?? "")
    }

    /// A public key taken for a shared secret lets everyone sign: the two kinds never mix.
    private func checkKeysFitAlgorithms(_ section: SectionReader) {
        if case .secret(let secret) = keys {
            if let other = algorithms.first(where: { !$0.isSymmetric }) {
                section.report("\(other.rawValue) takes 'jwks' or 'publicKey', not a 'secret'", key: "algorithms")
            } else if let least = algorithms.map(\.minimumSecretBytes).max(), secret.revealed.utf8.count < least {
                section.report(
                    "the secret is shorter than the \(least) bytes that the algorithms ask for", key: "secret")
            }
        } else if let symmetric = algorithms.first(where: \.isSymmetric) {
            section.report("\(symmetric.rawValue) takes a 'secret', not 'jwks' or 'publicKey'", key: "algorithms")
        }
    }
}
