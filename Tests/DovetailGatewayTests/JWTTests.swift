import DovetailCore
import Foundation
import JWTKit
import Testing
import _CryptoExtras

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

/// Algorithms, published key sets, and the other ways to be known.
@Suite(.timeLimit(.minutes(1))) struct AuthenticatorTests {
    private static let claims =
        #"{"iss":"https://id.test","aud":"shop","exp":4000000000,"sub":"ann","scope":"a"}"#

    private func verifier(
        _ algorithm: JWTConfiguration.Algorithm, _ key: JWTConfiguration.Key, fetch: KeySetFetch? = nil
    ) async throws -> JWTVerifier {
        try await JWTVerifier(
            name: "x",
            JWTConfiguration(issuer: "https://id.test", audience: "shop", algorithms: [algorithm], keys: [key]),
            fetch: fetch)
    }

    private func token(_ header: String, _ signer: JWTKeyCollection) async throws -> [UInt8] {
        let text = Tokens.base64(header) + "." + Tokens.base64(Self.claims)
        return Array((text + "." + Tokens.base64(try await signer.getKey().sign(Array(text.utf8)))).utf8)
    }

    @Test func everyAlgorithmWithItsKeyAndNoOther() async throws {
        let rsa = try Insecure.RSA.PrivateKey(pem: _RSA.Signing.PrivateKey(keySize: .bits2048).pemRepresentation)
        let (p384, p521, ed) = (ES384PrivateKey(), ES512PrivateKey(), try EdDSA.PrivateKey())
        let secret = Tokens.secret + Tokens.secret
        for (algorithm, length) in [(JWTConfiguration.Algorithm.hs256, 31), (.hs384, 47), (.hs512, 63)] {
            await #expect(throws: GatewayConfigurationError.self) {
                try await verifier(algorithm, .secret(Array(secret.prefix(length))))
            }
        }
        typealias Case = (JWTConfiguration.Algorithm, JWTConfiguration.Key, JWTKeyCollection)
        let rsaPEM = JWTConfiguration.Key.rsa(pem: rsa.publicKey.pemRepresentation)
        let cases: [Case] = [
            (.hs256, .secret(secret), await .init().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)),
            (.hs384, .secret(secret), await .init().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha384)),
            (.hs512, .secret(secret), await .init().add(hmac: HMACKey(from: secret), digestAlgorithm: .sha512)),
            (.rs256, rsaPEM, await .init().add(rsa: rsa, digestAlgorithm: .sha256)),
            (.rs384, rsaPEM, await .init().add(rsa: rsa, digestAlgorithm: .sha384)),
            (.rs512, rsaPEM, await .init().add(rsa: rsa, digestAlgorithm: .sha512)),
            (.ps256, rsaPEM, await .init().add(pss: rsa, digestAlgorithm: .sha256)),
            (.ps384, rsaPEM, await .init().add(pss: rsa, digestAlgorithm: .sha384)),
            (.ps512, rsaPEM, await .init().add(pss: rsa, digestAlgorithm: .sha512)),
            (.es256, .ecdsa(pem: Tokens.ecdsa.publicKey.pemRepresentation), await .init().add(ecdsa: Tokens.ecdsa)),
            (.es384, .ecdsa(pem: p384.publicKey.pemRepresentation), await .init().add(ecdsa: p384)),
            (.es512, .ecdsa(pem: p521.publicKey.pemRepresentation), await .init().add(ecdsa: p521)),
            (.edDSA, .edDSA(pem: ed.publicKey.pemRepresentation), await .init().add(eddsa: ed)),
        ]
        #expect(Set(cases.map(\.0)) == Set(JWTConfiguration.Algorithm.allCases))
        for (algorithm, key, signer) in cases {
            let verifier = try await verifier(algorithm, key)
            for (other, _, otherSigner) in cases {
                // Each signature under each name: only one's own under one's own is believed.
                for name in [algorithm.rawValue, other.rawValue] {
                    let token = try await token(#"{"alg":"\#(name)"}"#, otherSigner)
                    let isBelieved = (try? verifier.verify(token, now: Tokens.now)) != nil
                    #expect(
                        isBelieved == (name == algorithm.rawValue && other == algorithm),
                        "\(algorithm) \(other) \(name)")
                }
            }
            _ = signer
        }
    }

    @Test func aPublishedSetIsFetchedForANewKeyButNotForEveryUnknownOne() async throws {
        let set = try await PublishedKeys()
        // The first token need not come after the first fetch.
        _ = try await set.verifier.verifyFetching(set.one)
        #expect(set.fetches.all.count == 1)
        set.publish(["two"])
        for _ in 0..<50 {
            await #expect(throws: TokenError.self) { try await set.verifier.verifyFetching(set.two) }
        }
        #expect(set.fetches.all.count == 1, "within the cooldown nobody makes it ask again")
        set.clock.advance(by: .seconds(31))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 { group.addTask { (try? await set.verifier.verifyFetching(set.two)) != nil } }
            for await isBelieved in group { #expect(isBelieved, "the new key is believed after the cooldown") }
        }
        #expect(set.fetches.all.count == 2, "many who come at once are one fetch")
        await #expect(throws: TokenError.self, "the old key is none any more") {
            try await set.verifier.verifyFetching(set.one)
        }
        #expect(set.fetches.all.count == 2)
        set.clock.end()
    }

    @Test func aPublishedSetIsFetchedAgainInTheBackgroundAndItsKeysGoOnForADay() async throws {
        let set = try await PublishedKeys()
        _ = try await set.verifier.verifyFetching(set.one)
        // No token asks for it: the set itself comes round.
        set.publish(["one", "two"])
        await set.clock.sleeping(1)
        set.clock.advance(by: .seconds(3960))
        await set.fetches.wait(for: 2)
        await set.clock.sleeping(2)
        #expect(set.isBelieved(set.one) && set.isBelieved(set.two))
        // Where it cannot be fetched, the keys from before go on.
        set.publish([])
        set.clock.advance(by: .seconds(3960))
        await set.fetches.wait(for: 3)
        await set.clock.sleeping(3)
        #expect(set.isBelieved(set.one) && set.isBelieved(set.two))
        let unknown = try set.token("three")
        set.clock.advance(by: .seconds(31))
        for _ in 0..<50 { await #expect(throws: TokenError.self) { try await set.verifier.verifyFetching(unknown) } }
        #expect(set.fetches.all.count == 4, "a fetch that failed has its cooldown too")
        set.clock.advance(by: .seconds(86_400))
        await set.fetches.wait(for: 5)
        await set.clock.sleeping(4)
        #expect(!set.isBelieved(set.one) && !set.isBelieved(set.two), "not for ever")
        set.publish(["two"])
        set.clock.advance(by: .seconds(3960))
        await set.fetches.wait(for: 6)
        await set.clock.sleeping(5)
        #expect(!set.isBelieved(set.one) && set.isBelieved(set.two))
        set.clock.end()
    }

    @Test func aKeySetThatCannotBeFetchedLetsNobodyInAndAsksAgain() async throws {
        let first = try EdDSA.PrivateKey()
        let token = try await token(#"{"alg":"EdDSA","kid":"one"}"#, JWTKeyCollection().add(eddsa: first))
        let verifier = try await verifier(.edDSA, .jwksURL("https://id.test/keys")) { _ in
            throw TokenError(reason: "away")
        }
        await #expect(throws: TokenError.self) { try await verifier.verifyFetching(token) }
        await #expect(throws: GatewayConfigurationError.self) {
            try await self.verifier(.edDSA, .jwksURL("https://id.test/keys"))
        }
    }

    @Test func keysAndPasswordsAreKnownByTheirDigests() async throws {
        let backend = try await Backend { request in
            let body = request.values("dovetail-principal").description
            return [.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")]
        }
        func secured(_ id: String, _ path: String, _ name: String, _ scopes: Set<String> = []) throws -> Route {
            var route = try route(id, path)
            route.authentication = .named(name)
            route.scopes = scopes
            return route
        }
        var configuration = configuration(
            backend,
            routes: [
                try secured("keys", "/keys", "partners"), try secured("write", "/write", "partners", ["write"]),
                try secured("staff", "/staff", "staff"),
            ])
        configuration.authenticators = [
            "partners": .apiKeys(
                header: "X-API-Key",
                [
                    .init(subject: "acme", secret: "acme-key-0123456789", scopes: ["write"]),
                    .init(subject: "umbrella", secret: "umbrella-key-012345"),
                ]),
            "staff": .basic(realm: "back office", [.init(subject: "ann", secret: "pass:word-1")]),
        ]
        try await withGateway(configuration) { gateway in
            let cases: [(path: String, field: String, status: Int)] = [
                ("/keys", "X-Api-Key: acme-key-0123456789", 200), ("/keys", "X-Api-Key: acme-key-012345678", 401),
                ("/keys", "X-Other: acme-key-0123456789", 401), ("/keys", "X-Api-Key: ", 401),
                ("/write", "X-Api-Key: acme-key-0123456789", 200), ("/write", "X-Api-Key: umbrella-key-012345", 403),
                ("/staff", "Authorization: Basic \(Data("ann:pass:word-1".utf8).base64EncodedString())", 200),
                ("/staff", "Authorization: basic \(Data("ann:pass:word-2".utf8).base64EncodedString())", 401),
                ("/staff", "Authorization: Basic \(Data("bob:pass:word-1".utf8).base64EncodedString())", 401),
                ("/staff", "Authorization: Basic !!!", 401), ("/staff", "Authorization: Bearer abc", 401),
                ("/staff", "X-Api-Key: acme-key-0123456789", 401),
            ]
            for (path, field, status) in cases {
                let answer = try await gateway.get(path, fields: [field])
                #expect(answer?.status == status, "\(path) \(field)")
                if status == 401 { #expect(answer?.value("www-authenticate") != nil) }
            }
            let challenge = try await gateway.get("/staff")?.value("www-authenticate")
            #expect(challenge == "Basic realm=\"back office\", charset=\"UTF-8\"")
            #expect(gateway.finished.all.contains { $0.principal == "ann" })
        }
        await backend.stop()
        configuration.authenticators["staff"] = .basic(realm: "x", [.init(subject: "ann", secret: "short")])
        #expect(!"\(Credential(subject: "ann", secret: "hunter22"))".contains("hunter22"))
        #expect(!String(reflecting: Credential(subject: "ann", secret: "hunter22")).contains("hunter22"))
    }
}
