import Crypto
import DovetailCore
import Foundation
import NIOCore

/// What a signature is made over, as a gateway has it.
struct SignedRequest {
    var method: String
    /// `http` or `https`.
    var scheme: String
    /// The host with its port, as it was sent.
    var authority: String
    /// In canonical form.
    var path: String
    /// Without the question mark; nil if there is none.
    var query: String?
    /// The value of a field; lines of one name joined by commas. Nil if there is none.
    var field: (String) -> String?
    var hasBody: Bool
}

/// Verifies signatures of requests (RFC 9421 3.2).
final class SignatureVerifier: Sendable {
    private struct Key: Sendable {
        let secret: SymmetricKey
        let principal: VerifiedPrincipal
    }

    let settings: SignatureAuthentication
    let nonces: NonceMemory
    private let keys: [String: Key]

    init(name: String, _ settings: SignatureAuthentication, nonces: NonceMemory) {
        self.settings = settings
        self.nonces = nonces
        var keys: [String: Key] = [:]
        for key in settings.keys {
            keys[key.subject] = Key(
                secret: SymmetricKey(data: Array(key.secret.utf8)),
                principal: VerifiedPrincipal(
                    Principal(subject: key.subject, scopes: key.scopes, issuer: name), claims: key.claims))
        }
        self.keys = keys
    }

    /// Whose signature a request bears, at `now` in seconds since 1970; throws why it is nobody's. The nonce is not looked at.
    func verify(_ request: SignedRequest, now: Int64) throws(TokenError) -> (VerifiedPrincipal, SignatureInput) {
        guard let inputField = request.field("signature-input"), let signatureField = request.field("signature") else {
            throw TokenError(reason: "this needs a signature (RFC 9421)")
        }
        guard let input = SignatureInput(input: inputField, signature: signatureField) else {
            throw TokenError(reason: "Signature-Input or Signature is malformed, or has components with parameters")
        }
        guard input.algorithm ?? "hmac-sha256" == "hmac-sha256" else {
            throw TokenError(reason: "the signature's algorithm is not hmac-sha256")
        }
        guard let created = input.created, let nonce = input.nonce, (8...128).contains(nonce.utf8.count),
            let keyID = input.keyID
        else { throw TokenError(reason: "a signature needs created, keyid, and a nonce of 8 to 128 characters") }
        let skew = settings.maximumSkew.components.seconds
        guard created >= now - skew, created <= now + skew, input.expires ?? now >= now else {
            throw TokenError(reason: "the signature's time is over, or has not come")
        }
        try checkCoverage(input.components, of: request)
        guard let key = keys[keyID] else { throw TokenError(reason: "the signature is not valid") }
        let base = try SignatureVerifier.base(input, of: request)
        // Compares in constant time.
        guard HMAC<Crypto.SHA256>.isValidAuthenticationCode(input.signature, authenticating: base, using: key.secret)
        else { throw TokenError(reason: "the signature is not valid") }
        return (key.principal, input)
    }

    private func checkCoverage(_ components: [String], of request: SignedRequest) throws(TokenError) {
        var required: Set<String> = ["@method"]
        if !components.contains("@target-uri") { required.formUnion(["@authority", "@path", "@query"]) }
        if request.hasBody { required.insert("content-digest") }
        required.formUnion(settings.requiredFields.map { $0.lowercased() })
        let missing = required.subtracting(components).sorted()
        guard missing.isEmpty else {
            throw TokenError(reason: "the signature does not cover \(missing.joined(separator: ", "))")
        }
    }

    /// The bytes that are signed (RFC 9421 2.5).
    static func base(_ input: SignatureInput, of request: SignedRequest) throws(TokenError) -> [UInt8] {
        var base = ""
        for component in input.components {
            let value: String?
            switch component {
            case "@method": value = request.method
            case "@scheme": value = request.scheme
            case "@authority": value = authority(request)
            case "@path": value = request.path
            case "@query": value = "?" + (request.query ?? "")
            case "@request-target": value = request.path + (request.query.map { "?\($0)" } ?? "")
            case "@target-uri":
                value =
                    "\(request.scheme)://\(authority(request))\(request.path)" + (request.query.map { "?\($0)" } ?? "")
            default: value = component.hasPrefix("@") ? nil : request.field(component)
            }
            guard let value else {
                throw TokenError(reason: "the signature covers a component that is not there, or not known")
            }
            base += "\"\(component)\": \(value)\n"
        }
        return Array((base + "\"@signature-params\": \(input.parameters)").utf8)
    }

    /// In lower case, and without the port that the scheme implies (RFC 9421 2.2.3).
    private static func authority(_ request: SignedRequest) -> String {
        let authority = request.authority.lowercased()
        let implied = request.scheme == "https" ? ":443" : ":80"
        return authority.hasSuffix(implied) ? String(authority.dropLast(implied.count)) : authority
    }
}
