import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation
import ServiceLifecycle
import Synchronization
import Testing

@testable import DovetailSagas

/// The runner with its input and output: logs, tasks, other owners, operators.
@Suite struct SagaRunnerTests {
    @Test("Instances are started by events, each once, and carried beside each other", .timeLimit(.minutes(1)))
    func carries() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        try await node.running(tripSaga().calls(ledger, "flight").pivot().only(ledger, "ticket")) {
            try await node.publish((0..<200).map { booked("\($0)") })
            try await node.wait { $0[.completed] == 200 }
            #expect(ledger.effects.count == 400)
            // The same events do not start it again.
            #expect(try await node.journal.counts()[.completed] == 200)
        }
    }

    @Test("Branches are carried out at the same time", .timeLimit(.minutes(1)))
    func branches() async throws {
        let node = try await TestNode()
        let meeting = Meeting(3)
        let saga = tripSaga().parallel(
            { $0.step("a") { _, _ in await meeting.arrive() } }, { $0.step("b") { _, _ in await meeting.arrive() } },
            { $0.step("c") { _, _ in await meeting.arrive() } })
        try await node.running(saga) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.completed] == 1 }
        }
    }

    @Test("A step that hangs is given up at its time-out, is in doubt, and is undone", .timeLimit(.minutes(1)))
    func hangs() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let policy = SagaPolicy(attempts: 2, backoff: .milliseconds(1), timeout: .milliseconds(50))
        let saga = tripSaga().step("flight", policy: policy) { state, context in
            try ledger.call("flight \(state.trip)", context)
            await Eternity.comes()
        } undo: { state, context in
            try ledger.call("undo flight \(state.trip)", context)
        }
        try await node.running(saga) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.compensated] == 1 }
            #expect(ledger.effects == ["flight 7", "undo flight 7"])
            #expect(ledger.calls.filter { $0.what == "flight 7" }.count == 2)
        }
    }

    @Test("A failing step waits longer each time, and others do not wait for it", .timeLimit(.minutes(1)))
    func backoff() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        ledger.fail("flight 1", away, away, away)
        let policy = SagaPolicy(backoff: .milliseconds(20))
        try await node.running(tripSaga().calls(ledger, "flight", policy: policy)) {
            try await node.publish([booked("1"), booked("2")])
            try await node.wait { $0[.completed] == 2 }
            #expect(ledger.effects == ["flight 2", "flight 1"])
        }
    }

    @Test(
        "Two nodes that both believe they own a saga: the loser's transition is refused, it stops, and effects are there once",
        .timeLimit(.minutes(1)))
    func fencing() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let (entered, release) = (Gate(), Gate())
        let isFirst = Mutex(true)
        let saga = tripSaga().step("flight") { state, context in
            try ledger.call("flight \(state.trip)", context)
            let blocks = isFirst.withLock { first in
                defer { first = false }
                return first
            }
            guard blocks else { return }
            entered.open()
            await release.wait()
        }.only(ledger, "ticket")
        let loser = Task { try await node.service(saga).run() }
        try await node.publish([booked("7")])
        await entered.wait()
        // Another node takes over while the first is in the middle of a step.
        try await node.running(saga) {
            try await node.wait { $0[.completed] == 1 }
            release.open()
            await #expect(throws: SagaOwnershipLost.self) { try await loser.value }
            #expect(ledger.effects == ["flight 7", "ticket 7"])
            #expect(Set(ledger.calls.map(\.key)).count == 2)
            let record = try #require(try await node.journal.instances().first)
            let lines = try #require(try await node.journal.instance(record.id)).1
            #expect(lines.filter { $0.step == "flight" }.count == 1)
            // It still serves what comes.
            try await node.publish([booked("8")])
            try await node.wait { $0[.completed] == 2 }
        }
    }

    @Test("An owner that has lost its saga and only listens stops as well", .timeLimit(.minutes(1)))
    func fencedListener() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let saga = tripSaga().calls(ledger, "flight")
        let loser = Task { try await node.service(saga).run() }
        try await node.publish([booked("1")])
        try await node.wait { $0[.completed] == 1 }
        _ = try await node.journal.takeOver("trip")
        try await node.publish([booked("2")])
        await #expect(throws: SagaOwnershipLost.self) { try await loser.value }
        #expect(ledger.effects == ["flight 1"])
    }

    @Test(
        "An operator cancels an instance in the middle of a step: the step is let finish, then undone",
        .timeLimit(.minutes(1)))
    func cancelledInStep() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let (entered, release) = (Gate(), Gate())
        let saga = tripSaga().step("flight") { state, context in
            entered.open()
            await release.wait()
            try ledger.call("flight \(state.trip)", context)
        } undo: { state, context in
            try ledger.call("undo flight \(state.trip)", context)
        }.only(ledger, "ticket")
        try await node.running(saga) {
            try await node.publish([booked("7")])
            await entered.wait()
            let record = try #require(try await node.journal.instances().first)
            try await node.journal.intervene(record.id, SagaIntervention(.cancel))
            release.open()
            try await node.wait { $0[.compensated] == 1 }
            #expect(ledger.effects == ["flight 7", "undo flight 7"])
        }
    }

    @Test("A stuck instance is retried by an operator while the node runs", .timeLimit(.minutes(1)))
    func retried() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        ledger.fail("ticket 7", refused)
        let policy = SagaPolicy(attemptsBeforeStuck: 1)
        try await node.running(tripSaga().calls(ledger, "flight").pivot().only(ledger, "ticket", policy: policy)) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.stuck] == 1 }
            let record = try #require(try await node.journal.instances().first)
            try await node.journal.intervene(record.id, SagaIntervention(.retry))
            node.wakeUps.wake("trip")
            try await node.wait { $0[.completed] == 1 }
        }
    }

    @Test("A node that is stopped in the middle goes on where it was, on the disk too", .timeLimit(.minutes(1)))
    func restarted() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sagas-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let ledger = Ledger()
        let entered = Gate()
        let isBlocked = Mutex(true)
        let saga = tripSaga().calls(ledger, "flight").step("hotel") { state, context in
            if isBlocked.withLock({ $0 }) {
                entered.open()
                try await Task.sleep(for: .seconds(100))
            }
            try ledger.call("hotel \(state.trip)", context)
        }
        do {
            let node = try await TestNode(path: folder + "/log.db")
            try await node.running(saga) {
                try await node.publish([booked("7")])
                await entered.wait()
            }
            await node.close()
        }
        isBlocked.withLock { $0 = false }
        let node = try await TestNode(path: folder + "/log.db")
        try await node.running(saga) { try await node.wait { $0[.completed] == 1 } }
        #expect(ledger.calls.map(\.what) == ["flight 7", "hotel 7"])
        await node.close()
    }

    @Test(
        "Ten thousand instances are taken up in under three seconds after their node was killed",
        .timeLimit(.minutes(3)))
    func tenThousand() async throws {
        // Who shares the machine at the moment is not what is tested: of three times one has to do.
        var times: [Double] = []
        while times.count < 3, times.allSatisfy({ $0 >= 3 }) { times.append(try await takeUpTenThousand()) }
        #expect(times.contains { $0 < 3 }, "\(times) seconds")
    }

    /// How many seconds pass until the last of ten thousand that a killed node has left is taken up.
    private func takeUpTenThousand() async throws -> Double {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sagas-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let node = try await TestNode(path: folder + "/log.db")
        let count = 10_000
        let taken = Mutex<Set<String>>([])
        let everybody = Gate()
        let saga = tripSaga().step("flight") { state, _ in
            let all = taken.withLock { taken in
                taken.insert(state.trip)
                return taken.count
            }
            if all == count { everybody.open() }
        }
        // As a killed node leaves them: started, and due.
        let beginnings = (0..<count).map { Booking(.init(id: "\($0)")) }
        _ = try await node.journal.takeOver("trip")
        for chunk in stride(from: 0, to: count, by: 500) {
            try await node.log.transaction("fill", as: .engine) { transaction in
                for booking in beginnings[chunk..<chunk + 500] {
                    let record = saga.begin(
                        SagaBeginning(
                            id: .v7(), state: String(decoding: try JSON.encode(booking), as: UTF8.self), parent: nil,
                            correlationID: "c", traceparent: nil, startedBy: .v7(), now: Date()))
                    try SagaJournal.start(record, in: transaction)
                }
            }
        }
        let start = MonotonicTime.now
        var seconds = 0.0
        try await node.running(saga) {
            await everybody.wait()
            seconds = (MonotonicTime.now - start).inSeconds
            try await node.wait { $0[.completed] == count }
        }
        await node.close()
        return seconds
    }
}

