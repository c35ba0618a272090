import DovetailCore
import Foundation
import ServiceLifecycle
import Synchronization

/// Delivers the events of a log to subscriptions.
///
/// Events of one key are delivered in the order of the log, through failures and restarts: what comes after a failing event of its key waits, and
/// other keys flow. Nothing that matches is left out: an event is handled, retried, held behind another, or in the dead letters. Where every subscription stands
/// is kept in the log's own database.
public final class EventBus: Service {
    private let log: any EventLog
    private let isPrepared = Mutex(false)
    private let dispatcher: Dispatcher
    private let runners: [SubscriptionRunner]
    private let readers: [(subscription: Subscription, reader: EffectivelyOnceReader)]

    /// A bus for these subscriptions, whose names have to differ.
    public init(log: any EventLog, subscriptions: [Subscription], clock: any MonotonicClock = .system) {
        precondition(
            Set(subscriptions.map(\.name)).count == subscriptions.count, "two subscriptions of a bus have the same name"
        )
        self.log = log
        var trie = TopicTrie<Int>()
        var kept: [Subscription] = []
        var readers: [(Subscription, EffectivelyOnceReader)] = []
        for subscription in subscriptions {
            if case .effectivelyOnce(let database, let handler) = subscription.handler {
                let reader = EffectivelyOnceReader(subscription, from: log, into: database, handler: handler)
                readers.append((subscription, reader))
            } else {
                for topic in subscription.topics { trie.insert(kept.count, for: topic) }
                kept.append(subscription)
            }
        }
        let dispatcher = Dispatcher(log: log, trie: trie)
        self.dispatcher = dispatcher
        self.readers = readers
        runners = kept.enumerated().map { index, subscription in
            SubscriptionRunner(subscription, index: index, log: log, clock: clock, dispatcher: dispatcher)
        }
    }

    /// Delivers until the task is cancelled or a shutdown is asked for; then handlers under way may end, for ten seconds, and what they did is written.
    ///
    /// Throws what keeps a subscription from running: ``LogError`` `foreignPosition` if it stands in another log, `stopped` when the log has stopped.
    public func run() async throws {
        do { try await deliver() } catch is CancellationError {}
    }

