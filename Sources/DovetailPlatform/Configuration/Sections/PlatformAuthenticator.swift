extension PlatformConfiguration {
    /// A way to find out who calls.
    public enum Authenticator: Sendable, Hashable {
        /// A bearer token that is a signed JWT (RFC 7519).
        case jwt(JWT)
    }

    /// Which JWTs are believed. `iss`, `aud` and `exp` are always checked.
    public struct JWT: Sendable, Hashable {
        /// A signature algorithm (RFC 7518, 3.1).
        public enum Algorithm: String, Sendable, Hashable, CaseIterable {
            case hs256 = "HS256"
            case rs256 = "RS256"
            case es256 = "ES256"
        }

        /// Where the keys come from.
        public enum Keys: Sendable, Hashable {
            /// A file with a JSON Web Key Set (RFC 7517).
            case jwksFile(String)
            /// A JSON Web Key Set as JSON text.
            case jwks(String)
            /// A shared secret of at least 32 bytes, for HS256 (RFC 7518, 3.2).
            case secret(Secret)
            /// A file with one public key in PEM, of the one algorithm.
            case publicKeyFile(String)
        }

        /// The `iss` that a token must have.
        public let issuer: String
        /// The `aud` that a token must have.
        public let audience: String
        /// The algorithms that a token may be signed with; a token has no say in it.
        public let algorithms: [Algorithm]
        /// The keys.
        public let keys: Keys
        /// How far clocks may differ; 30 s by default.
        public let leeway: Duration
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Authenticator {
    static var authenticator: ConfigurationType {
        .section("an authenticator") { section in
            .jwt(
                section.required(
                    "jwt", .section("a JWT section", PlatformConfiguration.JWT.init),
                    "A bearer token that is a signed JWT."))
        }
    }
}

extension PlatformConfiguration.JWT {
    init(reading section: SectionReader) {
        issuer = section.required("issuer", .line("the issuer's name or URL"), "The 'iss' that a token must have.")
        audience = section.required(
            "audience", .line("the audience's name"), "The 'aud' that a token must have.")
        algorithms = section.required(
            "algorithms", .list(of: .keyword(example: .es256), atLeast: 1),
            "The algorithms that a token may be signed with.")
        leeway = section.value("leeway", .duration(orZero: true), default: "30s", "How far clocks may differ.")
        let jwks = section.optional(
            "jwks", .section("a key set: { file: … } or { inline: … }", PlatformConfiguration.JWT.keySet),
            "A JSON Web Key Set (RFC 7517).")
        let secret = section.optional(
            "secret", .secret(minimumBytes: 32), "The shared secret of HS256; write it as ${NAME}.")
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
        let asymmetric = algorithms.first { $0 != .hs256 }
        if section.has("secret"), let asymmetric {
            section.report("\(asymmetric.rawValue) takes 'jwks' or 'publicKey', not a 'secret'", key: "algorithms")
        }
        if section.has("jwks") || section.has("publicKey"), algorithms.contains(.hs256) {
            section.report("HS256 takes a 'secret', not 'jwks' or 'publicKey'", key: "algorithms")
        }
        if section.has("publicKey"), algorithms.count > 1 {
            section.report("a 'publicKey' is of one algorithm; name that one, or use 'jwks'", key: "algorithms")
        }
    }
}
