import DovetailCore
import Foundation
import JWTKit
import Testing

@testable import DovetailGateway

/// Tokens as an identity provider, or an attacker, would make them.
enum Tokens {
    static let secret = Array("an-hmac-secret-of-at-least-32-bytes!".utf8)
    static let ecdsa = ES256PrivateKey()
    static let now: Int64 = 1_800_000_000_000

    static func base64(_ text: String) -> String { base64(Array(text.utf8)) }

    static func base64(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    static func claims(
        issuer: String = "https://id.test", audience: String = "\"shop\"", expires: String = "1800000060",
        extra: String = ""
    ) -> String {
        "{\"iss\":\"\(issuer)\",\"aud\":\(audience),\"exp\":\(expires),\"sub\":\"ann\"\(extra)}"
    }

    static func hmac(_ claims: String, header: String = #"{"alg":"HS256","typ":"JWT"}"#, key: [UInt8] = secret)
        async throws -> [UInt8]
    {
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: key), digestAlgorithm: .sha256)
        return try sign(claims, header, with: try await keys.getKey())
    }

    static func elliptic(_ claims: String, header: String = #"{"alg":"ES256"}"#) async throws -> [UInt8] {
        let keys = await JWTKeyCollection().add(ecdsa: ecdsa)
        return try sign(claims, header, with: try await keys.getKey())
    }

    private static func sign(_ claims: String, _ header: String, with key: any JWTAlgorithm) throws -> [UInt8] {
        let text = base64(header) + "." + base64(claims)
        return Array((text + "." + base64(try key.sign(Array(text.utf8)))).utf8)
    }

    static func verifier(
        algorithms: Set<JWTConfiguration.Algorithm> = [.hs256, .es256], keys: [JWTConfiguration.Key]? = nil
    ) async throws -> JWTVerifier {
        try await JWTVerifier(
            name: "customers",
            JWTConfiguration(
                issuer: "https://id.test", audience: "shop", algorithms: algorithms,
                keys: keys ?? [.secret(secret), .ecdsa(pem: ecdsa.publicKey.pemRepresentation, id: "ec-1")]))
    }
}

