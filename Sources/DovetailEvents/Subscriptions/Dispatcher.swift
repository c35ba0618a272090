import Collections
import DovetailCore
import Synchronization

/// Reads what is new in a log once, for all subscriptions that have come that far.
///
/// A subscription that is behind reads pages by itself and joins when it has caught up; one whose window is full drops out. So a slow
/// subscription holds nobody up, and one that nothing matches is not touched.
final class Dispatcher: Sendable {
    private struct State {
        /// Every event up to this number was handed to those who had joined.
        var last: Int64 = 0
        var joined: Set<Int> = []
        /// The newest events, for those who have just dropped out.
        var recent: Deque<StoredEvent> = []
        var recentBytes = 0
        /// The subscriptions that want a topic, worked out once.
        var wanted: [String: [Int]] = [:]
    }

    private static let page = 512
    private static let maximumRecent = 2048
    private static let maximumRecentBytes = 8 << 20

    private let log: any EventLog
    private let trie: TopicTrie<Int>
    private let state = Mutex(State())

    init(log: any EventLog, trie: TopicTrie<Int>) {
        self.log = log
        self.trie = trie
    }

    /// Follows the log until cancelled; hands `runners` what they want.
    func run(_ runners: [SubscriptionRunner]) async throws {
        do {
            while true {
                let last = state.withLock { $0.last }
                let head = try await log.waitForHead(beyond: last)
                if skip(to: head) { continue }
                publish(try await log.events(after: last, types: nil, limit: Dispatcher.page), to: runners)
            }
        } catch is CancellationError {}
    }

    /// With nobody listening there is nothing to read.
    private func skip(to head: Int64) -> Bool {
        state.withLock { state in
            guard state.joined.isEmpty else { return false }
            state.last = max(state.last, head)
            state.recent = []
            state.recentBytes = 0
            return true
        }
    }

    private func publish(_ page: EventPage, to runners: [SubscriptionRunner]) {
        let wakes: [SubscriptionRunner.Wake] = state.withLock { state in
            var wanted: [Int: [StoredEvent]] = [:]
            for event in page.events {
                var filtered = FilteredEvent(event)
                for runner in self.wanted(event.type, &state) where state.joined.contains(runner) {
                    if let filter = runners[runner].subscription.filter, !filtered.satisfies(filter) { continue }
                    wanted[runner, default: []].append(event)
                }
                state.recent.append(event)
                state.recentBytes += event.data.count
            }
            while state.recent.count > Dispatcher.maximumRecent || state.recentBytes > Dispatcher.maximumRecentBytes {
                state.recentBytes -= state.recent.removeFirst().data.count
            }
            state.last = max(state.last, page.scanned)
            return wanted.compactMap { runner, events in
                let (wake, hasRoom) = runners[runner].accept(events, scanned: page.scanned)
                if !hasRoom { state.joined.remove(runner) }
                return wake
            }
        }
        for wake in wakes { wake.perform() }
    }

    private func wanted(_ topic: String, _ state: inout State) -> [Int] {
        if let known = state.wanted[topic] { return known }
        if state.wanted.count >= 4096 { state.wanted = [:] }
        let runners = trie.values(matching: topic).sorted()
        state.wanted[topic] = runners
        return runners
    }

    /// What a subscription that is behind gets.
    enum Pull {
        /// It has caught up and is handed events from now on.
        case joined
        /// Events after its place, and how far they go; not filtered.
        case recent([StoredEvent], scanned: Int64)
        /// It has to read the log.
        case behind
    }

    /// The subscription at `scanned` joins, if it has caught up; otherwise it gets at most `limit` of what is at hand.
    ///
    /// `join` is called while nothing can be handed out: it says whether the subscription is still there.
    func pull(_ runner: Int, after scanned: Int64, limit: Int, join: () -> Bool) -> Pull {
        state.withLock { state in
            if scanned >= state.last {
                guard join() else { return .behind }
                if state.joined.isEmpty { state.last = scanned }
                state.joined.insert(runner)
                return .joined
            }
            guard let first = state.recent.first?.position.number, first <= scanned + 1 else { return .behind }
            let events = Array(state.recent.dropFirst(Int(scanned + 1 - first)).prefix(limit))
            guard let last = events.last else { return .behind }
            return .recent(events, scanned: last.position.number)
        }
    }

    /// The subscription is handed nothing more.
    func leave(_ runner: Int) {
        state.withLock { _ = $0.joined.remove(runner) }
    }

    /// How far a subscription has come that has joined: nothing before this concerned it any more.
    func reached(_ runner: Int) -> Int64? {
        state.withLock { $0.joined.contains(runner) ? $0.last : nil }
    }
}
