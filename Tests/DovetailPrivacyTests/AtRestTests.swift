import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailPrivacy
import DovetailSQLite
import DovetailSagas
import DovetailTesting
import Foundation
import ServiceLifecycle
import Synchronization
import Testing

@testable import DovetailModules

/// What lies on the disk, byte by byte.
@Suite struct AtRestTests {
    private static let secret = "ann.of.green.gables@example.com"

    /// Puts a personal value everywhere it can be put.
    private func fill(_ node: TestNode) async throws {
        let log = node.store.log
        try await node.register("c-1", Self.secret, phone: Self.secret)
        try await node.register("c-1", Self.secret)
        try await node.register("c-2", "bob@example.com")
        _ = try await node.listed()
        try await node.withKeys {
            // Scheduled.
            let scheduler = EventScheduler(log: log)
            try await scheduler.prepare()
            let later = Customer.registered(.init(id: "c-1", email: Personal(Self.secret, of: "c-1")))
            try await scheduler.schedule(
                [try EventDraft(later, source: "t", context: nil)], at: Date().addingTimeInterval(1e6))
            // Dead letters.
            let bus = EventBus(
                log: log,
                subscriptions: [
                    Subscription(
                        "failing", to: ["customer.registered"],
                        redelivery: RedeliveryPolicy(immediate: 0, delayed: 0),
                        handler: .on(Customer.registered) { recorded, _ in
                            guard recorded.email.isForgotten else { throw Problem("no", status: 400) }
                        })
                ])
            let running = Task { try await bus.run() }
            while try await bus.deadLetters(of: "failing").isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            running.cancel()
            try await running.value
            // A saga in the middle, and a signal for it.
            let journal = SagaJournal(log: log)
            try await journal.prepare()
            let saga = Task {
                try await Welcome.saga.runner(
                    log: log, commands: node.commands, source: "t", wakeUps: SagaWakeUps()
                ).run()
            }
            while try await journal.instances(limit: 10).count(where: { $0.state.contains("greeted") }) < 3 {
                try await Task.sleep(for: .milliseconds(5))
            }
            saga.cancel()
            try? await saga.value
            let instance = try #require(try await journal.instances(limit: 10).first)
            try await journal.signal(
                instance.id, "later", try JSON.encode(Personal(Self.secret, of: "c-1")), now: Date())
            // An answer that is kept for its key.
            _ = try await kept(node) { Personal(Self.secret, of: "c-1") }
        }
    }

    /// The answer that is kept under a key, or what is given for the first time.
    private func kept(
        _ node: TestNode, _ answer: @escaping @Sendable () -> Personal<String>
    ) async throws -> Personal<String> {
        let answers = Answers(log: node.store.log)
        try await answers.prepare()
        return try await node.withKeys {
            try await answers.once(CommandKey("once"), module: "t") { _ in answer() }
        }
    }

