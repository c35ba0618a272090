import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Synchronization
import Testing

@testable import DovetailSagas

/// A clock that jumps: what a saga is about to do does not wait for the old time to come again.
@Suite(.timeLimit(.minutes(1))) struct SagaClockTests {
    /// Dates that go on as a manual clock does, and jump when they are told to.
    private final class Dates: Sendable {
        let steady = ManualClock()
        private let offset = Mutex(0.0)
        /// In whole seconds, since a clock that stands still does not come to the next microsecond.
        private let origin = Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded(.down))

        var now: Date { origin.addingTimeInterval((steady.now - MonotonicTime(nanoseconds: 0)).inSeconds + jump) }
        private var jump: Double { offset.withLock { $0 } }
        func jump(by seconds: Double) { offset.withLock { $0 += seconds } }

        var clock: SagaClock { SagaClock(now: { self.now }, steady: steady, share: { 1 }) }
    }

    private func running(
        _ saga: Saga<Booking>, _ node: TestNode, _ clock: SagaClock, _ body: () async throws -> Void
    ) async throws {
        let runner = SagaRunner(
            saga, log: node.log, commands: CommandExecutor(log: node.log), source: "test", wakeUps: node.wakeUps,
            clock: clock)
        let task = Task { try await runner.run() }
        do { try await body() } catch {
            task.cancel()
            throw error
        }
        task.cancel()
        try await task.value
    }

    /// Returns once the first instance's task stands as wanted.
    private func task(of node: TestNode, _ isSo: (SagaTask) -> Bool) async throws {
        while try await node.journal.instances().first?.progress.tasks.first.map(isSo) != true {
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Moves time on, a minute at a time, until the instances stand as wanted; how many minutes it took. Gives up after `limit`.
    private func minutes(
        _ dates: Dates, _ node: TestNode, limit: Int = 10, _ isSo: ([SagaStatus: Int]) -> Bool
    ) async throws -> Int {
        for minute in 0...limit {
            // What a minute has set off has its time to come to an end.
            for _ in 0..<100 {
                if isSo(try await node.journal.counts()) { return minute }
                try await Task.sleep(for: .milliseconds(2))
            }
            dates.steady.advance(by: .seconds(61))
        }
        return .max
    }

    @Test("An hour back: a step that waits to be tried again is tried within its pause, not after the hour")
    func retryAfterAnHourBack() async throws {
        let (node, dates, ledger) = (try await TestNode(), Dates(), Ledger())
        ledger.fail("flight 7", away)
        let saga = tripSaga().calls(ledger, "flight", policy: SagaPolicy(backoff: .seconds(30)))
        try await running(saga, node, dates.clock) {
            try await node.publish([booked("7")])
            try await task(of: node) { $0.attempts == 1 }
            dates.jump(by: -3600)
            let took = try await minutes(dates, node) { $0[.completed] == 1 }
            #expect(took <= 10)
        }
        #expect(ledger.effects == ["flight 7"])
    }

    @Test("An hour back: what a message or an operator has made due is looked at, and a new step is due at once")
    func messageBeforeAnHourBack() async throws {
        let (node, dates, ledger) = (try await TestNode(), Dates(), Ledger())
        let saga = tripSaga().decision("approve", into: \.approval).calls(ledger, "flight")
        try await running(saga, node, dates.clock) {
            try await node.publish([booked("7")])
            try await task(of: node) { $0.isArmed }
            // Given by the old time, and seen by the new one.
            let id = try await node.journal.instances()[0].id
            try await node.journal.signal(id, "approve", Array("true".utf8), now: dates.now.addingTimeInterval(20))
            dates.jump(by: -3600)
            let took = try await minutes(dates, node) { $0[.completed] == 1 }
            #expect(took <= 10)
        }
    }

    @Test("Ten minutes back: a timer is a date, and is not over before the clock says so")
    func timerAfterTenMinutesBack() async throws {
        let (node, dates) = (try await TestNode(), Dates())
        let saga = tripSaga().pause("ten minutes", for: .seconds(600))
        try await running(saga, node, dates.clock) {
            try await node.publish([booked("7")])
            try await task(of: node) { $0.isArmed }
            dates.jump(by: -600)
            let took = try await minutes(dates, node, limit: 40) { $0[.completed] == 1 }
            #expect((19...40).contains(took), "\(took)")
        }
    }

    @Test("An hour ahead: a timer is over within a minute")
    func timerAfterAnHourAhead() async throws {
        let (node, dates) = (try await TestNode(), Dates())
        let saga = tripSaga().pause("an hour", for: .seconds(3600))
        try await running(saga, node, dates.clock) {
            try await node.publish([booked("7")])
            try await task(of: node) { $0.isArmed }
            dates.jump(by: 3600)
            let took = try await minutes(dates, node) { $0[.completed] == 1 }
            #expect(took <= 10)
        }
    }

    @Test("A node that starts by a clock behind that of its log goes on with what was to be tried again")
    func startedBehind() async throws {
        let (node, dates, ledger) = (try await TestNode(), Dates(), Ledger())
        ledger.fail("flight 7", away)
        let saga = tripSaga().calls(ledger, "flight", policy: SagaPolicy(backoff: .seconds(30)))
        try await running(saga, node, dates.clock) {
            try await node.publish([booked("7")])
            try await task(of: node) { $0.attempts == 1 }
        }
        dates.jump(by: -7200)
        try await running(saga, node, dates.clock) {
            let took = try await minutes(dates, node) { $0[.completed] == 1 }
            #expect(took <= 10)
        }
    }

    @Test("What is noticed of a clock: that it was set back, how far, and once")
    func watch() {
        func moment(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + .seconds(seconds) }
        func date(_ seconds: Double) -> Date { Date(timeIntervalSince1970: 1e6 + seconds) }
        var watch = SagaClockWatch(date(0), moment(0))
        #expect(watch.setBack(date(60), moment(60)) == nil)
        #expect(watch.setBack(date(119.5), moment(120)) == nil)
        #expect(watch.setBack(date(4000), moment(180)) == nil)
        #expect(watch.missing(date(400), moment(240)) == .seconds(3660))
        #expect(watch.setBack(date(400), moment(240)) == .seconds(3660))
        #expect(watch.setBack(date(460), moment(300)) == nil)
    }

    @Test("By a clock that was set back, steps are due, pauses are as long as they were, timers stay")
    func caughtUp() {
        let rules = Rules([[["a"]], [["w"]]], waits: ["w": .turnBack])
        let before = Rules.now.addingTimeInterval(-3600)
        let start = rules.begin()
        #expect(rules.machine.caughtUp(start, now: before)?.record.dueAt == before)
        #expect(rules.machine.caughtUp(start, now: Rules.now) == nil)
        let failing = rules.advance(start, "a", failed(.transient)).record
        let moved = rules.machine.caughtUp(failing, now: before)?.record
        #expect(moved?.dueAt == before.addingTimeInterval(0.5) && moved?.progress.tasks[0].attempts == 1)
        let until = Rules.now.addingTimeInterval(60)
        let waiting = rules.advance(
            rules.advance(start, "a", .done).record, "w",
            .armed(SagaAddress(topic: "paid", key: "7"), until: until)
        ).record
        #expect(rules.machine.caughtUp(waiting, now: before) == nil)
        var called = waiting
        called.dueAt = Rules.now
        #expect(rules.machine.caughtUp(called, now: before)?.record.dueAt == until)
    }
}
