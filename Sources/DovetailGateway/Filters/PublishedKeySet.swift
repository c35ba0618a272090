import DovetailCore
import Logging
import Synchronization

/// Gets the text at a URL, for key sets; throws if there is none.
public typealias KeySetFetch = @Sendable (_ url: String) async throws -> String

/// The time by which key sets are fetched.
struct KeySetClock: Sendable {
    var now: @Sendable () -> MonotonicTime = { .now }
    var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
}

/// A key set that is fetched, and again in the background: often enough for a rotation, and never so often that whoever sends unknown key ids could make a storm of it.
final class PublishedKeySet: Sendable {
    private struct State {
        var keys: [JWTKey] = []
        /// When they came.
        var loadedAt: MonotonicTime?
        /// When it was last asked for, and whether somebody asks now.
        var askedAt: MonotonicTime?
        var asking: Task<Bool, Never>?
    }

    /// An unknown key id has the set fetched at most this often.
    static let cooldown = Duration.seconds(30)
    /// Keys that could not be fetched again for so long are believed no more.
    static let longestUse = Duration.seconds(86_400)

    private let url: String
    private let refresh: Duration
    private let algorithms: Set<JWTConfiguration.Algorithm>
    private let authenticator: String
    private let fetch: KeySetFetch
    private let clock: KeySetClock
    private let state = Mutex(State())

    init(
        url: String, refresh: Duration, algorithms: Set<JWTConfiguration.Algorithm>, authenticator: String,
        clock: KeySetClock = KeySetClock(), fetch: @escaping KeySetFetch
    ) {
        self.clock = clock
        self.url = url
        self.refresh = refresh
        self.algorithms = algorithms
        self.authenticator = authenticator
        self.fetch = fetch
    }

    /// Those fetched last; none before the first fetch has succeeded, and none when that is too long ago.
    var keys: [JWTKey] {
        let now = clock.now()
        return state.withLock { state in
            guard let loaded = state.loadedAt, now - loaded <= PublishedKeySet.longestUse else { return [] }
            return state.keys
        }
    }

    /// Fetches it now, and as long as it is used. Starting does not wait for it: what comes before it is there does.
    func start() {
        let (refresh, clock) = (refresh, clock)
        Task { [weak self] in
            while let set = self {
                let succeeded = await set.fetchNow()
                // Until there are keys at all nobody gets in: then sooner.
                let wait = succeeded || !set.keys.isEmpty ? refresh : min(refresh, .seconds(5))
                _ = consume set
                guard (try? await clock.sleep(wait * Double.random(in: 0.9...1.1))) != nil else { return }
            }
        }
    }

    /// Fetches it because of a key id that is not in it, unless that was done a moment ago. True if it was fetched.
    func fetchForUnknownKey() async -> Bool {
        let mayAsk = state.withLock { state in
            if state.asking != nil { return true }
            // The first tokens come together with the first fetch: they wait for it.
            guard let asked = state.askedAt else { return true }
            return clock.now() - asked >= PublishedKeySet.cooldown
        }
        return mayAsk ? await fetchNow() : false
    }

    private func fetchNow() async -> Bool {
        let task = state.withLock { state in
            if let asking = state.asking { return asking }
            state.askedAt = clock.now()
            let task = Task { await self.load() }
            state.asking = task
            return task
        }
        return await task.value
    }

    private func load() async -> Bool {
        defer { state.withLock { $0.asking = nil } }
        do {
            let text = try await fetch(url)
            let keys = try await JWTKey.load(set: text, for: algorithms)
            guard !keys.isEmpty else {
                throw GatewayConfigurationError("it holds no key for \(algorithms.map(\.rawValue).sorted())")
            }
            let now = clock.now()
            state.withLock { ($0.keys, $0.loadedAt) = (keys, now) }
            return true
        } catch {
            Logger(label: "dovetail.gateway").warning(
                "a key set could not be fetched; the keys from before go on, for a day at most",
                metadata: ["authenticator": "\(authenticator)", "url": "\(url)", "error": "\(error)"])
            return false
        }
    }
}
