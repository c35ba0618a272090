import DovetailCore

/// The claims of a token that the gateway reads (RFC 7519 4.1, RFC 8693 4.2 for `scope`).
struct TokenClaims: Decodable {
    private var iss: String?
    private var sub: String?
    private var aud: TextOrList?
    private var exp: Double?
    private var nbf: Double?
    private var scope: String?
    private var scp: TextOrList?
    private var scopes: TextOrList?

    /// A text, or an array of texts: both are in use for `aud` and for scopes.
    private struct TextOrList: Decodable {
        var values: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                values = [text]
            } else {
                values = try container.decode([String].self)
            }
        }
    }

    /// The principal, if every claim is as `configuration` has it at `now`, in milliseconds since 1970.
    func check(
        against configuration: JWTConfiguration, name: String, now: Int64, all claims: [String: Set<String>]
    ) throws(TokenError) -> VerifiedToken {
        let leeway = configuration.leeway.wholeNanoseconds / 1_000_000
        guard let exp, let expires = TokenClaims.milliseconds(exp) else {
            throw TokenError(reason: "the token does not say when it expires")
        }
        guard now < expires.addingReportingOverflow(leeway).partialValue else {
            throw TokenError(reason: "the token has expired")
        }
        if let nbf {
            guard let begins = TokenClaims.milliseconds(nbf), now >= begins - leeway else {
                throw TokenError(reason: "the token is not valid yet")
            }
        }
        guard iss == configuration.issuer else { throw TokenError(reason: "the token is of another issuer") }
        guard let aud, aud.values.contains(configuration.audience) else {
            throw TokenError(reason: "the token is for another audience")
        }
        guard let sub, !sub.isEmpty else { throw TokenError(reason: "the token has no subject") }
        var granted: Set<String> = []
        for text in [scope].compactMap({ $0 }) + (scp?.values ?? []) + (scopes?.values ?? []) {
            granted.formUnion(text.split(separator: " ").map(String.init))
        }
        return VerifiedToken(
            principal: VerifiedPrincipal(
                Principal(subject: sub, scopes: granted, issuer: name), claims: claims),
            expires: expires + leeway)
    }

    /// The claims that are texts, numbers, truth values, or lists of texts; of a length and a number that a request could be asked for.
    static func texts(of payload: [UInt8]) -> [String: Set<String>] {
        var claims: [String: Set<String>] = [:]
        for member in (try? JSON.members(of: payload)) ?? [] where claims.count < 64 {
            let bytes = Array(payload[member.value])
            guard bytes.count <= 1024 else { continue }
            switch try? JSON.decode(JSONValue.self, from: bytes) {
            case .string(let text)?: claims[member.name] = [text]
            case .integer(let number)?: claims[member.name] = [String(number)]
            case .bool(let truth)?: claims[member.name] = [String(truth)]
            case .array(let elements)?: claims[member.name] = Set(elements.compactMap(\.string))
            default: continue
            }
        }
        return claims
    }

    /// Seconds as milliseconds, if they are a time within reason.
    private static func milliseconds(_ seconds: Double) -> Int64? {
        guard seconds.isFinite, abs(seconds) < 1e13 else { return nil }
        return Int64(seconds * 1000)
    }
}
