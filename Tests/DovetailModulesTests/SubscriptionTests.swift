import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Synchronization
import Testing

@testable import DovetailModules

/// A module that handles another's events.
@Suite struct SubscriptionTests {
    private struct ReminderAPI: Contract {
        let name = "reminders", version = 1
        let reminded = Event("reader.reminded", Reminder.self, key: \.book)
        struct Reminder: Wire { var book: String, id: String, attempt: Int }
    }

    private struct Failed: Error {}

    /// Runs the module's subscriptions on a log for as long as `body` takes.
    private func run(
        _ module: Module, on log: any EventLog, _ body: @Sendable (EventBus) async throws -> Void
    ) async throws {
        let runtime = ModuleRuntime(
            module: module.name, parts: module.parts, log: log, views: log, commands: CommandExecutor(log: log))
        try await runtime.prepare()
        let bus = EventBus(log: log, subscriptions: runtime.subscriptions)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await bus.run() } catch is CancellationError {}
            }
            defer { group.cancelAll() }
            try await body(bus)
        }
    }

    private func lend(_ book: String, on log: any EventLog) async throws {
        let event = LendingAPI().lending(.init(book: book, days: 1))
        _ = try await log.publish([try EventDraft(event, source: "lending", context: nil)])
    }

    /// The events of a type, once there are as many.
    private func events(_ type: String, _ count: Int, on log: any EventLog) async throws -> [StoredEvent] {
        var head: Int64 = 0
        while true {
            let found = try await log.events(after: 0, types: [type], limit: 1000).events
            if found.count >= count { return found }
            head = try await log.waitForHead(beyond: max(head, log.head))
        }
    }

    @Test(
        "What a handler does through its context has its effect once, however often the event comes; the flow goes on")
    func once() async throws {
        let log = try MemoryStore().log
        let ids = Mutex<[String]>([])
        let reminders = Module("reminders", provides: ReminderAPI()) { module in
            module.subscribe("remind", to: LendingAPI().lending, configure: { $0.concurrency = 2 }) { loan, context in
                ids.withLock { $0.append(context.newID) }
                let attempt = context.delivery?.attempt ?? 0
                try await context.once { tables in
                    try tables.publish(
                        ReminderAPI().reminded(.init(book: loan.book, id: context.newID, attempt: attempt)))
                }
                if attempt < 3 { throw Failed() }
                try await context.execute(Aggregate("note", 0).apply(LendingAPI().lending) { $0 += $1.days }, "n") {
                    _ in
                    [LendingAPI().lending(.init(book: "note", days: 1))].filter { _ in loan.book != "note" }
                }
            }
        }
        try await run(reminders, on: log) { bus in
            try await lend("a", on: log)
            let reminded = try await events("reader.reminded", 2, on: log)
            #expect(reminded.count == 2)  // of the loan, and of the note that the first one's handler took
            let first = try JSON.decode(ReminderAPI.Reminder.self, from: reminded[0].data)
            #expect(first.attempt == 1)
            let loan = try await events("book.lent", 2, on: log)
            #expect(reminded[0].attributes.causationID == loan[0].id.description)
            #expect(loan[1].attributes.correlationID == loan[0].id.description)
            #expect(try await bus.deadLetters(of: "reminders.remind").isEmpty)
        }
        let seen = ids.withLock { $0 }
        #expect(Set(seen.prefix(3)).count == 1, "each attempt has the same new id")
    }

    @Test(
        "A pattern takes events as they are stored; what fails for good is in the dead letters under the module's name")
    func deadLetters() async throws {
        let log = try MemoryStore().log
        let refusing = Mutex(true)
        let reminders = Module("reminders", provides: ReminderAPI()) { module in
            module.subscribe("watch", to: "book.*", configure: { $0.redelivery = .none }) { event, context in
                if event.key == "a", refusing.withLock({ $0 }) { throw Problem("no-shelf", status: 409) }
                try await context.publish(ReminderAPI().reminded(.init(book: event.key, id: event.type, attempt: 0)))
            }
        }
        try await run(reminders, on: log) { bus in
            for book in ["a", "b", "a"] { try await lend(book, on: log) }
            #expect(try await events("reader.reminded", 1, on: log).map(\.key) == ["b"])
            var letters: [DeadLetter] = []
            while letters.isEmpty { letters = try await bus.deadLetters(of: "reminders.watch") }
            #expect(letters.map(\.position) == [1])
            #expect(letters[0].error.contains("no-shelf"))
            refusing.withLock { $0 = false }
            try await bus.redrive("reminders.watch", position: 1)
            #expect(try await events("reader.reminded", 3, on: log).map(\.key) == ["b", "a", "a"])
        }
    }
}
