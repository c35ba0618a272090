import Crypto
import DovetailCore
import NIOCore

/// Those who are known by a secret, found by its digest: how long a look takes says nothing about the secrets.
final class CredentialTable: Sendable {
    private enum Kind: Sendable {
        case header([UInt8])
        case basic(realm: String)
    }

    private let kind: Kind
    private let known: [[UInt8]: VerifiedPrincipal]

    /// Nil for an authenticator of another kind. Throws ``GatewayConfigurationError`` for secrets that are too short or there twice.
    init?(name: String, _ authenticator: Authenticator) throws(GatewayConfigurationError) {
        let credentials: [Credential]
        switch authenticator {
        case .jwt, .forward, .signatures, .certificates: return nil
        case .apiKeys(let header, let keys):
            kind = .header(header.utf8.map(lowercased))
            credentials = keys
        case .basic(let realm, let users):
            kind = .basic(realm: realm)
            credentials = users
        }
        var known: [[UInt8]: VerifiedPrincipal] = [:]
        for credential in credentials {
            guard !credential.subject.isEmpty, credential.secret.utf8.count >= 8 else {
                throw GatewayConfigurationError(
                    "authenticator '\(name)': '\(credential.subject)' needs a name and a secret of 8 bytes or more")
            }
            let text: String
            switch authenticator {
            case .basic: text = "\(credential.subject):\(credential.secret)"
            default: text = credential.secret
            }
            let principal = VerifiedPrincipal(
                Principal(subject: credential.subject, scopes: credential.scopes, issuer: name),
                claims: credential.claims)
            guard known.updateValue(principal, forKey: CredentialTable.digest(Array(text.utf8))) == nil else {
                throw GatewayConfigurationError(
                    "authenticator '\(name)': '\(credential.subject)' has a secret that another has too")
            }
        }
        self.known = known
    }

    private static func digest(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    /// Whom the request's secret belongs to; a challenge (RFC 9110 11.6.1) if nobody.
    func principal(_ fields: [HeaderField], _ bytes: UnsafeRawBufferPointer) -> (VerifiedPrincipal?, challenge: String)
    {
        switch kind {
        case .header(let name):
            let value = fields.first { field in
                bytes[field.name].equalsIgnoringCase(name)
            }
            let found = value.flatMap { known[CredentialTable.digest(Array(bytes[$0.value]))] }
            return (found, "ApiKey header=\"\(String(decoding: name, as: UTF8.self))\"")
        case .basic(let realm):
            let value = fields.first { $0.known == .authorization }.map { bytes[$0.value] }
            let decoded = value.flatMap { value -> [UInt8]? in
                guard value.startsIgnoringCase("basic "), value.count <= 1024 else { return nil }
                return Base64URL.decodeStandard(value[6...])
            }
            return (
                decoded.flatMap { known[CredentialTable.digest($0)] }, "Basic realm=\"\(realm)\", charset=\"UTF-8\""
            )
        }
    }
}

extension Exchange {
    /// Establishes the principal by a secret.
    func authenticate(with table: CredentialTable) {
        let (principal, challenge) = headBytes.withUnsafeReadableBytes { table.principal(fields, $0) }
        if let principal {
            self.principal = principal
            return authenticated()
        }
        reject(
            .unauthenticated,
            Problem("unauthenticated", status: 401, detail: "this needs credentials that are known here"),
            fields: [("www-authenticate", challenge)])
    }
}