struct JWTTests {
    private func reason(_ token: [UInt8], now: Int64 = Tokens.now) async throws -> String? {
        let verifier = try await Tokens.verifier()
        do throws(TokenError) {
            _ = try verifier.verify(token, now: now)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func believesAGoodToken() async throws {
        let extra = #", "scope":"orders.read orders.write","scp":["a","b c"]"#
        let verified = try await Tokens.verifier().verify(Tokens.hmac(Tokens.claims(extra: extra)), now: Tokens.now)
        #expect(verified.principal.principal.subject == "ann")
        #expect(verified.principal.principal.issuer == "customers")
        #expect(verified.principal.principal.scopes == ["orders.read", "orders.write", "a", "b", "c"])
        #expect(try await reason(Tokens.elliptic(Tokens.claims(audience: #"["other","shop"]"#))) == nil)
        #expect(try await reason(Tokens.elliptic(Tokens.claims(), header: #"{"alg":"ES256","kid":"ec-1"}"#)) == nil)
    }

    @Test func holdsTheClaimsToTheConfiguration() async throws {
        let signature = "the token's "
        for (claims, expected) in [
            (Tokens.claims(issuer: "https://evil.test"), "the token is of another issuer"),
            (Tokens.claims(issuer: "https://id.test/"), "the token is of another issuer"),
            (Tokens.claims(audience: "\"other\""), "the token is for another audience"),
            (Tokens.claims(audience: "[]"), "the token is for another audience"),
            (Tokens.claims(expires: "1799999970"), "the token has expired"),
            (Tokens.claims(expires: "1e400"), signature + "claims are malformed"),
            (Tokens.claims(expires: "1e300"), "the token does not say when it expires"),
            (Tokens.claims(expires: "\"1800000060\""), signature + "claims are malformed"),
            (Tokens.claims(extra: ",\"nbf\":1800000031"), "the token is not valid yet"),
            (#"{"iss":"https://id.test","aud":"shop","sub":"ann"}"#, "the token does not say when it expires"),
            (#"{"iss":"https://id.test","exp":1800000060,"sub":"ann"}"#, "the token is for another audience"),
            (#"{"aud":"shop","exp":1800000060,"sub":"ann"}"#, "the token is of another issuer"),
            (#"{"iss":"https://id.test","aud":"shop","exp":1800000060}"#, "the token has no subject"),
            ("[]", signature + "claims are malformed"), ("", signature + "claims are malformed"),
        ] {
            #expect(try await reason(Tokens.hmac(claims)) == expected, "\(claims)")
        }
        #expect(try await reason(Tokens.hmac(Tokens.claims(expires: "1799999971"))) == nil, "within the leeway")
        #expect(try await reason(Tokens.hmac(Tokens.claims(extra: ",\"nbf\":1800000030"))) == nil, "within the leeway")
    }

    @Test func believesNoUnsignedToken() async throws {
        let claims = Tokens.base64(Tokens.claims())
        for alg in ["none", "None", "NONE", ""] {
            let head = Tokens.base64("{\"alg\":\"\(alg)\"}")
            #expect(try await reason(Array("\(head).\(claims).".utf8)) != nil)
            #expect(try await reason(Array("\(head).\(claims).AAAA".utf8)) != nil)
        }
        #expect(try await reason(Array("\(Tokens.base64(#"{"alg":"HS256"}"#)).\(claims).".utf8)) != nil)
    }

    /// The classic confusion: the public key, which everybody has, used as the secret of an HMAC.
    @Test func takesNoPublicKeyForASecret() async throws {
        let pem = Tokens.ecdsa.publicKey.pemRepresentation
        let forged = try await Tokens.hmac(Tokens.claims(), key: Array(pem.utf8))
        let onlyPublic = try await Tokens.verifier(algorithms: [.es256], keys: [.ecdsa(pem: pem)])
        #expect(throws: TokenError(reason: "the token's algorithm is not accepted")) {
            try onlyPublic.verify(forged, now: Tokens.now)
        }
        #expect(try await reason(forged) == "the token's signature is not valid")
        let claimsES = try await Tokens.hmac(Tokens.claims(), header: #"{"alg":"ES256"}"#)
        #expect(try await reason(claimsES) == "the token's signature is not valid")
    }

    @Test func letsTheKeyDecideAboutTheAlgorithm() async throws {
        let claims = Tokens.claims()
        for header in [
            #"{"alg":"HS384"}"#, #"{"alg":"HS512"}"#, #"{"alg":"RS256"}"#, #"{"alg":"PS256"}"#, #"{"alg":"hs256"}"#,
            #"{"alg":"EdDSA"}"#,
        ] {
            #expect(try await reason(Tokens.hmac(claims, header: header)) == "the token's algorithm is not accepted")
        }
    }

    @Test func ignoresKeysThatTheTokenBrings() async throws {
        let evil = Array("an-attackers-own-secret-of-32-bytes-or-more".utf8)
        let header = #"{"alg":"HS256","jwk":{"kty":"oct","k":"\#(Tokens.base64(evil))"},"jku":"https://evil.test/k"}"#
        #expect(
            try await reason(Tokens.hmac(Tokens.claims(), header: header, key: evil))
                == "the token's signature is not valid")
        #expect(
            try await reason(Tokens.elliptic(Tokens.claims(), header: #"{"alg":"ES256","kid":"unknown"}"#))
                == "the token's signature is not valid")
        #expect(
            try await reason(Tokens.hmac(Tokens.claims(), header: #"{"alg":"HS256","crit":["exp"]}"#))
                == "the token has critical extensions")
        #expect(
            try await reason(Tokens.hmac(Tokens.claims(), header: #"{"alg":"HS256","typ":"dpop+jwt"}"#))
                == "the token is of another type")
    }

    @Test func refusesWhatIsNoToken() async throws {
        let good = String(decoding: try await Tokens.hmac(Tokens.claims()), as: UTF8.self)
        for text in ["", ".", "..", "a.b.c", good + ".x", good + "=", good + "\n", "!" + good, String(good.dropLast())]
        {
            #expect(try await reason(Array(text.utf8)) != nil, "\(text)")
        }
        #expect(try await reason([UInt8](repeating: 65, count: 8193)) == "the token is too long")
        // The last character's spare bits have to be zero: one signature has one text.
        var twisted = Array(good.utf8)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let last = alphabet.firstIndex(of: twisted[twisted.count - 1]) ?? 0
        twisted[twisted.count - 1] = alphabet[last | 1]
        #expect(try await reason(twisted) == (last | 1 == last ? nil : "the token is malformed"))
    }

    @Test func readsKeySets() async throws {
        let parameters = try #require(Tokens.ecdsa.publicKey.parameters)
        let json = """
            {"keys":[{"kty":"oct","k":"AAAA","kid":"0"},{"kty":"EC","crv":"P-521","x":"A","y":"A"},
            {"kty":"EC","crv":"P-256","kid":"k1","use":"sig","x":"\(url(parameters.x))","y":"\(url(parameters.y))"}]}
            """
        let verifier = try await Tokens.verifier(algorithms: [.es256], keys: [.jwks(json: json)])
        let token = try await Tokens.elliptic(Tokens.claims(), header: #"{"alg":"ES256","kid":"k1"}"#)
        #expect(try verifier.verify(token, now: Tokens.now).principal.principal.subject == "ann")
    }

    private func url(_ base64: String) -> String {
        base64.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    @Test func refusesKeysThatAreNone() async throws {
        for key in [
            JWTConfiguration.Key.secret(Array("short".utf8)), .rsa(pem: "no key"), .ecdsa(pem: "no key"),
            .jwks(json: "{"), .jwks(json: #"{"keys":[]}"#),
        ] {
            await #expect(throws: GatewayConfigurationError.self) {
                try await Tokens.verifier(algorithms: [.hs256, .rs256, .es256], keys: [key])
            }
        }
    }
}
