import DovetailCore
import Foundation
import JWTKit

/// A key and the one algorithm that it verifies (RFC 8725 3.1): the same key is there once for each that it may be used with.
struct JWTKey: Sendable {
    typealias Algorithm = JWTConfiguration.Algorithm

    let id: String?
    let algorithm: Algorithm
    let verifier: any JWTAlgorithm

    /// The keys that `key` stands for, as far as `algorithms` ask for them.
    static func load(
        _ key: JWTConfiguration.Key, for algorithms: Set<Algorithm>, of name: String
    ) async throws(GatewayConfigurationError) -> [JWTKey] {
        do {
            switch key {
            case .secret(let bytes, let id):
                // RFC 7518 3.2: as long as the digest at least.
                for (algorithm, length) in [(Algorithm.hs256, 32), (.hs384, 48), (.hs512, 64)]
                where algorithms.contains(algorithm) && bytes.count < length {
                    throw GatewayConfigurationError(
                        "authenticator '\(name)': a secret for \(algorithm.rawValue) has to have \(length) bytes or more"
                    )
                }
                return try await hmac(bytes, id, algorithms)
            case .rsa(let pem, let id): return try await rsa(try Insecure.RSA.PublicKey(pem: pem), id, algorithms)
            case .ecdsa(let pem, let id): return try await elliptic(pem: pem, id)
            case .edDSA(let pem, let id): return [try await edDSA(try EdDSA.PublicKey(pem: pem), id)]
            case .jwks(let json): return try await load(set: json, for: algorithms)
            case .jwksURL: return []
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
        case .ecdsa: "a P-256, P-384 or P-521 public key in PEM was expected"
        case .edDSA: "an Ed25519 public key in PEM was expected"
        case .jwks, .jwksURL: "a JSON Web Key Set was expected"
        }
    }

    private static func hmac(_ bytes: [UInt8], _ id: String?, _ algorithms: Set<Algorithm>) async throws -> [JWTKey] {
        var keys: [JWTKey] = []
        for (algorithm, digest) in [(Algorithm.hs256, DigestAlgorithm.sha256), (.hs384, .sha384), (.hs512, .sha512)]
        where algorithms.contains(algorithm) {
            let set = await JWTKeyCollection().add(hmac: HMACKey(from: bytes), digestAlgorithm: digest)
            keys.append(JWTKey(id: id, algorithm: algorithm, verifier: try await set.getKey()))
        }
        return keys
    }

    private static func rsa(
        _ key: Insecure.RSA.PublicKey, _ id: String?, _ algorithms: Set<Algorithm>, only: Algorithm? = nil
    ) async throws -> [JWTKey] {
        var keys: [JWTKey] = []
        for (plain, pss, digest) in [
            (Algorithm.rs256, Algorithm.ps256, DigestAlgorithm.sha256), (.rs384, .ps384, .sha384),
            (.rs512, .ps512, .sha512),
        ] {
            if algorithms.contains(plain), only ?? plain == plain {
                let set = await JWTKeyCollection().add(rsa: key, digestAlgorithm: digest)
                keys.append(JWTKey(id: id, algorithm: plain, verifier: try await set.getKey()))
            }
            if algorithms.contains(pss), only ?? pss == pss {
                let set = await JWTKeyCollection().add(pss: key, digestAlgorithm: digest)
                keys.append(JWTKey(id: id, algorithm: pss, verifier: try await set.getKey()))
            }
        }
        return keys
    }

    private static func elliptic(pem: String, _ id: String?) async throws -> [JWTKey] {
        if let key = try? ES256PublicKey(pem: pem) { return [try await elliptic(key, .es256, id)] }
        if let key = try? ES384PublicKey(pem: pem) { return [try await elliptic(key, .es384, id)] }
        return [try await elliptic(try ES512PublicKey(pem: pem), .es512, id)]
    }

    private static func elliptic(_ key: some ECDSAKey, _ algorithm: Algorithm, _ id: String?) async throws -> JWTKey {
        let set = await JWTKeyCollection().add(ecdsa: key)
        return JWTKey(id: id, algorithm: algorithm, verifier: try await set.getKey())
    }

    private static func edDSA(_ key: EdDSA.PublicKey, _ id: String?) async throws -> JWTKey {
        let set = await JWTKeyCollection().add(eddsa: key)
        return JWTKey(id: id, algorithm: .edDSA, verifier: try await set.getKey())
    }

    // MARK: Sets

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

    /// The keys of a set that can verify here; others are passed over (RFC 7517 5). Throws if it is no set.
    static func load(set json: String, for algorithms: Set<Algorithm>) async throws -> [JWTKey] {
        var keys: [JWTKey] = []
        for member in try JSON.decode(KeySet.self, from: Array(json.utf8)).keys where member.use ?? "sig" == "sig" {
            let only = member.alg.map { Algorithm(rawValue: $0) }
            // It is for an algorithm that is not known here.
            if case .some(.none) = only { continue }
            let loaded = try? await load(member, only ?? nil, algorithms)
            keys += (loaded ?? []).filter {
                algorithms.contains($0.algorithm) && ($0.algorithm == only ?? $0.algorithm)
            }
        }
        return keys
    }

    private static func load(
        _ member: KeySet.Member, _ only: Algorithm?, _ algorithms: Set<Algorithm>
    ) async throws -> [JWTKey] {
        switch (member.kty, member.crv) {
        case ("RSA", _):
            guard let n = member.n, let e = member.e else { return [] }
            return try await rsa(
                try Insecure.RSA.PublicKey(modulus: n, exponent: e), member.kid, algorithms, only: only)
        case ("EC", "P-256"):
            guard let x = member.x, let y = member.y else { return [] }
            return [try await elliptic(try ES256PublicKey(parameters: (x: x, y: y)), .es256, member.kid)]
        case ("EC", "P-384"):
            guard let x = member.x, let y = member.y else { return [] }
            return [try await elliptic(try ES384PublicKey(parameters: (x: x, y: y)), .es384, member.kid)]
        case ("EC", "P-521"):
            guard let x = member.x, let y = member.y else { return [] }
            return [try await elliptic(try ES512PublicKey(parameters: (x: x, y: y)), .es512, member.kid)]
        case ("OKP", "Ed25519"):
            guard let x = member.x else { return [] }
            return [try await edDSA(try EdDSA.PublicKey(x: x, curve: .ed25519), member.kid)]
        default: return []
        }
    }
}