    private func deliver() async throws {
        try await prepare()
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for runner in self.runners { group.addTask { try await runner.run() } }
                for (_, reader) in self.readers { group.addTask { try await reader.run() } }
                if !self.runners.isEmpty { group.addTask { try await self.dispatcher.run(self.runners) } }
                // Without a subscription too it runs until it is told to stop.
                group.addTask { await Signal().wait() }
                defer { group.cancelAll() }
                for try await _ in group where Task.isCancelled { break }
            }
        }
    }

    /// Makes the tables that the bus keeps its place in; idempotent. ``run()`` and the operator's calls do it by themselves.
    public func prepare() async throws {
        if isPrepared.withLock({ $0 }) { return }
        try await DeliveryStore.prepare(log)
        isPrepared.withLock { $0 = true }
    }

    // MARK: For operators

    /// Where each subscription stands.
    public func subscriptions() async throws -> [SubscriptionStatus] {
        let dead = try await deadLetterCounts()
        var statuses: [SubscriptionStatus] = []
        for runner in runners {
            let place = runner.place
            statuses.append(
                try await status(
                    runner.subscription, scanned: place.scanned, open: place.open, oldest: place.firstOpen,
                    blocked: place.blocked, dead: dead[runner.subscription.name] ?? 0, problem: place.problem))
        }
        for (subscription, reader) in readers {
            let status = reader.status
            let problem = status.blocked.map {
                "it cannot get past the \($0.type) at \($0.position.number), tried \($0.attempts) times: \($0.error)"
            }
            statuses.append(
                try await self.status(
                    subscription, scanned: status.scanned, open: 0, oldest: nil, blocked: status.blocked == nil ? 0 : 1,
                    dead: 0, problem: problem))
        }
        return statuses.sorted { $0.name < $1.name }
    }

    private func status(
        _ subscription: Subscription, scanned: Int64, open: Int, oldest: Int64?, blocked: Int, dead: Int,
        problem: String?
    ) async throws -> SubscriptionStatus {
        let head = log.head
        var age: Duration?
        if let first = oldest ?? (scanned < head ? scanned + 1 : nil) {
            let event = try await log.events(after: first - 1, types: nil, limit: 1).events.first
            age = event.map { .seconds(max(0, -$0.time.timeIntervalSinceNow)) }
        }
        return SubscriptionStatus(
            name: subscription.name, topics: subscription.topics.map(\.description), scanned: scanned,
            lag: max(0, head - scanned) + Int64(open), age: age, blockedKeys: blocked, deadLetters: dead,
            problem: problem)
    }

    private func deadLetterCounts() async throws -> [String: Int] {
        struct Count: Decodable { var subscription: String, count: Int }
        try await prepare()
        let counts = try await log.snapshot { snapshot in
            try snapshot.rows(
                Count.self,
                "SELECT subscription, count(*) AS count FROM dovetail_dead_letters GROUP BY subscription")
        }
        return Dictionary(counts.map { ($0.subscription, $0.count) }) { first, _ in first }
    }

    /// Dead letters of a subscription after a position, in order, at most `limit`.
    public func deadLetters(
        of subscription: String, after position: Int64 = 0, limit: Int = 100
    ) async throws -> [DeadLetter] {
        try await prepare()
        return try await log.snapshot { snapshot in
            try snapshot.rows(
                DeadLetter.self,
                """
                SELECT * FROM dovetail_dead_letters WHERE subscription = \(subscription) AND position > \(position)
                ORDER BY position LIMIT \(limit)
                """)
        }
    }

    /// Has a dead letter tried again, with all its attempts; if it succeeds, what waits behind it follows in order.
    ///
    /// Returns when it is on its way. Throws ``LogError`` if there is no such dead letter or subscription, or if it is being tried already.
    public func redrive(_ subscription: String, position: Int64) async throws {
        let runner = try runner(subscription)
        let letter = try await letter(subscription, position)
        guard try await runner.redrive(letter) else {
            throw LogError(
                .statement, subscription,
                "the event at \(position) is being tried already, or its key is busy; look again shortly")
        }
    }

    /// Drops a dead letter for good; what waits behind it goes on without it. Durable when it returns. Throws as ``redrive(_:position:)``.
    public func discard(_ subscription: String, position: Int64) async throws {
        let runner = try runner(subscription)
        let letter = try await letter(subscription, position)
        guard try await runner.discard(position, key: letter.eventKey) else {
            throw LogError(.statement, subscription, "the event at \(position) is being tried; look again shortly")
        }
    }

    /// Sets a subscription to another place, from which all events come again, or up to which those not yet handled are left out.
    ///
    /// Dead letters stay. A handler that runs meanwhile is not waited for; what it settles does not count. Durable when it returns.
    public func seek(_ subscription: String, to start: Subscription.Start) async throws {
        let number = try await log.number(of: start)
        try await prepare()
        try await runner(subscription).seek(to: number)
    }

    private func runner(_ name: String) throws -> SubscriptionRunner {
        guard let runner = runners.first(where: { $0.subscription.name == name }) else {
            throw LogError(
                .statement, name,
                "there is no such subscription here; there are: \(runners.map(\.subscription.name).sorted().joined(separator: ", "))"
            )
        }
        return runner
    }

    private func letter(_ subscription: String, _ position: Int64) async throws -> DeadLetter {
        guard let letter = try await deadLetters(of: subscription, after: position - 1, limit: 1).first,
            letter.position == position
        else { throw LogError(.statement, subscription, "it has no dead letter at \(position)") }
        return letter
    }
}