/// What the field's sagas have suffered from, by what it was.
@Suite struct SagaRegressionTests {
    @Test("An event that comes before the instance which waits for it is not lost", .timeLimit(.minutes(1)))
    func replyBeatsTheSaga() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let saga = tripSaga().wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid, within: .seconds(30))
            .only(ledger, "ticket")
        try await node.running(saga) {
            try await node.publish([paid("7", 5), booked("7")])
            try await node.wait { $0[.completed] == 1 }
            #expect(try await node.journal.instances()[0].state.contains(#""cents":5"#))
        }
    }

    @Test("An event between the look for it and the wait's beginning is not lost", .timeLimit(.minutes(1)))
    func replyMeetsTheWait() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let saga = tripSaga().calls(ledger, "flight").wait(
            "payment", for: TripAPI().paid, key: \.trip, into: \.paid, within: .seconds(30))
        try await node.running(saga) {
            for number in 0..<300 { try await node.publish([booked("\(number)")]) }
            for number in 0..<300 { try await node.publish([paid("\(number)")]) }
            try await node.wait { $0[.completed] == 300 }
        }
    }

    @Test("Two waits of one key take an event each, and no event twice", .timeLimit(.minutes(1)))
    func eventsAreTakenOnce() async throws {
        let node = try await TestNode()
        let saga = tripSaga().wait("first", for: TripAPI().paid, key: \.trip, into: \.paid).wait(
            "second", for: TripAPI().paid, key: \.trip, into: \.paid)
        try await node.running(saga) {
            try await node.publish([booked("7"), paid("7", 1)])
            try await node.wait { $0[.running] == 1 }
            try await node.publish([paid("7", 2)])
            try await node.wait { $0[.completed] == 1 }
            #expect(try await node.journal.instances()[0].state.contains(#""cents":2"#))
        }
    }

    @Test("An event that starts a saga starts it once, though it is taken in twice", .timeLimit(.minutes(1)))
    func startedOnce() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let saga = tripSaga().calls(ledger, "flight")
        try await node.running(saga) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.completed] == 1 }
        }
        // A reader that has lost its place begins anew.
        _ = try await node.log.transaction("forget", as: .engine) { transaction in
            try transaction.execute("DELETE FROM dovetail_cursors")
        }
        try await node.running(saga) {
            try await node.publish([booked("8")])
            try await node.wait { $0[.completed] == 2 }
            #expect(ledger.calls.map(\.what) == ["flight 7", "flight 8"])
        }
    }

    @Test("A log that fails for a while leaves no instance behind", .timeLimit(.minutes(1)))
    func hiccupWhileRecovering() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let flaky = FlakyLog(node.log)
        let saga = tripSaga().calls(ledger, "flight")
        try await node.running(saga, on: flaky) {
            try await node.publish([booked("6")])
            try await node.wait { $0[.completed] == 1 }
            flaky.failsCommits = true
            try await node.publish([booked("7")])
            await flaky.failed.wait()
            flaky.failsCommits = false
            try await node.wait { $0[.completed] == 2 }
        }
    }

    @Test(
        "An undo that is refused again and again is not tried for ever: the instance is stuck, and says at what",
        .timeLimit(.minutes(1)))
    func undoForEver() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        for _ in 0..<100 { ledger.fail("undo flight 7", refused) }
        ledger.fail("hotel 7", refused)
        let policy = SagaPolicy(backoff: .milliseconds(1), attemptsBeforeStuck: 3)
        try await node.running(tripSaga().calls(ledger, "flight").calls(ledger, "hotel").policy(policy)) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.stuck] == 1 }
            #expect(ledger.calls.filter { $0.what == "undo flight 7" }.count == 3)
            let record = try await node.journal.instances()[0]
            #expect(record.progress.tasks.map(\.step) == ["flight"] && record.progress.tasks[0].failure != nil)
        }
    }

    @Test(
        "A result that could not be written leaves its step in doubt: if it fails from then on, it is undone",
        .timeLimit(.minutes(1)))
    func unwrittenResult() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let flaky = FlakyLog(node.log)
        let isAway = Mutex(false)
        let saga = tripSaga().step("flight", policy: SagaPolicy(attempts: 2, backoff: .milliseconds(1))) {
            state, context in
            if isAway.withLock({ $0 }) { throw away }
            try ledger.call("flight \(state.trip)", context)
            flaky.failsCommits = true
            isAway.withLock { $0 = true }
        } undo: { state, context in
            try ledger.call("undo flight \(state.trip)", context)
        }
        try await node.running(saga, on: flaky) {
            try await node.publish([booked("7")])
            await flaky.failed.wait()
            flaky.failsCommits = false
            try await node.wait { $0[.compensated] == 1 }
            #expect(ledger.effects == ["flight 7", "undo flight 7"])
        }
    }

    @Test("A log that cannot be read for a while leaves no instance behind either", .timeLimit(.minutes(1)))
    func hiccupWhileLooking() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let flaky = FlakyLog(node.log)
        try await node.running(tripSaga().calls(ledger, "flight"), on: flaky) {
            flaky.failsReads = true
            try await node.publish([booked("7")])
            node.wakeUps.wakeAll()
            await flaky.failedRead.wait()
            flaky.failsReads = false
            try await node.wait { $0[.completed] == 1 }
        }
    }

    @Test(
        "A request that is answered in the commit with which a wait begins leaves nobody listening",
        .timeLimit(.minutes(1)))
    func noStaleWaits() async throws {
        let node = try await TestNode()
        let ledger = Ledger()
        let (entered, release) = (Gate(), Gate())
        // The wait's beginning is the commit that finds the request: its key is asked for in the middle of it.
        let saga = tripSaga().calls(ledger, "flight").wait(
            "payment", for: TripAPI().paid,
            key: { state in
                entered.open()
                while !release.isOpen { Thread.sleep(forTimeInterval: 0.001) }
                return state.trip
            }, into: \.paid)
        try await node.running(saga) {
            try await node.publish([booked("7")])
            await entered.wait()
            let id = try await node.journal.instances()[0].id
            try await node.journal.intervene(id, SagaIntervention(.cancel))
            release.open()
            try await node.wait { $0[.compensated] == 1 }
            try await node.publish([paid("7"), booked("8")])
            try await node.wait { $0[.running] == 1 }
            while try await node.journal.instances()[0].progress.tasks.first?.isArmed != true {
                try await Task.sleep(for: .milliseconds(2))
            }
            let rows = try await node.log.snapshot {
                try $0.rows(Int.self, "SELECT number FROM dovetail_saga_waits ORDER BY number")
            }
            #expect(rows == [2])
            #expect(ledger.effects == ["flight 7", "undo flight 7", "flight 8"])
        }
    }

    @Test("A signal to an instance under way is kept as long as that is", .timeLimit(.minutes(1)))
    func signalsAreKept() async throws {
        let node = try await TestNode()
        let saga = tripSaga().pause("a day", for: .seconds(86_400)).decision("approve", into: \.approval)
        try await node.running(saga) {
            try await node.publish([booked("7")])
            try await node.wait { $0[.running] == 1 }
            let id = try await node.journal.instances()[0].id
            try await node.journal.signal(id, "approve", Array("true".utf8))
            try await node.journal.forgetMessages(of: "trip", before: .distantFuture)
            let left = try await node.log.snapshot {
                try $0.rows(String.self, "SELECT topic FROM dovetail_saga_messages")
            }
            #expect(left == ["$signal.approve"])
        }
    }

    @Test("A message that nobody has waited for in its time is dropped, one that is waited for is kept")
    func parkedMessagesExpire() async throws {
        let node = try await TestNode()
        try await node.log.transaction("fill", as: .engine) { transaction in
            for (key, seconds) in [("old", 100.0), ("new", 900.0)] {
                _ = try SagaTables.deliver(
                    [], id: key, to: "trip", SagaAddress(topic: "t", key: key),
                    at: Date(timeIntervalSince1970: seconds),
                    in: transaction)
            }
        }
        try await node.journal.forgetMessages(of: "trip", before: Date(timeIntervalSince1970: 500))
        let left = try await node.log.snapshot {
            try $0.rows(String.self, "SELECT message_key FROM dovetail_saga_messages")
        }
        #expect(left == ["new"])
    }
}

