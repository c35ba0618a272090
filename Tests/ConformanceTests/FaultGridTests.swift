import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailTesting
import Foundation
import SQLiteBinding
import Synchronization
import Testing

/// Each step of an event's way, and whatever may go wrong at it. What kills the process is in the crash matrix of the integration tests.
@Suite(.serialized) struct FaultGridTests {
    enum Step: String, CaseIterable { case publish, deliver, handle, settle }
    enum Fault: String, CaseIterable { case error, cancel, fence, fullDisk }

    /// Publishes numbered events of three keys through lives that a fault ends, or disturbs, at the first, third, fifth time that a step is taken.
    @Test(.timeLimit(.minutes(2)), arguments: Step.allCases, Fault.allCases)
    func nothingIsLostOrOutOfOrder(_ step: Step, _ fault: Fault) async throws {
        defer { DiskWatch.fail(nil) }
        let platform = Platform()
        for passes in [1, 3, 5] {
            let life = try Life(platform, Strike(step: step, fault: fault, passes: passes))
            try await life.run(publishing: 8)
            #expect(life.hasStruck, "\(fault) at the \(passes). \(step) did not come about")
        }
        try await Life(platform, nil).run(publishing: 8)
        #expect(platform.atLeastOnce.acknowledgements >= 24)
        #expect(platform.atLeastOnce.findings(.atLeastOnce).isEmpty, "\(platform.atLeastOnce.findings(.atLeastOnce))")
        let effects = try await platform.effects()
        #expect(effects.isEmpty, "\(effects)")
    }

    struct Strike: Sendable {
        var step: Step
        var fault: Fault
        /// The how-manieth time.
        var passes: Int
    }

    /// What outlives a life: the folder, and what publishers and handlers saw.
    final class Platform: Sendable {
        let folder = TemporaryFolder()
        let atLeastOnce = DeliveryHistory()
        let effectivelyOnce = DeliveryHistory()
        /// The first number of each key that its publisher knows nothing of.
        let next = Mutex<[String: Int]>([:])

        func open() throws -> SQLiteStore {
            try SQLiteStore.open(folder.path + "/log.db", options: .init(durability: .disk, ballastBytes: 4096))
        }

        /// What is wrong with the effects that are there in the end.
        func effects() async throws -> [DeliveryHistory.Finding] {
            struct Row: Decodable { var key: String, number: Int }
            let store = try open()
            for row in try await store.views(module: "effects").snapshot({
                try $0.rows(Row.self, "SELECT * FROM effects ORDER BY rowid")
            }) {
                effectivelyOnce.delivered(.init(row.key, row.number))
            }
            await store.close()
            return effectivelyOnce.findings(.effectivelyOnce)
        }
    }

    /// One opening of the store.
    final class Life: Sendable {
        private let platform: Platform
        private let store: SQLiteStore
        private let log: SteppedLog
        private let strike: Strike?
        private let steps: Mutex<[Step: Int]> = Mutex([:])
        private let struck = Mutex(false)
        private let bus = Mutex<(bus: EventBus, run: Task<Void, any Error>)?>(nil)
        private let hasBusEnded = Mutex(false)
        private let publishers = Mutex<[String: Task<Void, any Error>]>([:])

        var hasStruck: Bool { struck.withLock { $0 } }

        init(_ platform: Platform, _ strike: Strike?) throws {
            self.platform = platform
            self.strike = strike
            store = try platform.open()
            log = SteppedLog(store.log)
        }

        func run(publishing count: Int) async throws {
            log.watch { [unowned self] step, key in try await take(step, key: key) }
            let views = try store.views(module: "effects")
            try await views.migrate(
                Migrations(
                    owner: "effects", steps: ["CREATE TABLE effects (key TEXT NOT NULL, number BIGINT NOT NULL)"]))
            startBus(views)
            for key in ["a", "b", "c"] { startPublisher(key, until: (platform.next.withLock { $0[key] } ?? 1) + count) }
            while true {
                // A publisher that was cancelled, or does not know, asks again under the same id.
                var failed: [String] = []
                for (key, task) in publishers.withLock({ $0 }) {
                    if case .failure = await task.result { failed.append(key) }
                }
                if case .stopped = store.log.condition { break }
                guard !failed.isEmpty else { break }
                for key in failed { startPublisher(key, until: (platform.next.withLock { $0[key] } ?? 1) + 1) }
            }
            try await settle(views)
            let run = bus.withLock { $0?.run }
            run?.cancel()
            _ = await run?.result
            DiskWatch.fail(nil)
            await store.close()
        }

