import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailPrivacy
import DovetailSagas
import Foundation

/// Runs sagas in a test: on a log in memory, by a clock that goes on to the next timer by itself, one step after the other.
///
///     let harness = try await SagaHarness()
///     try await harness.add(placeOrder(inventory, payments))
///     try await harness.publish(OrdersAPI().created(order))
///     try await harness.run()
///     #expect(try await harness.instances().map(\.status) == [.completed])
///
/// Definition, rules, journal and calls are those of a node. Pauses between attempts are the longest that the policy allows, and take no time.
public final class SagaHarness {
    /// The time that the sagas go by.
    public let clock: ManualClock
    /// The log that they listen to.
    public let log: any EventLog
    /// What carries out commands on it: of the present life of the node, since what it remembers dies with that.
    public private(set) var commands: CommandExecutor
    /// The keys of personal data.
    public let keys: KeyRing
    /// How many commits there were.
    public private(set) var commits = 0

    private let journal: SagaJournal
    private let time: SagaClock
    private var sagas: [any AnySaga] = []
    private var carriers: [any SagaCarrier] = []
    private let crash: (commit: Int, moment: SagaMoment)?
    private var hasCrashed = false

    /// A harness without sagas.
    public convenience init() async throws {
        try await self.init(crash: nil)
    }

    private init(crash: (commit: Int, moment: SagaMoment)?) async throws {
        self.crash = crash
        clock = ManualClock()
        let store = try MemoryStore()
        log = store.log
        keys = store.keys
        commands = CommandExecutor(log: log)
        journal = SagaJournal(log: log)
        time = .by(clock, from: Date(timeIntervalSince1970: 1_700_000_000))
        try await journal.prepare()
    }

    /// The present time of the sagas.
    public var now: Date { time.now() }

    /// Runs a saga, and those that it has as children.
    public func add<State>(_ saga: Saga<State>) async throws {
        for one in [saga] + saga.children where !sagas.contains(where: { $0.name == one.name }) { sagas.append(one) }
        try await takeOver()
    }

    /// Stops the node and starts it again with another program: this saga in place of the one of its name, whose instances are under way.
    public func replace<State>(_ saga: Saga<State>) async throws {
        sagas.removeAll { $0.name == saga.name }
        commands = CommandExecutor(log: log)
        try await add(saga)
    }

    /// Stops the node and starts it again: what is not in the log is forgotten, also what ``commands`` remembers of aggregates.
    public func restart() async throws {
        commands = CommandExecutor(log: log)
        try await takeOver()
    }

    private func takeOver() async throws {
        carriers = sagas.map { $0.carrier(log: log, commands: commands, source: "test", clock: time) }
        for carrier in carriers { try await carrier.takeOver() }
    }

    /// Publishes events.
    public func publish(_ events: NewEvent...) async throws {
        let drafts = try PersonalData.$vault.withValue(keys) {
            try events.map { try EventDraft($0, source: "test", context: nil) }
        }
        _ = try await log.publish(drafts)
    }

    /// Runs until all instances have ended, or wait for what does not come by itself; timers take no time. With `duration` it stops at the first timer beyond it.
    public func run(for duration: Duration? = nil) async throws {
        try await PersonalData.$vault.withValue(keys) { try await carryOn(for: duration) }
    }

    private func carryOn(for duration: Duration?) async throws {
        let end = duration.map { now.addingTimeInterval($0.inSeconds) }
        while true {
            do {
                while try await carryAll() {}
            } catch is Crash {
                try await restart()
                continue
            }
            var next: Date?
            for carrier in carriers {
                next = [next, try await carrier.nextDue()].compactMap { $0 }.min()
            }
            guard let next, next <= end ?? .distantFuture else {
                if let end { advance(to: end) }
                return
            }
            advance(to: next)
        }
    }

    /// The instances, the oldest first.
    public func instances() async throws -> [SagaRecord] {
        try await journal.instances(limit: 10_000).reversed()
    }

    /// The journal of an instance.
    public func journal(of id: UniqueID) async throws -> [SagaJournalEntry] {
        try await journal.instance(id)?.1 ?? []
    }

    /// Has an operator intervene; carried out at the next ``run(for:)``.
    public func intervene(_ id: UniqueID, _ intervention: SagaIntervention) async throws {
        try await journal.intervene(id, intervention, now: now)
    }

    /// Gives an instance a signal; seen at the next ``run(for:)``.
    public func signal(_ id: UniqueID, _ name: String, _ value: some Wire) async throws {
        let data = try PersonalData.$vault.withValue(keys) { try JSON.encode(value) }
        try await journal.signal(id, name, data, now: now)
    }

    private struct Crash: Error {}

    private func carryAll() async throws -> Bool {
        var wasDue = false
        for carrier in carriers {
            try await carrier.receive()
            let did = try await carrier.carry { moment in
                if moment == .beforeCommit { commits += 1 }
                guard let crash, !hasCrashed, crash.commit == commits, crash.moment == moment else { return }
                hasCrashed = true
                throw Crash()
            }
            wasDue = wasDue || did
        }
        return wasDue
    }

    private func advance(to date: Date) {
        // A step further than the date says, where that is no whole number of nanoseconds.
        let left = date.timeIntervalSince(now)
        if left > 0 { clock.advance(by: .nanoseconds(Int64(left * 1e9) + 1000)) }
    }

    // MARK: Crashes

    /// What became of a scenario that was run with a crash at each of its commits.
    public struct CrashReport: Sendable {
        /// How many commits it has, undisturbed.
        public var commits: Int
        /// How often it was run with a crash.
        public var crashes: Int
    }

    /// The outcome with a crash is another than without.
    public struct Difference: Error, CustomStringConvertible {
        /// Which crash, what should have come of it, and what did.
        public let description: String
    }

    /// Runs a scenario once undisturbed, and then again and again with the node dying at one of its commits: at each, before it and after it.
    ///
    /// The scenario makes all that it uses anew, and returns what has to be the same whatever happens, as effects and final states. It must not depend on how often
    /// a step is called: that is what crashes change. Throws ``Difference`` at the first outcome that is another.
    @discardableResult
    public static func crashingAtEveryCommit<Outcome: Equatable>(
        _ scenario: (SagaHarness) async throws -> Outcome
    ) async throws -> CrashReport {
        let undisturbed = try await SagaHarness(crash: nil)
        let expected = try await scenario(undisturbed)
        var report = CrashReport(commits: undisturbed.commits, crashes: 0)
        for commit in 1...max(1, undisturbed.commits) {
            for moment in [SagaMoment.beforeCommit, .afterCommit] {
                let harness = try await SagaHarness(crash: (commit, moment))
                let outcome = try await scenario(harness)
                guard harness.hasCrashed else {
                    throw Difference(
                        description: "commit \(commit) was not reached: the scenario is not the same each time")
                }
                report.crashes += 1
                guard outcome == expected else {
                    let when = moment == .beforeCommit ? "before" : "after"
                    throw Difference(
                        description:
                            "with a crash \(when) commit \(commit) it ended as \(outcome), without as \(expected)"
                    )
                }
            }
        }
        return report
    }
}
