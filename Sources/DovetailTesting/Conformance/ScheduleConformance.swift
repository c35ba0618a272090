import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation
import Synchronization

/// What scheduled delivery and the inbox promise over any store, sentence by sentence.
public enum ScheduleConformance {
    private struct Ping: Wire { var name: String }
    private static let ping = Event("ping.sent", Ping.self, key: \.name)

    /// A calendar that a test moves.
    private final class Calendar: Sendable {
        private let state = Mutex(Date(timeIntervalSince1970: 1_700_000_000))
        var now: Date { state.withLock { $0 } }
        func advance(by seconds: Double) { state.withLock { $0.addTimeInterval(seconds) } }
    }

    private static func withScheduler(
        _ log: any EventLog, _ calendar: Calendar, _ body: (EventScheduler) async throws -> Void
    ) async throws {
        let scheduler = EventScheduler(log: log) { calendar.now }
        try await scheduler.prepare()
        let running = Task { try await scheduler.run() }
        do { try await body(scheduler) } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
        running.cancel()
        try await running.value
    }

    private static func published(_ log: any EventLog) async throws -> [String] {
        try await EventLogConformance.all(log).map(\.key)
    }

    /// All checks. Each wants a store of its own.
    public static let checks: [ConformanceCheck] = [
        ConformanceCheck("what is scheduled is published when its time has come, in the order of the times, once") {
            store in
            let calendar = Calendar()
            let start = calendar.now
            func draft(_ name: String) throws -> EventDraft {
                try EventDraft(ping(Ping(name: name)), source: "test", context: nil)
            }
            let late = try draft("late")
            try await withScheduler(store.log, calendar) { scheduler in
                try await scheduler.schedule([late], at: start.addingTimeInterval(60))
                try await scheduler.schedule([try draft("early")], at: start.addingTimeInterval(30))
                try await scheduler.schedule([late], at: start.addingTimeInterval(10))
                try await scheduler.schedule([try draft("past")], at: start.addingTimeInterval(-5))
                try await BusConformance.eventually("what has passed is published") { store.log.head == 1 }
                try expectEqual(
                    try await scheduler.scheduled().map(\.event.key), ["early", "late"], "what waits, by its time")
                calendar.advance(by: 30)
                scheduler.wake()
                try await BusConformance.eventually("the early one is published") { store.log.head == 2 }
            }
            calendar.advance(by: 3600)
            // It fell due while nobody was there.
            try await withScheduler(store.log, calendar) { scheduler in
                try await BusConformance.eventually("the late one is published") { store.log.head == 3 }
                try await scheduler.schedule([late], at: start)
                try await BusConformance.eventually("nothing waits") { try await scheduler.scheduled().isEmpty }
            }
            try expectEqual(try await published(store.log), ["past", "early", "late"], "the log")
        },
        ConformanceCheck("what is cancelled is not published; what was published cannot be cancelled") { store in
            let calendar = Calendar()
            try await withScheduler(store.log, calendar) { scheduler in
                let (keep, drop) = try await store.log.transaction { [now = calendar.now] transaction in
                    (
                        try transaction.schedule(ping(Ping(name: "keep")), at: now.addingTimeInterval(5)),
                        try transaction.schedule(ping(Ping(name: "drop")), at: now.addingTimeInterval(5))
                    )
                }
                try expect(try await scheduler.cancel(drop), "it waited")
                try expect(!(try await scheduler.cancel(drop)), "it waits no more")
                calendar.advance(by: 5)
                // Scheduled behind the scheduler's back: it looks by itself.
                try await BusConformance.eventually("one is published") { store.log.head == 1 }
                try expect(!(try await scheduler.cancel(keep)), "it was published")
            }
            try expectEqual(try await published(store.log), ["keep"], "the log")
        },
        ConformanceCheck(
            "what a transaction schedules is there if it commits, and a module cannot write the schedule itself"
        ) { store in
            let scheduler = EventScheduler(log: store.log)
            try await scheduler.prepare()
            struct Refused: Error {}
            do {
                try await store.log.transaction { transaction in
                    try transaction.schedule(ping(Ping(name: "never")), at: .distantFuture)
                    throw Refused()
                }
            } catch is Refused {}
            try expect(try await scheduler.scheduled().isEmpty, "nothing is left of a transaction that failed")
            try await expectFailure(.forbidden, "the engine's table") {
                try await store.log.transaction { transaction in
                    try transaction.schedule(ping(Ping(name: "never")), at: .distantFuture)
                    try transaction.execute("DELETE FROM dovetail_schedule")
                }
            }
            try expect(try await scheduler.scheduled().isEmpty, "nothing is left of that either")
        },
        ConformanceCheck(
            "an inbox says of each event once that it is new, with the effect or not at all, and forgets in time"
        ) { store in
            let views = try store.views("shop")
            let inbox = Inbox("mails", window: .seconds(60))
            let other = Inbox("books", window: .seconds(60))
            try await inbox.prepare(views)
            try await views.migrate(Migrations(owner: "shop", steps: ["CREATE TABLE mails (event TEXT NOT NULL)"]))
            let start = Date()
            @Sendable func handle(_ id: UniqueID, _ inbox: Inbox, after seconds: Double = 0, fails: Bool = false)
                async throws -> Bool
            {
                try await views.transaction { transaction in
                    guard try inbox.accept(id, in: transaction, at: start.addingTimeInterval(seconds)) else {
                        return false
                    }
                    try transaction.execute("INSERT INTO mails VALUES (\(id))")
                    if fails { throw BusConformance.Broken() }
                    return true
                }
            }
            let id = UniqueID.v7()
            do { _ = try await handle(id, inbox, fails: true) } catch is BusConformance.Broken {}
            try expect(try await handle(id, inbox), "an event whose effect failed is new still")
            try expect(!(try await handle(id, inbox)), "then it is known")
            try expect(try await handle(id, other), "to this inbox only")
            try expect(!(try await handle(id, inbox, after: 59)), "as long as the window")
            for number in 0..<10 { _ = try await handle(.derived(from: "\(number)"), inbox, after: 61) }
            let count = try await views.snapshot {
                try $0.row(Int.self, "SELECT count(*) FROM dovetail_inbox WHERE inbox = 'mails'")
            }
            try expectEqual(count, 10, "what is older than the window is forgotten")
            let mails = try await views.snapshot { try $0.row(Int.self, "SELECT count(*) FROM mails") }
            try expectEqual(mails, 12, "effects")
        },
    ]
}
