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
        /// The newest events that somebody wants, for those who have just dropped out: all after number `recentFrom`.
        var recent: Deque<Envelope> = []
        var recentFrom: Int64 = 0
        var recentBytes = 0
        /// The subscriptions that want a topic, worked out once.
        var wanted: [String: [Int]] = [:]

        /// Goes on after `number`, if that is further on: what lies between was not looked at.
        mutating func restart(at number: Int64) {
            guard number > last else { return }
            last = number
            recent = []
            recentBytes = 0
            recentFrom = number
        }
    }

    private static let page = 512
    private static let maximumRecent = 2048
    private static let maximumRecentBytes = 8 << 20

    private let log: any EventLog
    private let trie: TopicTrie<Int>
    private let state = Mutex(State())
    private let hasListener = Signal()

    init(log: any EventLog, trie: TopicTrie<Int>) {
        self.log = log
        self.trie = trie
    }

    /// Follows the log until cancelled; hands `runners` what they want.
    func run(_ runners: [SubscriptionRunner]) async throws {
        do {
            while true {
                let (last, isHeard) = state.withLock { ($0.last, !$0.joined.isEmpty) }
                guard isHeard else {
                    // Who has dropped out finds the newest events here, and joins again where they end.
                    try Task.checkCancellation()
                    await hasListener.wait()
                    continue
                }
                _ = try await log.waitForHead(beyond: last)
                do {
                    publish(try await log.events(after: last, types: nil, limit: Dispatcher.page), to: runners)
                } catch let error as LogError where error.mayPass {
                    // Whom the event that cannot be read concerns finds out by itself; the others join again behind it.
                    dismiss(runners, goingOnAfter: last + 1)
                }
            }
        } catch is CancellationError {}
    }

    private func publish(_ page: EventPage, to runners: [SubscriptionRunner]) {
        let wakes: [SubscriptionRunner.Wake] = state.withLock { state in
            var wanted: [Int: [Envelope]] = [:]
            for event in page.events {
                let interested = self.wanted(event.type, &state)
                if interested.isEmpty { continue }
                let envelope = Envelope(event)
                var filtered = FilteredEvent(event)
                for runner in interested where state.joined.contains(runner) {
                    if let filter = runners[runner].subscription.filter, !filtered.satisfies(filter) { continue }
                    wanted[runner, default: []].append(envelope)
                }
                state.recent.append(envelope)
                state.recentBytes += event.data.count
            }
            while state.recent.count > Dispatcher.maximumRecent || state.recentBytes > Dispatcher.maximumRecentBytes {
                let oldest = state.recent.removeFirst()
                state.recentFrom = oldest.position
                state.recentBytes -= oldest.event.data.count
            }
            state.last = max(state.last, page.scanned)
            return wanted.map { runner, envelopes in
                let (wake, hasRoom) = runners[runner].accept(envelopes, scanned: page.scanned)
                if !hasRoom { state.joined.remove(runner) }
                return wake
            }
        }
        for wake in wakes { wake.perform() }
    }

    private func dismiss(_ runners: [SubscriptionRunner], goingOnAfter number: Int64) {
        let wakes = state.withLock { state in
            defer { state.joined = [] }
            state.restart(at: number)
            return state.joined.map { runners[$0].dismissed() }
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
        case recent([Envelope], scanned: Int64)
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
                if state.joined.isEmpty { state.restart(at: scanned) }
                state.joined.insert(runner)
                hasListener.raise()
                return .joined
            }
            guard scanned >= state.recentFrom else { return .behind }
            let envelopes = Array(state.recent[Dispatcher.place(after: scanned, in: state.recent)...].prefix(limit))
            let end = envelopes.count == limit ? envelopes.last?.position : nil
            return .recent(envelopes, scanned: end ?? state.last)
        }
    }

    /// The index of the first event after number `number`.
    private static func place(after number: Int64, in envelopes: Deque<Envelope>) -> Int {
        var low = 0
        var high = envelopes.count
        while low < high {
            let middle = (low + high) / 2
            if envelopes[middle].position > number { high = middle } else { low = middle + 1 }
        }
        return low
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
