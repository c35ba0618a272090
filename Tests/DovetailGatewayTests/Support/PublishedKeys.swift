import Crypto
import DovetailCore
import NIOConcurrencyHelpers

@testable import DovetailGateway

/// A time that goes on when a test says so.
final class ManualTime: Sendable {
    private struct State {
        var now = MonotonicTime.now
        var sleepers: [(due: MonotonicTime, wake: CheckedContinuation<Void, any Error>)] = []
        var isOver = false
    }

    private let state = NIOLockedValueBox(State())
    private let sleeps = Recorded<Void>()

    var keySetClock: KeySetClock {
        KeySetClock(now: { self.state.withLockedValue { $0.now } }, sleep: { try await self.sleep($0) })
    }

    private func sleep(_ time: Duration) async throws {
        try await withCheckedThrowingContinuation { wake in
            let isOver = state.withLockedValue { state in
                if !state.isOver { state.sleepers.append((state.now + time, wake)) }
                return state.isOver
            }
            if isOver { wake.resume(throwing: CancellationError()) }
            sleeps.append(())
        }
    }

    /// Waits until somebody has gone to sleep so many times.
    func sleeping(_ count: Int) async { await sleeps.wait(for: count) }

    func advance(by time: Duration) {
        let awake = state.withLockedValue { state in
            state.now = state.now + time
            let now = state.now
            let awake = state.sleepers.filter { $0.due <= now }
            state.sleepers.removeAll { $0.due <= now }
            return awake
        }
        for sleeper in awake { sleeper.wake.resume() }
    }

    /// Nobody sleeps any more.
    func end() {
        let sleepers = state.withLockedValue { state in
            state.isOver = true
            defer { state.sleepers = [] }
            return state.sleepers
        }
        for sleeper in sleepers { sleeper.wake.resume(throwing: CancellationError()) }
    }
}

/// A key set that a test publishes, refreshed every hour, and a verifier that fetches it.
final class PublishedKeys: Sendable {
    let clock: ManualTime
    let fetches: Recorded<Void>
    let verifier: JWTVerifier
    let one: [UInt8]
    let two: [UInt8]
    private let keys: [String: Curve25519.Signing.PrivateKey]
    private let text: NIOLockedValueBox<String>

    init() async throws {
        let keys = Dictionary(
            uniqueKeysWithValues: ["one", "two", "three"].map { ($0, Curve25519.Signing.PrivateKey()) })
        let (clock, fetches, text) = (
            ManualTime(), Recorded<Void>(), NIOLockedValueBox(PublishedKeys.set(["one"], keys))
        )
        let configuration = JWTConfiguration(
            issuer: "https://id.test", audience: "shop", algorithms: [.edDSA],
            keys: [.jwksURL("https://id.test/keys", refresh: .seconds(3600))])
        verifier = try await JWTVerifier(
            name: "x", configuration,
            fetch: { url in
                defer { fetches.append(()) }
                let text = text.withLockedValue { $0 }
                guard url == "https://id.test/keys", !text.isEmpty else { throw TokenError(reason: "away") }
                return text
            }, clock: clock.keySetClock)
        (self.clock, self.fetches, self.text, self.keys) = (clock, fetches, text, keys)
        one = try PublishedKeys.token("one", keys)
        two = try PublishedKeys.token("two", keys)
    }

    /// Publishes these keys; none of them for a service that is away.
    func publish(_ names: [String]) {
        let set = PublishedKeys.set(names, keys)
        text.withLockedValue { $0 = set }
    }

    func token(_ name: String) throws -> [UInt8] { try PublishedKeys.token(name, keys) }

    /// Whether it is believed by the keys that are there.
    func isBelieved(_ token: [UInt8]) -> Bool { (try? verifier.verify(token, now: WallClock.milliseconds)) != nil }

    private static func set(_ names: [String], _ keys: [String: Curve25519.Signing.PrivateKey]) -> String {
        guard !names.isEmpty else { return "" }
        let members = names.compactMap { name in
            keys[name].map { key in
                #"{"kty":"OKP","crv":"Ed25519","kid":"\#(name)","x":"\#(Tokens.base64(Array(key.publicKey.rawRepresentation)))"}"#
            }
        }
        let broken = #"{"kty":"EC","crv":"P-256","kid":"broken","x":"!","y":"!"}"#
        return #"{"keys":[\#((members + [broken]).joined(separator: ","))]}"#
    }

    private static func token(_ name: String, _ keys: [String: Curve25519.Signing.PrivateKey]) throws -> [UInt8] {
        let expires = WallClock.milliseconds / 1000 + 1_000_000
        let signed =
            Tokens.base64(Array(#"{"alg":"EdDSA","kid":"\#(name)"}"#.utf8)) + "."
            + Tokens.base64(Array(#"{"iss":"https://id.test","aud":"shop","sub":"ann","exp":\#(expires)}"#.utf8))
        let signature = try keys[name]?.signature(for: Array(signed.utf8)) ?? .init()
        return Array((signed + "." + Tokens.base64(Array(signature))).utf8)
    }
}
