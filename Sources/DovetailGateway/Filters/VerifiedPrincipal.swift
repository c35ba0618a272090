import DovetailCore
import DovetailResilience
import Foundation

/// A principal with the forms of it that each request needs, made once a token.
final class VerifiedPrincipal: Sendable {
    let principal: Principal
    /// The value of `dovetail-principal`: JSON in base64url.
    let header: [UInt8]
    let limitKey: RateLimitKey
    /// What else was said of it, by name; a claim may have several values.
    let claims: [String: Set<String>]

    init(_ principal: Principal, claims: [String: Set<String>] = [:]) {
        self.principal = principal
        self.claims = claims
        limitKey = RateLimitKey((principal.issuer ?? "") + "\n" + principal.subject)
        let json = (try? JSON.encode(principal)) ?? []
        header = Data(json).base64EncodedData().compactMap { byte in
            switch byte {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            case UInt8(ascii: "="): nil
            default: byte
            }
        }
    }
}