    @Test(
        "No file of a store ever holds a personal value in plain, nor a backup; what is not personal is there",
        .timeLimit(.minutes(2)))
    func holdsNothingPlain() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder + "/data")
            try await fill(node)
            _ = try await node.store.backUp(into: folder + "/backup")
            #expect(try files(in: folder, holding: Self.secret) == [])
            #expect(try files(in: folder, holding: "bob@example.com") == [])
            // The look finds what there is.
            #expect(try files(in: folder, holding: "customer.registered").contains("data/main.db-wal"))
            // It is all there to be read, until it is forgotten.
            #expect(try await node.customer("c-1").email?.value == Self.secret)
            #expect(try await kept(node) { .forgotten("c-1") }.value == Self.secret)
            await node.close()
            #expect(try files(in: folder, holding: Self.secret) == [])
        }
    }

    @Test(
        "After forgetting, no byte of the key is left in any file, and neither log, snapshot, read model, saga, schedule nor backup says anything",
        .timeLimit(.minutes(2)))
    func leavesNothing() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder + "/data")
            try await fill(node)
            _ = try await node.store.backUp(into: folder + "/backup")
            let events = try await node.store.log.stream("customer-c-1", after: 0, limit: 10)
            let keys = try node.store.keys.share(events.flatMap { SealedText.found(in: $0.data).map(\.sealed) }).keys
            let secret = try #require(keys.first?.secret)
            // Another's key, which shows that the look would find it.
            let other = try await node.store.log.stream("customer-c-2", after: 0, limit: 10)
            let otherSecret = try #require(
                try node.store.keys.share(other.flatMap { SealedText.found(in: $0.data).map(\.sealed) }).keys.first?
                    .secret)
            #expect(try files(in: folder, holding: otherSecret).allSatisfy { $0.hasPrefix("data/main.db.keys") })
            #expect(!(try files(in: folder, holding: secret)).isEmpty)

            try await node.privacy.forget("c-1")
            #expect(try files(in: folder, holding: secret) == [])
            #expect(!(try files(in: folder, holding: otherSecret)).isEmpty)

            // In memory it is gone too: this state was held there.
            let customer = try await node.customer("c-1")
            #expect(customer.email?.isForgotten == true && customer.changes == 2)
            let payloads = try await node.withKeys {
                try await node.store.log.stream("customer-c-1", after: 0, limit: 10).map {
                    try $0.payload(Customer.registered).payload
                }
            }
            #expect(payloads.allSatisfy { $0.email.isForgotten && $0.phone?.isForgotten != false })
            #expect(
                try await node.listed() == [
                    Listed(id: "c-1", email: .forgotten("c-1"), phone: nil),
                    Listed(id: "c-2", email: Personal("bob@example.com", of: "c-2"), phone: nil),
                ])
            try await node.withKeys {
                // A rebuilt read model is the same.
                _ = try await node.readModel.rebuild("directory", switching: true)
            }
            try await node.withKeys {
                while try await node.readModel.builds().first(where: { $0.state == .active })?.number == 1 {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            #expect(try await node.listed().map(\.email.value) == [nil, "bob@example.com"])
            try await node.withKeys {
                let states = try await SagaJournal(log: node.store.log).instances(limit: 10).map {
                    try JSON.decode(Welcome.self, from: Array($0.state.utf8))
                }
                #expect(states.map(\.greeted?.value).compactMap { $0 } == ["dear bob@example.com"])
                let due = try await EventScheduler(log: node.store.log).scheduled()
                #expect(
                    try due.map { try JSON.decode(Registered.self, from: $0.event.data).email.isForgotten } == [true])
            }
            #expect(try await kept(node) { Personal("another", of: "c-2") }.isForgotten)
            // Nothing new is kept of it.
            await #expect(throws: PersonalDataError(.subjectForgotten, "c-1")) {
                try await node.register("c-1", Self.secret)
            }
            await node.close()
            #expect(try files(in: folder, holding: secret) == [])

            // A restored backup, of before the forgetting, beside the keys of today.
            try FileManager.default.removeItem(atPath: node.path)
            for rest in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.path + rest) }
            try FileManager.default.removeItem(atPath: folder + "/data/views")
            _ = try await SQLiteStore.restore(folder + "/backup", to: node.path)
            let restored = try await TestNode(folder + "/data")
            #expect(try await restored.customer("c-1").email?.isForgotten == true)
            #expect(try await restored.listed().map(\.email.value) == [nil, "bob@example.com"])
            await restored.close()
        }
    }

    @Test("A saga whose subject is forgotten while it waits goes on, and finds an absence", .timeLimit(.minutes(1)))
    func sagasGoOn() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            try await node.register("c-1", "ann@example.com")
            let journal = SagaJournal(log: node.store.log)
            try await journal.prepare()
            let saga = Saga("short", startedBy: Customer.registered) { Welcome(email: $0.email) }
                .step("forget") { _, _ in try await node.privacy.forget("c-1") }
                .decision("approve", into: \.approved, within: .seconds(3600))
                .step("look", into: \.greeted) { state, _ in
                    #expect(state.email.isForgotten)
                    return state.email
                }
            try await node.withKeys {
                let running = Task {
                    try await saga.runner(
                        log: node.store.log, commands: node.commands, source: "t", wakeUps: SagaWakeUps()
                    )
                    .run()
                }
                while try await journal.instances(limit: 1).first?.progress.tasks.first?.step != "approve" {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let id = try #require(try await journal.instances(limit: 1).first?.id)
                try await journal.signal(id, "approve", try JSON.encode(true), now: Date())
                while try await journal.instances(limit: 1).first?.status != .completed {
                    try await Task.sleep(for: .milliseconds(5))
                }
                running.cancel()
                try? await running.value
            }
            await node.close()
        }
    }

    @Test("A step whose result is of somebody who is forgotten is undone; what another has learnt before fails nobody")
    func sagasUndo() async throws {
        struct Letter: Wire { var name: Personal<String>?, reply: Personal<String>? }
        for isKept in [true, false] {
            let harness = try await SagaHarness()
            let keys = harness.keys
            let done = Mutex<[String]>([])
            @Sendable func note(_ what: String) { done.withLock { $0.append(what) } }
            let saga = Saga("short", startedBy: Customer.registered) { _ in Letter() }
                .step("learn", into: \.name) { _, _ in
                    note("learn")
                    return Personal("ann", of: "c-1")
                } undo: { _, _ in
                    note("undo learn")
                }
                .step("call", into: \.reply) { state, _ in
                    note("call")
                    _ = try keys.forget("c-1", reason: nil)
                    if isKept, let name = state.name { return name }
                    return Personal("ann", of: "c-1")
                } undo: { _, _ in
                    note("undo call")
                }
            try await harness.add(saga)
            try await harness.publish(Customer.registered(.init(id: "c-1", email: Personal("ann", of: "c-1"))))
            try await harness.run()
            #expect(try await harness.instances().map(\.status) == [isKept ? .completed : .compensated])
            #expect(
                done.withLock { $0 } == (isKept ? ["learn", "call"] : ["learn", "call", "undo call", "undo learn"]))
        }
    }
}
