import DovetailCore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Removes events that nobody needs any more, by rules, by the limits of streams (``StreamMetadata``) and where a stream was deleted for good, in small steps beside the work.
///
/// Nothing is removed that a durable subscription, a read model or another holder has not done with, nor what waits for a retry or behind a failed event; dead
/// letters keep their own copy. What was removed is on record as ranges with their counts, so that ``EventLog/verify(progress:)`` can tell it from what is lost.
public final class Retention: Service {
    /// What holds events back, and what was reclaimed since the start.
    public struct Status: Sendable {
        /// How many events were reclaimed.
        public var reclaimed: Int
        /// Who holds the most; nil before the first round, and where nobody holds anything.
        public var hold: RetentionHold?
        /// Why the last round was broken off, if it was.
        public var problem: String?
    }

    private struct Progress {
        /// For each rule, up to where all that matches is gone.
        var marks: [RetentionRule: Int64] = [:]
        var status = Status(reclaimed: 0, hold: nil, problem: nil)
    }

    private let log: any EventLog
    private let rules: [RetentionRule]
    private let interval: Duration
    private let holds: @Sendable () async throws -> [RetentionHold]
    private let progress = Mutex(Progress())

    /// How many events one step removes at most: their commit holds nobody up.
    static let step = 500

    /// Retention of a log by rules. `holds` tells who needs events besides the durable subscriptions that the log knows itself.
    public init(
        log: any EventLog, rules: [RetentionRule], interval: Duration = .seconds(60),
        holds: @escaping @Sendable () async throws -> [RetentionHold] = { [] }
    ) {
        self.log = log
        self.rules = rules
        self.interval = interval
        self.holds = holds
    }

    /// What holds events back, and what was reclaimed.
    public var status: Status { progress.withLock { $0.status } }

    /// Runs round after round until the task is cancelled. A round that fails is told in ``status`` and tried again.
    public func run() async throws {
        while !Task.isCancelled {
            do {
                try await runOnce()
            } catch is CancellationError {
                return
            } catch {
                progress.withLock { $0.status.problem = "\(error)" }
                Logger(label: "dovetail.events").warning(
                    "events could not be reclaimed", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }

    /// Goes through all rules, the limits of streams and the streams that were deleted for good once; returns how many events were removed.
    @discardableResult
    public func runOnce(now: Date = Date()) async throws -> Int {
        let all = try await holds() + DeliveryStore.holds(log)
        let hold = all.min { $0.done < $1.done }
        var total = 0
        for rule in rules {
            let removed = try await reclaim(rule, upTo: try await bound(of: rule, now: now))
            total += removed
            progress.withLock { $0.status.reclaimed += removed }
        }
        let trimmed = try await log.trimStreams(now: now, holds: holds)
        progress.withLock { $0.status.reclaimed += trimmed }
        let emptied = try await log.emptyTombstones(holds: holds)
        total += trimmed + emptied
        progress.withLock { progress in
            progress.status.reclaimed += emptied
            progress.status.hold = hold
            progress.status.problem = nil
        }
        return total
    }

    /// The number up to which the rule lets events go.
    private func bound(of rule: RetentionRule, now: Date) async throws -> Int64 {
        var bound: Int64 = 0
        if let age = rule.age { bound = try await log.number(before: now.addingTimeInterval(-age.inSeconds)) }
        if let positions = rule.positions { bound = max(bound, log.head - positions) }
        if let bytes = rule.bytes { bound = max(bound, try await log.number(keeping: bytes, of: rule.topics)) }
        return bound
    }

    private func reclaim(_ rule: RetentionRule, upTo bound: Int64) async throws -> Int {
        var mark = progress.withLock { $0.marks[rule] } ?? 0
        var total = 0
        while mark < bound {
            // Asked for each step: who sets a subscription back while a round goes on finds what is still there.
            let all = try await holds() + DeliveryStore.holds(log)
            let end = min(bound, all.map(\.done).min() ?? .max)
            guard mark < end else { break }
            let step = try await log.reclaim(
                rule.topics, after: mark, upTo: end, limit: Retention.step, unless: DeliveryStore.held)
            guard step.scanned > mark else { break }
            mark = step.scanned
            total += step.count
            progress.withLock { $0.marks[rule] = mark }
            // Others go first.
            await Task.yield()
        }
        return total
    }
}

extension EventLog {
    /// The number after which the newest published events of these topics have at most `bytes` of payloads and attributes.
    func number(keeping bytes: Int, of topics: [TopicPattern]) async throws -> Int64 {
        let interest = Interest(topics: topics, filter: nil)
        var left = bytes
        var end = head
        while end > 0 {
            let start = max(0, end - 1000)
            // A page from there, and no further than what was looked at already.
            var after = start
            var sizes: [(number: Int64, bytes: Int)] = []
            while after < end {
                let page = try await events(after: after, types: interest.types, limit: 1000)
                sizes += page.events.filter { $0.stream == nil && $0.position.number <= end && interest.wants($0) }
                    .map { ($0.position.number, $0.weight) }
                after = page.scanned
            }
            for (number, size) in sizes.reversed() {
                left -= size
                if left < 0 { return number }
            }
            end = start
        }
        return 0
    }
}

extension StoredEvent {
    /// About how many bytes the event takes.
    fileprivate var weight: Int {
        data.count + key.utf8.count + 64
            + (attributes.headers ?? [:]).reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    }
}
