import DovetailCore
import NIOCore

/// A body that is held until it is known to be the one that was signed.
final class SignedBody {
    let principal: VerifiedPrincipal
    private var digest: ContentDigest
    private var held = ByteBuffer()

    init(_ digest: ContentDigest, principal: VerifiedPrincipal) {
        self.digest = digest
        self.principal = principal
    }

    /// Takes a piece; false if that makes it larger than may be held.
    func append(_ slice: ByteBuffer, upTo limit: Int) -> Bool {
        guard held.readableBytes + slice.readableBytes <= limit else { return false }
        slice.withUnsafeReadableBytes { digest.update($0) }
        held.writeImmutableBuffer(slice)
        return true
    }

    /// The whole body, if it is the one that was signed.
    func whole() -> ByteBuffer? { digest.holds() ? held : nil }
}

extension Exchange {
    /// Establishes the principal by the request's signature; goes on once the body is there, where there is one.
    func authenticate(with verifier: SignatureVerifier) {
        let hasBody = head.framing != .none
        do throws(TokenError) {
            let request = signedRequest(hasBody: hasBody)
            let (principal, input) = try verifier.verify(request, now: WallClock.milliseconds / 1000)
            switch verifier.nonces.use(input.nonce ?? "", of: input.keyID ?? "") {
            case .new: break
            case .known: throw TokenError(reason: "the signature's nonce was used before")
            case .full:
                var problem = Problem(
                    "overloaded", status: 503, detail: "more signed requests came than can be told from repeated ones")
                problem.retryAfter = .seconds(1)
                return reject(.overloaded, problem)
            }
            guard hasBody else {
                self.principal = principal
                return authenticated()
            }
            guard let digest = request.field("content-digest").flatMap(ContentDigest.init) else {
                throw TokenError(reason: "Content-Digest has to say sha-256 or sha-512 (RFC 9530)")
            }
            responder = .signedBody(SignedBody(digest, principal: principal), limit: verifier.settings.maximumBodyBytes)
            askForBody()
            client.pumpBody()
        } catch {
            rejectSignature(error)
        }
    }

    /// The body is whole, and goes on if it is the one that was signed.
    func signedBodyEnded(_ body: SignedBody) {
        responder = .none
        guard let whole = body.whole() else {
            return rejectSignature(TokenError(reason: "the body is not the one that was signed"))
        }
        replay = whole
        principal = body.principal
        authenticated()
    }

    private func signedRequest(hasBody: Bool) -> SignedRequest {
        let bytes = headBytes
        let fields = fields
        func text(_ range: ByteRange) -> String { bytes.withUnsafeReadableBytes { $0[range].text } }
        return SignedRequest(
            method: methodText, scheme: client.isSecure ? "https" : "http",
            authority: text(head.host), path: text(head.path), query: head.query.map(text),
            field: { name in
                let name = Array(name.utf8)
                return bytes.withUnsafeReadableBytes { bytes in
                    let values = fields.filter { bytes[$0.name].equalsIgnoringCase(name) }.map { bytes[$0.value].text }
                    return values.isEmpty ? nil : values.joined(separator: ", ")
                }
            }, hasBody: hasBody)
    }

    /// Answers 401, and says what a signature has to cover (RFC 9421 5.1).
    private func rejectSignature(_ error: TokenError) {
        reject(
            .unauthenticated, Problem("unauthenticated", status: 401, detail: error.reason),
            fields: [
                ("www-authenticate", "Signature"),
                (
                    "accept-signature",
                    #"sig=("@method" "@authority" "@path" "@query" "content-digest");created;keyid;nonce;alg="hmac-sha256""#
                ),
            ])
    }
}