        /// Until all is settled, or the store has stopped; a bus that has ended begins anew.
        private func settle(_ views: any Database) async throws {
            let deadline = MonotonicTime.now + .seconds(20)
            while MonotonicTime.now < deadline {
                if case .stopped = store.log.condition { return }
                guard let (bus, run) = bus.withLock({ $0 }) else { return }
                if hasBusEnded.withLock({ $0 }) {
                    _ = await run.result
                    startBus(views)
                } else if let statuses = try? await bus.subscriptions(),
                    statuses.allSatisfy({ $0.lag == 0 && $0.blockedKeys == 0 }), strike == nil || hasStruck
                {
                    return
                }
                try await Task.sleep(for: .milliseconds(5))
            }
            Issue.record("it was not settled: \(try await bus.withLock { $0?.bus }?.subscriptions() ?? [])")
        }

        private func startBus(_ views: any Database) {
            let platform = platform
            let bus = EventBus(
                log: log,
                subscriptions: [
                    Subscription(
                        "handled", to: ["#"],
                        redelivery: RedeliveryPolicy(
                            immediate: 1, delayed: 20, baseDelay: .milliseconds(2), maximumDelay: .milliseconds(10)),
                        handlerTimeout: .milliseconds(500),
                        handler: .atLeastOnce { [unowned self] event, _ in
                            platform.atLeastOnce.delivered(FaultGridTests.event(event))
                            try await take(.handle, key: event.key)
                        }),
                    Subscription(
                        "effects", to: ["#"],
                        handler: .effectivelyOnce(in: views) { stored, transaction in
                            let event = FaultGridTests.event(stored)
                            try transaction.execute("INSERT INTO effects VALUES (\(event.key), \(event.number))")
                        }),
                ])
            hasBusEnded.withLock { $0 = false }
            let run = Task {
                defer { hasBusEnded.withLock { $0 = true } }
                try await bus.run()
            }
            self.bus.withLock { $0 = (bus, run) }
        }

        private func startPublisher(_ key: String, until end: Int) {
            let task = Task {
                while true {
                    let number = platform.next.withLock { $0[key] } ?? 1
                    guard number < end || (strike != nil && !hasStruck && number < end + 1000) else { return }
                    // Settlements are written together: without a pause there would be one.
                    if strike?.step == .settle { try await Task.sleep(for: .milliseconds(5)) }
                    let event = DeliveryHistory.Event(key, number)
                    for history in [platform.atLeastOnce, platform.effectivelyOnce] { history.attempting(event) }
                    let draft = EventDraft(
                        id: .derived(from: "\(event)"), type: "thing.happened", key: key, source: "t",
                        data: Array("\(number)".utf8))
                    do {
                        _ = try await log.publish([draft])
                    } catch let error as LogError where error.code == .storeFull {
                        try await Task.sleep(for: .milliseconds(5))
                        continue
                    }
                    for history in [platform.atLeastOnce, platform.effectivelyOnce] { history.acknowledged(event) }
                    platform.next.withLock { $0[key] = number + 1 }
                }
            }
            publishers.withLock { $0[key] = task }
        }

        /// A step is about to be taken: perhaps it is the one.
        private func take(_ step: Step, key: String) async throws {
            guard let strike, step == strike.step else { return }
            let count = steps.withLock { steps in
                steps[step, default: 0] += 1
                return steps[step]
            }
            guard count == strike.passes else { return }
            defer { struck.withLock { $0 = true } }
            switch strike.fault {
            case .error: try fail(at: step)
            case .cancel:
                if step == .publish {
                    publishers.withLock { $0[key] }?.cancel()
                } else {
                    bus.withLock { $0?.run }?.cancel()
                }
            case .fence: try await fence(at: step)
            case .fullDisk:
                DiskWatch.fail(.full, on: "log.db-wal")
                Task {
                    try await Task.sleep(for: .milliseconds(200))
                    DiskWatch.fail(nil)
                }
            }
        }

