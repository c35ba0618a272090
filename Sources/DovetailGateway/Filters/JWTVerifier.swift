import DovetailCore
import Foundation
import JWTKit

/// Why a token is not believed; safe to tell the client.
struct TokenError: Error, Equatable {
    var reason: String
    /// Whether the key it names is not known here: it may be new.
    var mayBeNewKey = false
}

/// A token that is believed, and until when.
struct VerifiedToken: Sendable {
    var principal: VerifiedPrincipal
    /// Milliseconds since 1970.
    var expires: Int64
}

/// Verifies JSON Web Tokens (RFC 7519) as RFC 8725 advises: the key decides about the algorithm, never the token.
final class JWTVerifier: Sendable {
    static let maximumTokenBytes = 8192

    let name: String
    let configuration: JWTConfiguration
    private let keys: [JWTKey]
    /// Sets that are fetched.
    private let published: [PublishedKeySet]

    /// A verifier; throws ``GatewayConfigurationError`` for a key that is none, without repeating it. `fetch` gets the text at a URL.
    init(
        name: String, _ configuration: JWTConfiguration, fetch: KeySetFetch? = nil, clock: KeySetClock = KeySetClock()
    ) async throws(GatewayConfigurationError) {
        self.name = name
        self.configuration = configuration
        var keys: [JWTKey] = []
        var published: [PublishedKeySet] = []
        for key in configuration.keys {
            if case .jwksURL(let url, let refresh) = key {
                guard let fetch else {
                    throw GatewayConfigurationError(
                        "authenticator '\(name)' has its keys at \(url), and this gateway was given nothing to fetch them with"
                    )
                }
                published.append(
                    PublishedKeySet(
                        url: url, refresh: refresh, algorithms: configuration.algorithms, authenticator: name,
                        clock: clock, fetch: fetch))
            } else {
                keys += try await JWTKey.load(key, for: configuration.algorithms, of: name)
            }
        }
        guard !configuration.issuer.isEmpty, !configuration.audience.isEmpty else {
            throw GatewayConfigurationError("authenticator '\(name)' needs an issuer and an audience")
        }
        for algorithm in configuration.algorithms
        where published.isEmpty && !keys.contains(where: { $0.algorithm == algorithm }) {
            throw GatewayConfigurationError(
                "authenticator '\(name)' accepts \(algorithm.rawValue) but has no key for it")
        }
        guard !configuration.algorithms.isEmpty else {
            throw GatewayConfigurationError("authenticator '\(name)' accepts no algorithm")
        }
        self.keys = keys
        self.published = published
        for set in published { set.start() }
    }

    /// Verifies a token; one whose key is not known has the published sets fetched, if that may be, and is looked at again.
    func verifyFetching(_ token: [UInt8]) async throws(TokenError) -> VerifiedToken {
        do throws(TokenError) {
            return try verify(token, now: WallClock.milliseconds)
        } catch {
            guard error.mayBeNewKey, !published.isEmpty else { throw error }
            var isNew = false
            for set in published where await set.fetchForUnknownKey() { isNew = true }
            guard isNew else { throw error }
            return try verify(token, now: WallClock.milliseconds)
        }
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
        let fitting = (keys + published.flatMap(\.keys)).filter { key in
            key.algorithm == algorithm && (header.kid == nil || key.id == nil || key.id == header.kid)
        }
        guard fitting.contains(where: { (try? $0.verifier.verify(signature, signs: signed)) == true }) else {
            throw TokenError(reason: "the token's signature is not valid", mayBeNewKey: fitting.isEmpty)
        }
        guard let claims = try? JSON.decode(TokenClaims.self, from: payload) else {
            throw TokenError(reason: "the token's claims are malformed")
        }
        return try claims.check(
            against: configuration, name: name, now: now, all: TokenClaims.texts(of: payload))
    }
}