// MARK: Support

/// A log with sagas running on it.
final class TestNode: Sendable {
    let log: any EventLog
    let journal: SagaJournal
    let wakeUps = SagaWakeUps()
    private let commands: CommandExecutor
    private let store: SQLiteStore?

    init(path: String? = nil) async throws {
        store = try path.map { try SQLiteStore.open($0, options: .init(ballastBytes: 0)) }
        log = try store?.log ?? MemoryStore().log
        journal = SagaJournal(log: log)
        commands = CommandExecutor(log: log)
        try await journal.prepare()
    }

    func service<State>(
        _ saga: Saga<State>, on log: (any EventLog)? = nil, keepEnded: Duration? = nil
    ) -> any SagaService {
        saga.runner(
            log: log ?? self.log, commands: commands, source: "test", wakeUps: wakeUps, keepEnded: keepEnded)
    }

    /// Runs a saga as long as `body` does.
    func running<State>(
        _ saga: Saga<State>, on log: (any EventLog)? = nil, _ body: () async throws -> Void
    ) async throws {
        let service = service(saga, on: log)
        let task = Task { try await service.run() }
        do {
            try await body()
        } catch {
            task.cancel()
            throw error
        }
        task.cancel()
        try await task.value
    }

    func publish(_ events: [NewEvent]) async throws {
        _ = try await log.publish(try events.map { try EventDraft($0, source: "test", context: nil) })
    }