        private func fail(at step: Step) throws {
            switch step {
            case .publish, .settle: DiskWatch.fail(.write, on: "log.db-wal")
            case .deliver: throw LogError(.unreadable, "log.db", "this read fails")
            case .handle: throw Broken()
            }
        }

        /// Somebody else has taken over: another program, an operator who sets the subscription back, the engine that gives up on a handler.
        private func fence(at step: Step) async throws {
            switch step {
            case .publish: #expect(throws: LogError.self) { try platform.open() }
            case .deliver, .settle:
                _ = try await bus.withLock { $0 }?.bus.seek("handled", to: .beginning)
            case .handle:
                // A handler that hangs, and does not listen when it is told to stop.
                await Task.detached { try? await Task.sleep(for: .milliseconds(1300)) }.value
            }
        }
    }

    struct Broken: Error {}

    private static func event(_ stored: StoredEvent) -> DeliveryHistory.Event {
        .init(stored.key, Int(String(decoding: stored.data, as: UTF8.self)) ?? 0)
    }

    /// A log that tells of each step before it is taken.
    final class SteppedLog: EventLog {
        private let log: any EventLog
        private let watcher = Mutex<(@Sendable (Step, String) async throws -> Void)?>(nil)

        init(_ log: any EventLog) { self.log = log }

        func watch(_ body: @escaping @Sendable (Step, String) async throws -> Void) { watcher.withLock { $0 = body } }

        private func tell(_ step: Step, key: String = "") async throws {
            try await watcher.withLock { $0 }?(step, key)
        }

        var identity: (log: UniqueID, epoch: Int) { log.identity }
        var durability: Durability { log.durability }
        var condition: LogCondition { log.condition }
        var head: Int64 { log.head }

        func enqueue(_ append: Append, as module: String, with effect: @escaping Append.Effect) throws -> Ticket<
            Appended
        > {
            try log.enqueue(append, as: module, with: effect)
        }
        func enqueue(_ appends: [Append]) throws -> Ticket<Appended> { try log.enqueue(appends) }

        func publish(_ events: [EventDraft]) async throws -> Appended {
            try await tell(.publish, key: events[0].key)
            return try await log.publish(events)
        }

        func events(after number: Int64, types: Set<String>?, limit: Int) async throws -> EventPage {
            if number < log.head { try await tell(.deliver) }
            return try await log.events(after: number, types: types, limit: limit)
        }

        func stream(_ name: String, after version: Int64, limit: Int) async throws -> [StoredEvent] {
            try await log.stream(name, after: version, limit: limit)
        }

        func stream(_ name: String, before version: Int64, limit: Int) async throws -> [StoredEvent] {
            try await log.stream(name, before: version, limit: limit)
        }

        func event(id: UniqueID) async throws -> StoredEvent? { try await log.event(id: id) }
        func truncatedEvent(id: UniqueID) async throws -> TruncatedEvent? { try await log.truncatedEvent(id: id) }

        func reclaim(
            _ topics: [TopicPattern], after number: Int64, upTo end: Int64, limit: Int, unless hold: SQL?
        ) async throws -> Reclaimed {
            try await log.reclaim(topics, after: number, upTo: end, limit: limit, unless: hold)
        }

        func streamStatus(_ name: String) async throws -> StreamStatus? { try await log.streamStatus(name) }
        func truncate(_ truncation: StreamTruncation, unless hold: SQL?) async throws {
            try await log.truncate(truncation, unless: hold)
        }

        func tombstones(after name: String, limit: Int) async throws -> [StreamStatus] {
            try await log.tombstones(after: name, limit: limit)
        }
        func emptied(_ stream: String) async throws { try await log.emptied(stream) }
        func verify(progress: @escaping @Sendable (Int64) -> Void) async throws -> LogVerification {
            try await log.verify(progress: progress)
        }

        func waitForHead(beyond number: Int64) async throws -> Int64 { try await log.waitForHead(beyond: number) }

        func transaction<Value: Sendable>(
            _ label: String, as role: TransactionRole, _ body: @escaping @Sendable (Transaction) throws -> Value
        ) async throws -> Value {
            if label == "settle handled" { try await tell(.settle) }
            return try await log.transaction(label, as: role, body)
        }

        func snapshot<Value: Sendable>(
            _ body: @escaping @Sendable (Snapshot) throws -> Value
        ) async throws -> Value {
            try await log.snapshot(body)
        }
    }
}
