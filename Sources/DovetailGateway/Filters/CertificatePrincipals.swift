import DovetailCore
import NIOCore
import NIOSSL
import X509

/// Those who are known by a name in their certificate, which the connection's handshake has verified.
final class CertificatePrincipals: Sendable {
    private let known: [String: VerifiedPrincipal]

    init(name: String, _ clients: [CertificateClient]) {
        var known: [String: VerifiedPrincipal] = [:]
        for client in clients {
            known[client.certificateName] = VerifiedPrincipal(
                Principal(subject: client.subject, scopes: client.scopes, issuer: name), claims: client.claims)
        }
        self.known = known
    }

    /// Whom the first known one of a certificate's names belongs to.
    func principal(_ names: [String]) -> VerifiedPrincipal? {
        for name in names { if let principal = known[name] { return principal } }
        return nil
    }
}

extension Certificate {
    /// The names that it is for: its alternative ones (hosts in lower case, URIs, addresses of mail), or the common name where it has none of them
    /// (RFC 5280 4.2.1.6, RFC 9525 2).
    var clientNames: [String] {
        let alternatives = (try? extensions.subjectAlternativeNames).map { Array($0) } ?? []
        let names = alternatives.compactMap { name in
            switch name {
            case .dnsName(let text): text.lowercased()
            case .uniformResourceIdentifier(let text), .rfc822Name(let text): text
            default: nil
            }
        }
        guard names.isEmpty else { return names }
        return subject.flatMap { $0 }.filter { $0.type == .RDNAttributeType.commonName }.map { "\($0.value)" }
    }
}

extension ClientConnection {
    /// The names of the certificate that a channel's handshake has verified; none without one.
    static func certificateNames(of channel: any Channel) -> [String] {
        // A stream of HTTP/2 has the certificate of its connection.
        guard
            let certificate = [channel, channel.parent].compactMap({
                (try? $0?.pipeline.syncOperations.nioSSL_peerCertificate()) ?? nil
            }).first, let bytes = try? certificate.toDERBytes(), let parsed = try? Certificate(derEncoded: bytes)
        else { return [] }
        return parsed.clientNames
    }
}

extension Exchange {
    /// Establishes the principal by the client's certificate.
    func authenticate(with principals: CertificatePrincipals) {
        guard let principal = principals.principal(client.certificateNames) else {
            return reject(
                .unauthenticated,
                Problem("unauthenticated", status: 401, detail: "this needs a client certificate that is known here"),
                fields: [("www-authenticate", "Certificate")])
        }
        self.principal = principal
        authenticated()
    }
}