    /// Returns once the instances stand as wanted: looked at after each event of the log, and now and then.
    func wait(_ isSo: ([SagaStatus: Int]) -> Bool) async throws {
        while try await !isSo(journal.counts()) { try await Task.sleep(for: .milliseconds(5)) }
    }

    func close() async { await store?.close() }
}

/// A gate that is opened once.
final class Gate: Sendable {
    private let mark = Watermark(0)
    var isOpen: Bool { mark.value > 0 }
    func open() { mark.advance(to: 1) }
    func wait() async { _ = try? await mark.wait(for: 1) }
}

/// Lets nobody go on before all have come.
private final class Meeting: Sendable {
    private let count: Int64
    private let mark = Watermark(0)
    private let come = Mutex<Int64>(0)
    init(_ count: Int64) { self.count = count }

    func arrive() async {
        let number = come.withLock { come in
            come += 1
            return come
        }
        mark.advance(to: number)
        _ = try? await mark.wait(for: count)
    }
}

private enum Eternity {
    /// Waits without heeding cancellation, longer than any test.
    static func comes() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            DispatchQueue.global().asyncAfter(deadline: .now() + 3) { continuation.resume() }
        }
    }
}

/// A log whose transactions for sagas fail while it is told so.
private final class FlakyLog: EventLog {
    let base: any EventLog
    let failed = Gate()
    let failedRead = Gate()
    private let isFailing = Mutex(false)
    private let isDeaf = Mutex(false)

