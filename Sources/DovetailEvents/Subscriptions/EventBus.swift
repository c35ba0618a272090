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
    let log: any EventLog
    private let isPrepared = Mutex(false)
    private let dispatcher: Dispatcher
    let runners: [SubscriptionRunner]
    let readers: [(subscription: Subscription, reader: EffectivelyOnceReader)]

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
        // Kept at once: from now on the log holds for them what they have not seen.
        for runner in runners {
            _ = try await runner.store.load(start: try await log.number(of: runner.subscription.start))
        }
        isPrepared.withLock { $0 = true }
    }
}
