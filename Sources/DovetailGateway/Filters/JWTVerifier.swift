import DovetailCore
import Foundation
import JWTKit

/// Why a token is not believed; safe to tell the client.
struct TokenError: Error, Equatable {
    var reason: String
}

/// A token that is believed, and until when.
struct VerifiedToken: Sendable {
    var principal: VerifiedPrincipal
    /// Milliseconds since 1970.
    var expires: Int64
}

/// Verifies JSON Web Tokens (RFC 7519) as RFC 8725 advises: the key decides about the algorithm, never the token.
final class JWTVerifier: Sendable {
    private struct Key: Sendable {
        let id: String?
        let algorithm: JWTConfiguration.Algorithm
        let verifier: any JWTAlgorithm
    }

    static let maximumTokenBytes = 8192

    let name: String
    let configuration: JWTConfiguration
    private let keys: [Key]

    /// A verifier; throws ``GatewayConfigurationError`` for a key that is none, without repeating it.
    init(name: String, _ configuration: JWTConfiguration) async throws(GatewayConfigurationError) {
        self.name = name
        self.configuration = configuration
        var keys: [Key] = []
        for key in configuration.keys { keys += try await JWTVerifier.load(key, name) }
        guard !configuration.issuer.isEmpty, !configuration.audience.isEmpty else {
            throw GatewayConfigurationError("authenticator '\(name)' needs an issuer and an audience")
        }
        for algorithm in configuration.algorithms where !keys.contains(where: { $0.algorithm == algorithm }) {
            throw GatewayConfigurationError(
                "authenticator '\(name)' accepts \(algorithm.rawValue) but has no key for it")
        }
        guard !configuration.algorithms.isEmpty else {
            throw GatewayConfigurationError("authenticator '\(name)' accepts no algorithm")
        }
        self.keys = keys
    }

    private static func load(
        _ key: JWTConfiguration.Key, _ name: String
    ) async throws(GatewayConfigurationError) -> [Key] {
        do {
            switch key {
            case .secret(let bytes, let id):
                guard bytes.count >= 32 else {
                    throw GatewayConfigurationError(
                        "authenticator '\(name)': a secret for HS256 has to have 32 bytes or more")
                }
                let keys = await JWTKeyCollection().add(hmac: HMACKey(from: bytes), digestAlgorithm: .sha256)
                return [Key(id: id, algorithm: .hs256, verifier: try await keys.getKey())]
            case .rsa(let pem, let id):
                let keys = await JWTKeyCollection().add(
                    rsa: try Insecure.RSA.PublicKey(pem: pem), digestAlgorithm: .sha256)
                return [Key(id: id, algorithm: .rs256, verifier: try await keys.getKey())]
            case .ecdsa(let pem, let id):
                let keys = await JWTKeyCollection().add(ecdsa: try ES256PublicKey(pem: pem))
                return [Key(id: id, algorithm: .es256, verifier: try await keys.getKey())]
            case .jwks(let json): return try await load(set: json)
            }
        } catch let error as GatewayConfigurationError {
            throw error
        } catch {
            throw GatewayConfigurationError("authenticator '\(name)' has a key that cannot be read (\(kind(of: key)))")
        }
    }

    private static func kind(of key: JWTConfiguration.Key) -> String {
        switch key {
        case .secret: "secret"
        case .rsa: "an RSA public key in PEM was expected, of 2048 bits or more"
        case .ecdsa: "a P-256 public key in PEM was expected"
        case .jwks: "a JSON Web Key Set was expected"
        }
    }

    private struct KeySet: Decodable {
        struct Member: Decodable {
            var kty: String
            var use: String?
            var kid: String?
            var alg: String?
            var n: String?
            var e: String?
            var crv: String?
            var x: String?
            var y: String?
        }

        var keys: [Member]
    }

    /// The keys of a set that can verify here; others are passed over (RFC 7517 5).
    private static func load(set json: String) async throws -> [Key] {
        var keys: [Key] = []
        for member in try JSON.decode(KeySet.self, from: Array(json.utf8)).keys where member.use ?? "sig" == "sig" {
            if member.kty == "RSA", member.alg ?? "RS256" == "RS256", let n = member.n, let e = member.e {
                let set = await JWTKeyCollection().add(
                    rsa: try Insecure.RSA.PublicKey(modulus: n, exponent: e), digestAlgorithm: .sha256)
                keys.append(Key(id: member.kid, algorithm: .rs256, verifier: try await set.getKey()))
            } else if member.kty == "EC", member.crv == "P-256", member.alg ?? "ES256" == "ES256", let x = member.x,
                let y = member.y
            {
                let set = await JWTKeyCollection().add(ecdsa: try ES256PublicKey(parameters: (x: x, y: y)))
                keys.append(Key(id: member.kid, algorithm: .es256, verifier: try await set.getKey()))
            }
        }
        return keys
    }

    private struct Header: Decodable {
        var alg: String
        var typ: String?
        var kid: String?
        var crit: [String]?
    }

    /// Verifies a token's signature and claims at `now`, in milliseconds since 1970.
    func verify(_ token: [UInt8], now: Int64) throws(TokenError) -> VerifiedToken {
        guard token.count <= JWTVerifier.maximumTokenBytes else { throw TokenError(reason: "the token is too long") }
        let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let headerBytes = Base64URL.decode(parts[0]),
            let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2]), !signature.isEmpty,
            let header = try? JSON.decode(Header.self, from: headerBytes)
        else { throw TokenError(reason: "the token is malformed") }
        guard header.crit == nil else { throw TokenError(reason: "the token has critical extensions") }
        if let type = header.typ?.lowercased(), type != "jwt", type != "at+jwt" {
            throw TokenError(reason: "the token is of another type")
        }
        guard let algorithm = JWTConfiguration.Algorithm(rawValue: header.alg),
            configuration.algorithms.contains(algorithm)
        else { throw TokenError(reason: "the token's algorithm is not accepted") }
        let signed = token[..<(parts[0].count + 1 + parts[1].count)]
        let isSigned = keys.contains { key in
            key.algorithm == algorithm && (header.kid == nil || key.id == nil || key.id == header.kid)
                && (try? key.verifier.verify(signature, signs: signed)) == true
        }
        guard isSigned else { throw TokenError(reason: "the token's signature is not valid") }
        guard let claims = try? JSON.decode(TokenClaims.self, from: payload) else {
            throw TokenError(reason: "the token's claims are malformed")
        }
        return try claims.check(against: configuration, name: name, now: now)
    }
}

/// Base64 without padding, in the alphabet for URLs (RFC 4648 5), read strictly.
enum Base64URL {
    /// The bytes that `text` says; nil for anything that is not exactly base64url.
    static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count * 3 / 4)
        var bits: UInt32 = 0
        var count = 0
        for byte in text {
            let value: UInt8
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte + 4
            case UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "_"): value = 63
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        // The bits left over have to be zero, or one value has several texts.
        guard bits & (1 << UInt32(count) - 1) == 0 else { return nil }
        return bytes
    }
}