    init(_ base: any EventLog) { self.base = base }

    var failsReads: Bool {
        get { isDeaf.withLock { $0 } }
        set { isDeaf.withLock { $0 = newValue } }
    }

    var failsCommits: Bool {
        get { isFailing.withLock { $0 } }
        set { isFailing.withLock { $0 = newValue } }
    }

    func transaction<Value: Sendable>(
        _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        if label == "saga trip", failsCommits {
            failed.open()
            throw LogError(.storeFull, "test", "the disk is full")
        }
        return try await base.transaction(label, as: role, body)
    }

    var identity: (log: UniqueID, epoch: Int) { base.identity }
    var durability: Durability { base.durability }
    var condition: LogCondition { base.condition }
    var head: Int64 { base.head }
    func enqueue(_ append: Append, as module: String, with effect: @escaping Append.Effect) throws -> Ticket<Appended> {
        try base.enqueue(append, as: module, with: effect)
    }
    func enqueue(_ appends: [Append]) throws -> Ticket<Appended> { try base.enqueue(appends) }
    func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage {
        try await base.events(after: number, types: types, limit: limit)
    }
    func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await base.stream(name, after: version, limit: limit)
    }
    func stream(_ name: String, before version: Int64, limit: Int) async throws -> [StoredEvent] {
        try await base.stream(name, before: version, limit: limit)
    }
    func event(id: UniqueID) async throws -> StoredEvent? { try await base.event(id: id) }
    func truncatedEvent(id: UniqueID) async throws -> TruncatedEvent? { try await base.truncatedEvent(id: id) }
    func streamStatus(_ name: String) async throws -> StreamStatus? { try await base.streamStatus(name) }
    func truncate(_ truncation: StreamTruncation, unless hold: SQL?) async throws {
        try await base.truncate(truncation, unless: hold)
    }
    func tombstones(after name: String, limit: Int) async throws -> [StreamStatus] {
        try await base.tombstones(after: name, limit: limit)
    }
    func emptied(_ stream: String) async throws { try await base.emptied(stream) }
    func reclaim(
        _ topics: [TopicPattern], after number: Int64, upTo end: Int64, limit: Int, unless hold: SQL?
    ) async throws -> Reclaimed {
        try await base.reclaim(topics, after: number, upTo: end, limit: limit, unless: hold)
    }
    func verify(progress: @escaping @Sendable (Int64) -> Void) async throws -> LogVerification {
        try await base.verify(progress: progress)
    }
    func waitForHead(beyond number: Int64) async throws -> Int64 { try await base.waitForHead(beyond: number) }
    func snapshot<Value: Sendable>(_ body: @escaping @Sendable (Snapshot) throws -> Value) async throws -> Value {
        if failsReads {
            failedRead.open()
            throw LogError(.statement, "test", "the disk does not answer")
        }
        return try await base.snapshot(body)
    }
}
