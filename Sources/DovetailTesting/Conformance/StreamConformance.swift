import DovetailEvents
import Foundation

/// What every log promises about the life of a stream: deletion, restoration, truncation.
public enum StreamConformance {
    private static func draft(_ data: Int, id: String = "s") -> EventDraft {
        EventLogConformance.draft(id, data: "\(data)")
    }

    private static func versions(_ log: any EventLog, _ stream: String, after version: Int64 = 0) async throws
        -> [Int64]
    {
        try await log.stream(stream, after: version, limit: 10_000).compactMap { $0.stream?.version }
    }

    private static func expectWhole(_ log: any EventLog, _ what: String) async throws {
        let verification = try await log.verify { _ in }
        try expect(verification.isWhole, "\(what): \(verification.findings.prefix(3))")
    }

    /// All checks. Each wants a store of its own.
    public static let checks: [ConformanceCheck] = [
        ConformanceCheck(
            "a deleted stream refuses appends with an error that says so, keeps its events, and goes on once restored"
        ) { store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: [draft(1), draft(2)])])
            try expectEqual(try await log.streamStatus("s")?.deletedAt, nil, "the deletion of a living stream")
            try await log.delete("s", expected: .exactly(2))
            for expected in [ExpectedVersion.any, .exactly(2), .exactly(0)] {
                let code: LogError.Code = expected == .exactly(0) ? .versionConflict : .streamDeleted
                let error = try await expectFailure(code, "an append that expects \(expected)") {
                    try await log.append([Append(stream: "s", expected: expected, events: [draft(3)])])
                }
                if code == .streamDeleted {
                    try expect(error.description.contains("deleted"), "the error says so: \(error)")
                }
            }
            try await expectFailure(.streamDeleted, "one append of several") {
                try await log.append([Append(events: [draft(3)]), Append(stream: "s", events: [draft(4)])])
            }
            try expectEqual(log.head, 2, "the head after refusals")
            try expectEqual(try await versions(log, "s"), [1, 2], "its events")
            try expect(try await log.streamStatus("s")?.deletedAt != nil, "its status says when")
            try await log.delete("s")
            try await log.restore("s")
            let appended = try await log.append([Append(stream: "s", expected: .exactly(2), events: [draft(3)])])
            try expectEqual(appended.streamVersions, [3], "the version after it was restored")
            try await expectWhole(log, "the log")
        },
        ConformanceCheck("a name that was deleted before it was used is not taken any more") { store in
            try await store.log.delete("never")
            try await expectFailure(.streamDeleted, "an append") {
                try await store.log.append([Append(stream: "never", expected: .exactly(0), events: [draft(1)])])
            }
            try expectEqual(try await store.log.streamStatus("never")?.version, 0, "its version")
            try expectEqual(try await store.log.streamStatus("other"), nil, "a stream that is not there")
            try await expectWhole(store.log, "the log")
        },
        ConformanceCheck("a stream is deleted together with its last events, or not at all") { store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: [draft(1)])])
            try await expectFailure(.versionConflict, "a deletion that expects another version") {
                try await log.append([
                    Append(stream: "s", expected: .exactly(0), events: [draft(2)], change: .delete)
                ])
            }
            struct Broken: Error {}
            do {
                try await log.transaction("broken", as: .engine) { transaction in
                    try transaction.append(Append(stream: "s", events: [draft(2)], change: .delete))
                    throw Broken()
                }
            } catch is Broken {}
            let last = Append(stream: "s", expected: .exactly(1), events: [draft(2)], change: .delete)
            try expectEqual(try await log.append([last]).streamVersions, [2], "the version with its last event")
            try expect(try await log.append([last]).wasDuplicate, "the same again is a duplicate, not a refusal")
            try await expectFailure(.streamDeleted, "another") {
                try await log.append([Append(stream: "s", events: [draft(3)])])
            }
            try await expectWhole(log, "the log")
        },
        ConformanceCheck(
            "truncation removes a stream's first events and nothing else; versions go on, and the log is whole"
        ) { store in
            let log = store.log
            for number in 0..<700 {
                _ = try await log.append([
                    Append(stream: "s", events: [draft(number), draft(number)]),
                    Append(stream: "other", events: [draft(number)]), Append(events: [draft(number)]),
                ])
            }
            try await expectWhole(log, "the log before")
            let status = try await log.truncate("s", through: 1100)
            try expectEqual(
                status, StreamStatus(name: "s", version: 1400, truncated: 1100, deletedAt: nil), "its status")
            try expectEqual(try await versions(log, "s"), Array(1101...1400), "what is left")
            try expectEqual(
                try await versions(log, "s", after: 1200), Array(1201...1400), "what is left after a version")
            try expectEqual(try await versions(log, "other"), Array(1...700), "another stream")
            try expectEqual(try await EventLogConformance.all(log).count, 2800 - 1100, "what the log holds")
            try await expectWhole(log, "the log after")
            try await log.truncate("s", through: 900)
            try expectEqual(try await versions(log, "s").first, 1101, "what went already stays gone")
            try await log.truncate("s", through: 1400)
            try expectEqual(try await versions(log, "s"), [], "all of it")
            let appended = try await log.append([Append(stream: "s", expected: .exactly(1400), events: [draft(0)])])
            try expectEqual(appended.streamVersions, [1401], "the next version")
            try await expectFailure(.statement, "more than there is") { try await log.truncate("s", through: 1402) }
            try await expectFailure(.statement, "a stream that is not there") {
                try await log.truncate("none", through: 1)
            }
            try await expectWhole(log, "the log in the end")
        },
        ConformanceCheck("nothing is truncated that a subscription, or somebody else who needs it, has not done with") {
            store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: (1...10).map { draft($0) })])
            let error = try await expectFailure(.notReached, "a holder that is behind") {
                try await log.truncate("s", through: 5, holds: [RetentionHold(name: "the view", done: 4)])
            }
            try expect(error.description.contains("the view is at 4"), "the error says who: \(error)")
            let subscription = Subscription("slow", to: ["#"], handler: .atLeastOnce { _, _ in })
            let bus = EventBus(log: log, subscriptions: [subscription])
            try await bus.prepare()
            try await expectFailure(.notReached, "a subscription that has not run") {
                try await log.truncate("s", through: 5)
            }
            try expectEqual(try await versions(log, "s").count, 10, "what is there")
            try await BusConformance.withBus(log, [subscription]) { bus in
                try await BusConformance.eventually("all is settled") {
                    try await bus.subscriptions().allSatisfy { $0.lag == 0 }
                }
            }
            try await log.truncate("s", through: 5)
            try expectEqual(try await versions(log, "s").count, 5, "what is left once it has")
            try await expectWhole(log, "the log")
        },
    ]
}
