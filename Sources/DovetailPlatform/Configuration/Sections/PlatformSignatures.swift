import DovetailGateway

extension PlatformConfiguration {
    /// Requests that are signed with a secret that both sides know (RFC 9421).
    public struct HMAC: Sendable, Hashable {
        /// Who signs; a key's name is the signature's `keyid`.
        public let keys: [Caller]
        /// How far the time of a signature may be from the gateway's; 5 minutes by default.
        public let maxSkew: Duration
        /// Header fields that a signature has to cover besides what it always has to.
        public let covers: [String]
        /// The largest body that is held until its digest is known; 1 MiB by default.
        public let maxBody: Int
        /// Nonces that are remembered; 100,000 by default.
        public let maxNonces: Int
    }

    /// Somebody who is known by a certificate.
    public struct CertificateClient: Sendable, Hashable {
        /// Who it is.
        public let name: String
        /// A name that its certificate has.
        public let certificateName: String
        /// What it permits.
        public let scopes: [String]
        /// What else is known of it, for routes that ask for claims.
        public let claims: [String: String]
    }
}

extension PlatformConfiguration.HMAC {
    init(reading section: SectionReader) {
        keys = section.collection(
            "keys", .named("keys by name") { PlatformConfiguration.Caller.client("secret", $0) },
            "Who signs, by the signature's keyid."
        ).map(\.value)
        maxSkew = section.value(
            "maxSkew", .duration, default: "5m", "How far the time of a signature may be from the gateway's.")
        covers = section.collection(
            "covers", .list(of: .headerName, orSingle: true),
            "Headers that a signature has to cover, besides method, authority, path, query and the body's digest.")
        maxBody = section.value(
            "maxBody", .byteCount(0...1 << 30), default: "1MiB",
            "The largest body that is held until its digest is known; more is answered 413.")
        maxNonces = section.value(
            "maxNonces", .integer(100...100_000_000), default: "100000",
            "Nonces that are remembered; when there are more within the time, requests are answered 503.")
        if keys.isEmpty { section.report("without a key nobody is let in", key: "keys") }
        if maxSkew > .seconds(86_400) {
            section.report("a signature that holds for days can be repeated", key: "maxSkew")
        }
    }

    var compiled: SignatureAuthentication {
        SignatureAuthentication(
            keys: keys.map(\.compiled), maximumSkew: maxSkew, requiredFields: Set(covers), maximumBodyBytes: maxBody,
            maximumNonces: maxNonces)
    }
}

extension PlatformConfiguration.CertificateClient {
    static func clients(reading section: SectionReader) -> [PlatformConfiguration.CertificateClient] {
        let clients = section.collection(
            "clients",
            .named("clients by name") { name in
                .section("{ name: …, scopes: … }") { section in
                    PlatformConfiguration.CertificateClient(
                        name: name,
                        certificateName: section.required(
                            "name", .line("a certificate's name"),
                            "A host, URI or mail address that the certificate is for; its common name where it has none."
                        ),
                        scopes: section.collection("scopes", .list(of: .scope, orSingle: true), "What it permits."),
                        claims: section.claims("What else is known of it, for routes that ask for claims."))
                }
            }, "The clients, by name."
        ).map(\.value)
        if clients.isEmpty { section.report("without a client nobody is let in", key: "clients") }
        return clients
    }

    var compiled: DovetailGateway.CertificateClient {
        .init(
            subject: name, certificateName: certificateName, scopes: Set(scopes), claims: claims.mapValues { [$0] })
    }
}

extension SectionReader {
    /// Claims with their values.
    func claims(_ summary: String) -> [String: String] {
        let claims = collection(
            "claims", .named("claims with their values", keys: .parameters) { _ in .headerValue }, summary)
        return Dictionary(claims.map { ($0.name, $0.value) }) { first, _ in first }
    }
}
