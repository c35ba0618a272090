import DovetailCore
import Foundation

/// What an operator may see and do. What changes something is on record as an ``Intervention``.
extension EventBus {
    /// Where each subscription stands.
    public func subscriptions() async throws -> [SubscriptionStatus] {
        let dead = try await deadLetterCounts()
        var statuses: [SubscriptionStatus] = []
        for runner in runners {
            var place = runner.place
            if !runner.isRunning, let stored = try await runner.store.place() {
                place = (stored.scanned, stored.open.count, stored.open.min(), stored.blocked, place.problem)
            }
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
            // Of one that cannot be read the age is not known: who waits at it says so.
            let event = try? await log.events(after: first - 1, types: nil, limit: 1).events.first
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

    /// Dead letters of a subscription by what they died of, the most first.
    public func deadLetterGroups(of subscription: String) async throws -> [DeadLetterGroup] {
        struct Row: Decodable {
            var position: Int64, type: String, reason: DeadLetter.Reason, error: String, diedAt: Date
        }
        struct Kind: Hashable { var type: String, reason: DeadLetter.Reason, error: String }
        try await prepare()
        var groups: [Kind: DeadLetterGroup] = [:]
        var after: Int64 = 0
        while true {
            let rows = try await log.snapshot { [after] snapshot in
                try snapshot.rows(
                    Row.self,
                    """
                    SELECT position, type, reason, error, died_at FROM dovetail_dead_letters
                    WHERE subscription = \(subscription) AND position > \(after) ORDER BY position LIMIT 1000
                    """)
            }
            guard let last = rows.last else { break }
            after = last.position
            for row in rows {
                let kind = Kind(type: row.type, reason: row.reason, error: DeadLetterGroup.shape(of: row.error))
                var group =
                    groups[kind]
                    ?? DeadLetterGroup(
                        type: kind.type, reason: kind.reason, error: kind.error, count: 0, first: row.position,
                        lastDiedAt: row.diedAt)
                group.count += 1
                group.lastDiedAt = max(group.lastDiedAt, row.diedAt)
                groups[kind] = group
            }
        }
        return groups.values.sorted { ($0.count, $1.first) > ($1.count, $0.first) }
    }

    // MARK: Dead letters

    /// Has a dead letter tried again, with all its attempts; if it succeeds, what waits behind it follows in order.
    ///
    /// Returns when it is on its way. Throws ``LogError`` if there is no such dead letter or subscription, if it is being tried already, or if the bus does not run.
    public func redrive(_ subscription: String, position: Int64) async throws {
        let runner = try runner(subscription)
        let letter = try await letter(subscription, position)
        try requireRunning(runner)
        guard try await runner.redrive(letter) else {
            throw LogError(
                .statement, subscription,
                "the event at \(position) is being tried already, or its key is busy; look again shortly")
        }
        try await record(Intervention(action: "redriven", subscription: subscription, position: position))
    }

    /// How a redrive of many has gone.
    public struct Redriven: Sendable {
        /// How many were looked at.
        public var seen = 0
        /// How many were chosen.
        public var chosen = 0
        /// How many are tried again.
        public var redriven = 0
        /// How many wait behind another of their key, which they follow by themselves.
        public var waiting = 0
    }

    /// Has the chosen dead letters tried again, in the order of the log, at most `rate` a second. With `dryRun` it only counts.
    @discardableResult
    public func redrive(
        _ subscription: String, _ choice: DeadLetterChoice, rate: Double? = nil, dryRun: Bool = false,
        progress: @Sendable (Redriven) -> Void = { _ in }
    ) async throws -> Redriven {
        let runner = try runner(subscription)
        if !dryRun { try requireRunning(runner) }
        var result = Redriven()
        var pace = Pace(rate)
        var after: Int64 = 0
        while true {
            let letters = try await deadLetters(of: subscription, after: after, limit: 100)
            guard let last = letters.last else { break }
            after = last.position
            for letter in letters {
                result.seen += 1
                guard choice.contains(letter) else { continue }
                result.chosen += 1
                if dryRun { continue }
                try await pace.wait()
                if try await runner.redrive(letter) { result.redriven += 1 } else { result.waiting += 1 }
            }
            progress(result)
        }
        if result.redriven > 0 {
            try await record(
                Intervention(action: "redriven", subscription: subscription, detail: "\(result.redriven) dead letters"))
        }
        return result
    }

    /// Gives a dead letter another payload, with which it is redriven. The event in the log stays as it is. Durable when it returns.
    public func edit(_ subscription: String, position: Int64, data: [UInt8]) async throws {
        _ = try await letter(subscription, position)
        let draft = try Intervention(action: "edited", subscription: subscription, position: position).draft()
        try await log.transaction("edit \(subscription)", as: .engine) { transaction in
            try transaction.execute(
                """
                UPDATE dovetail_dead_letters SET data = \(data)
                WHERE subscription = \(subscription) AND position = \(position)
                """)
            try transaction.append(Append(events: [draft]))
        }
    }

    /// Drops a dead letter for good; what waits behind it goes on without it. Durable when it returns. Throws as ``redrive(_:position:)``.
    public func discard(_ subscription: String, position: Int64) async throws {
        let runner = try runner(subscription)
        let letter = try await letter(subscription, position)
        try requireRunning(runner)
        guard try await runner.discard(position, key: letter.eventKey) else {
            throw LogError(.statement, subscription, "the event at \(position) is being tried; look again shortly")
        }
        try await record(Intervention(action: "discarded", subscription: subscription, position: position))
    }

    // MARK: Places

    /// Sets a subscription to another place, from which all events come again, or up to which those not yet handled are left out.
    ///
    /// Dead letters stay. A subscription that cannot start over an event under way that cannot be read lets go of that one. A handler that runs meanwhile is not waited for; what it settles does not count. Durable when it returns. Returns the number after which it goes on.
    @discardableResult
    public func seek(_ subscription: String, to start: Subscription.Start) async throws -> Int64 {
        let number = try await log.number(of: start)
        try await prepare()
        try await runner(subscription).seek(to: number)
        try await record(Intervention(action: "sought", subscription: subscription, position: number))
        return number
    }

    /// Takes events of a range to the subscription's own handler once more, or to a shadow's; see ``EventReplay``. The subscription stays where it is.
    ///
    /// Not for effectively-once subscriptions, whose effects are the rows that a rebuild makes anew.
    @discardableResult
    public func replay(
        _ subscription: String, from start: Subscription.Start, upTo end: Int64? = nil, rate: Double? = nil,
        dryRun: Bool = false, into shadow: (@Sendable (StoredEvent, Delivery) async throws -> Void)? = nil,
        progress: @Sendable (EventReplay.Progress) -> Void = { _ in }
    ) async throws -> EventReplay.Progress {
        let subscribed = try runner(subscription).subscription
        let handler: @Sendable (StoredEvent, Delivery) async throws -> Void
        switch subscribed.handler {
        case .atLeastOnce(let own): handler = shadow ?? own
        case .atMostOnce(let own): handler = shadow ?? { event, _ in await own(event) }
        case .effectivelyOnce:
            throw LogError(.statement, subscription, "its effects are made once; rebuild what it writes instead")
        }
        let replay = EventReplay(
            of: subscribed.topics, where: subscribed.filter, after: try await log.number(of: start), upTo: end,
            rate: rate)
        if !dryRun, shadow == nil {
            try await record(
                Intervention(
                    action: "replayed", subscription: subscription, position: replay.after,
                    detail: "up to \(min(end ?? log.head, log.head))"))
        }
        return try await replay.run(
            over: log, as: subscription, progress: progress, handler: dryRun ? nil : handler)
    }

    /// Forgets a subscription that is no more part of the program: its place, what it holds, its dead letters. Durable when it returns.
    public func forget(_ subscription: String) async throws {
        guard !runners.contains(where: { $0.subscription.name == subscription }) else {
            throw LogError(.statement, subscription, "it is part of this program; take it out first")
        }
        try await prepare()
        let draft = try Intervention(action: "forgotten", subscription: subscription).draft()
        try await log.transaction("forget \(subscription)", as: .engine) { transaction in
            guard
                try transaction.execute("DELETE FROM dovetail_subscriptions WHERE name = \(subscription)") == 1
            else { throw LogError(.statement, subscription, "the log knows no subscription of this name") }
            try transaction.execute("DELETE FROM dovetail_failures WHERE subscription = \(subscription)")
            try transaction.execute("DELETE FROM dovetail_held WHERE subscription = \(subscription)")
            try transaction.execute("DELETE FROM dovetail_dead_letters WHERE subscription = \(subscription)")
            try transaction.append(Append(events: [draft]))
        }
    }

    /// Subscriptions that the log knows and this program does not have: they hold back what retention would let go.
    public func forgotten() async throws -> [String] {
        try await prepare()
        let known = Set(runners.map(\.subscription.name))
        return try await log.snapshot { snapshot in
            try snapshot.rows(String.self, "SELECT name FROM dovetail_subscriptions ORDER BY name")
        }.filter { !known.contains($0) }
    }

    /// What each subscription has done since the node's start; of effectively-once ones the events that had their effect are counted by ``subscriptions()``.
    public var counters: [(subscription: Subscription, counters: DeliveryCounters)] {
        runners.map { ($0.subscription, $0.counters) }
    }

    /// What the effectively-once subscriptions have done with, whose places are not in the log.
    public var holds: [RetentionHold] {
        readers.map {
            RetentionHold(name: "the subscription '\($0.subscription.name)'", done: $0.reader.status.scanned)
        }
    }

    private func record(_ intervention: Intervention) async throws {
        try await log.record(intervention)
    }

    private func requireRunning(_ runner: SubscriptionRunner) throws {
        guard runner.isRunning else {
            throw LogError(
                .statement, runner.subscription.name,
                "the node does not run; start it, its handlers have to try the event")
        }
    }

    private func runner(_ name: String) throws -> SubscriptionRunner {
        if readers.contains(where: { $0.subscription.name == name }) {
            throw LogError(
                .statement, name,
                "its effects are made once, and its place is in the database where they are: rebuild what it writes instead"
            )
        }
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
