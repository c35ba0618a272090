import DovetailCore
import NIOCore

extension Exchange {
    /// Establishes the principal; goes on at once for a token that is known, and later for one that is not.
    func authenticate(with state: AuthenticatorState) {
        guard let authorization = head.authorization else {
            return rejectToken(nil, detail: "this needs a bearer token")
        }
        let now = WallClock.milliseconds
        var token: [UInt8]?
        let known = headBytes.withUnsafeReadableBytes { bytes -> VerifiedPrincipal? in
            let value = bytes[authorization]
            guard value.startsIgnoringCase("bearer "), value.count <= JWTVerifier.maximumTokenBytes + 7 else {
                return nil
            }
            let text = UnsafeRawBufferPointer(rebasing: value[7...])
            if let principal = state.find(text, now: now) { return principal }
            token = Array(text)
            return nil
        }
        if let known { return authenticated(as: known) }
        guard let token else { return rejectToken(TokenError(reason: "a bearer token of up to 8 KiB is expected")) }
        guard state.verify(token, for: self, on: worker) else {
            var problem = Problem("overloaded", status: 503, detail: "too many tokens are being verified")
            problem.retryAfter = .seconds(1)
            return reject(.overloaded, problem)
        }
    }

    func authenticated(as principal: VerifiedPrincipal) {
        self.principal = principal
        authenticated()
        // After a wait there is no read event that would flush.
        client.flush()
    }

    /// Answers 401 (RFC 6750 3); without an error code where no token was sent at all.
    func rejectToken(_ error: TokenError?, detail: String? = nil) {
        let challenge =
            error.map { "Bearer error=\"invalid_token\", error_description=\"\($0.reason)\"" } ?? "Bearer"
        reject(
            .unauthenticated, Problem("unauthenticated", status: 401, detail: error?.reason ?? detail),
            fields: [("www-authenticate", challenge)])
        client.flush()
    }
}
