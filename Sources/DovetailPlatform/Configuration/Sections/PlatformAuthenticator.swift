import DovetailGateway

extension PlatformConfiguration {
    /// A way to find out who calls.
    public enum Authenticator: Sendable, Hashable {
        /// A bearer token that is a signed JWT (RFC 7519).
        case jwt(JWT)
        /// A key in a header of its own.
        case apiKeys(header: String, [Caller])
        /// A name and a password (RFC 7617).
        case basic(realm: String, [Caller])
        /// What another service says.
        case forward(Forward)
        /// A signature by a secret that both sides know (RFC 9421).
        case hmac(HMAC)
        /// A name in the client's certificate.
        case clientCertificate([CertificateClient])
    }

    /// Somebody who is known by a secret.
    public struct Caller: Sendable, Hashable {
        /// Who it is.
        public let name: String
        /// The key or the password.
        public let secret: Secret
        /// What it permits.
        public let scopes: [String]
        /// What else is known of it, for routes that ask for claims.
        public let claims: [String: String]
    }

    /// Which JWTs are believed. `iss`, `aud` and `exp` are always checked.
    public struct JWT: Sendable, Hashable {
        /// Where the keys come from.
        public enum Keys: Sendable, Hashable {
            /// A file with a JSON Web Key Set (RFC 7517).
            case jwksFile(String)
            /// A JSON Web Key Set as JSON text.
            case jwks(String)
            /// Where a JSON Web Key Set is published, and how often it is fetched again.
            case jwksURL(String, refresh: Duration)
            /// A shared secret of at least 32 bytes, for HS256, HS384 and HS512 (RFC 7518, 3.2).
            case secret(Secret)
            /// A file with one public key in PEM, of the one algorithm.
            case publicKeyFile(String)
        }

        /// The `iss` that a token must have.
        public let issuer: String
        /// The `aud` that a token must have.
        public let audience: String
        /// The algorithms that a token may be signed with; a token has no say in it.
        public let algorithms: [JWTConfiguration.Algorithm]
        /// The keys.
        public let keys: Keys
        /// How far clocks may differ; 30 s by default.
        public let leeway: Duration
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Authenticator {
    static var authenticator: ConfigurationType {
        .section("an authenticator") { section in
            let jwt = section.optional(
                "jwt", .section("a JWT section", PlatformConfiguration.JWT.init), "A bearer token that is a signed JWT."
            )
            let keys = section.optional(
                "apiKeys", .section("{ header: …, keys: … }", PlatformConfiguration.Caller.keys(reading:)),
                "A key in a header of its own.")
            let users = section.optional(
                "basic", .section("{ realm: …, users: … }", PlatformConfiguration.Caller.users(reading:)),
                "A name and a password (RFC 7617); over TLS only.")
            let forward = section.optional(
                "forward", .section("{ url: …, … }", PlatformConfiguration.Forward.init),
                "Another service that says who calls, and whether they may.")
            let hmac = section.optional(
                "hmac", .section("{ keys: … }", PlatformConfiguration.HMAC.init),
                "A signature of the request by a secret that both sides know (RFC 9421).")
            let certificates = section.optional(
                "clientCertificate",
                .section("{ clients: … }", PlatformConfiguration.CertificateClient.clients(reading:)),
                "A name in the client's certificate; with 'tls.clientAuthorities'.")
            section.exactlyOne(of: "jwt", "apiKeys", "basic", "forward", "hmac", "clientCertificate")
            return jwt.map { .jwt($0) } ?? keys ?? users ?? forward.map { .forward($0) } ?? hmac.map { .hmac($0) }
                ?? certificates.map { .clientCertificate($0) } ?? .basic(realm: "", [])
        }
    }
}

extension PlatformConfiguration.Caller {
    static func client(_ key: String, _ name: String) -> ConfigurationType<PlatformConfiguration.Caller> {
        .section("{ \(key): …, scopes: … }") { section in
            PlatformConfiguration.Caller(
                name: name,
                secret: section.required(
                    key, .secret(minimumBytes: key == "password" ? 8 : 16), "The secret; write it as ${NAME}."),
                scopes: section.collection("scopes", .list(of: .scope, orSingle: true), "What it permits."),
                claims: section.claims("What else is known of it, for routes that ask for claims."))
        }
    }

    fileprivate static func keys(reading section: SectionReader) -> PlatformConfiguration.Authenticator {
        let header = section.value("header", .headerName, default: "X-API-Key", "The header that carries the key.")
        let clients = section.collection(
            "keys", .named("clients by name") { client("key", $0) }, "The clients, by name."
        ).map(\.value)
        if clients.isEmpty { section.report("without a client nobody is let in", key: "keys") }
        return .apiKeys(header: header, clients)
    }

    fileprivate static func users(reading section: SectionReader) -> PlatformConfiguration.Authenticator {
        let realm = section.value("realm", .name, default: "platform", "What the user is asked the password for.")
        let users = section.collection(
            "users", .named("users by name") { client("password", $0) }, "The users, by name."
        ).map(\.value)
        if users.isEmpty { section.report("without a user nobody is let in", key: "users") }
        return .basic(realm: realm, users)
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
            "jwks", .section("a key set: { url: … }, { file: … } or { inline: … }", PlatformConfiguration.JWT.keySet),
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
        let url = section.optional("url", .webURL, "Where the key set is published.")
        let refresh = section.value(
            "refresh", .duration, default: "5m",
            "How often a published key set is fetched again; an unknown key has it fetched at once.")
        section.exactlyOne(of: "file", "inline", "url")
        if url == nil, section.has("refresh") {
            section.report("only a published key set is fetched again", key: "refresh")
        }
        return file.map(Keys.jwksFile) ?? url.map { .jwksURL($0, refresh: refresh) } ?? .jwks(inline ?? "")
    }

    /// A public key taken for a shared secret lets everyone sign: the two kinds never mix.
    private func checkKeysFitAlgorithms(_ section: SectionReader) {
        if section.has("secret"), let asymmetric = algorithms.first(where: { !$0.isSymmetric }) {
            section.report("\(asymmetric.rawValue) takes 'jwks' or 'publicKey', not a 'secret'", key: "algorithms")
        }
        for (name, length) in [("HS384", 48), ("HS512", 64)] where algorithms.contains(where: { $0.rawValue == name }) {
            if case .secret(let secret) = keys, secret.revealed.utf8.count < length {
                section.report("\(name) takes a secret of \(length) bytes or more (RFC 7518, 3.2)", key: "secret")
            }
        }
        if section.has("jwks") || section.has("publicKey"), let symmetric = algorithms.first(where: \.isSymmetric) {
            section.report(
                "\(symmetric.rawValue) takes a 'secret', not 'jwks' or 'publicKey'", key: "algorithms")
        }
        if section.has("publicKey"), algorithms.count > 1 {
            section.report("a 'publicKey' is of one algorithm; name that one, or use 'jwks'", key: "algorithms")
        }
    }
}
