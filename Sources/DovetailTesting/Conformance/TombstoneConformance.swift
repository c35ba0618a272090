import DovetailEvents
import Foundation

/// What every log promises about a stream that is deleted for good.
enum TombstoneConformance {
    private static func draft(_ data: Int) -> EventDraft { EventLogConformance.draft("s", data: "\(data)") }

    private static func count(_ log: any EventLog, _ stream: String) async throws -> Int {
        try await log.stream(stream, after: 0, limit: 10_000).count
    }

    private static func expectWhole(_ log: any EventLog) async throws {
        let verification = try await log.verify { _ in }
        try expect(verification.isWhole, "the log: \(verification.findings.prefix(3))")
    }

    /// Every way on is closed.
    private static func expectEnd(of stream: String, _ log: any EventLog) async throws {
        let head = log.head
        let changes: [(String, Append)] = [
            ("an append", Append(stream: stream, events: [draft(0)])),
            ("one that expects a new stream", Append(stream: stream, expected: .exactly(0), events: [draft(0)])),
            ("a look whether a version is the stream's", Append(stream: stream, expected: .exactly(3), events: [])),
            ("a restoration", Append(stream: stream, events: [], change: .restore)),
            ("a restoration with an event", Append(stream: stream, events: [draft(0)], change: .restore)),
            ("a deletion with a last event", Append(stream: stream, events: [draft(0)], change: .delete)),
            ("an end with a last event", Append(stream: stream, events: [draft(0)], change: .tombstone)),
        ]
        for (what, append) in changes {
            let error = try await expectFailure(.streamTombstoned, what) { try await log.append([append]) }
            try expect(error.message.contains("deleted for good since 20"), "the error says since when: \(error)")
        }
        try await expectFailure(.streamTombstoned, "one append of several") {
            try await log.append([Append(events: [draft(0)]), Append(stream: stream, events: [draft(0)])])
        }
        try expectEqual(log.head, head, "the head after refusals")
    }

    static let checks: [ConformanceCheck] = [
        ConformanceCheck("a stream that is deleted for good takes no event ever, and is not restored") { store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: [draft(1), draft(2), draft(3)])])
            try await expectFailure(.versionConflict, "an end that expects another version") {
                try await log.tombstone("s", expected: .exactly(2))
            }
            try expectEqual(try await log.streamStatus("s")?.tombstonedAt, nil, "the end of a living stream")
            let status = try await log.tombstone("s", expected: .exactly(3))
            try expect(status.tombstonedAt != nil, "its status says since when")
            try expectEqual(status.deletedAt, status.tombstonedAt, "it is deleted since then")
            try await expectEnd(of: "s", log)
            try expectEqual(try await log.tombstone("s", expected: .exactly(3)), status, "doing it again")
            try await log.delete("s")
            try expectEqual(try await log.streamStatus("s"), status, "a deletion changes nothing")
            try await expectWhole(log)

            _ = try await log.append([Append(stream: "t", events: [draft(1)])])
            try await log.delete("t")
            let deletedAt = try await log.streamStatus("t")?.deletedAt
            let ended = try await log.tombstone("t")
            try expectEqual(ended.deletedAt, deletedAt, "when one was deleted that could be restored until then")
            try await expectEnd(of: "t", log)
            try expectEqual(try await log.tombstone("never").version, 0, "the version of one that never was")
            try await expectEnd(of: "never", log)
            try await expectWhole(log)
        },
        ConformanceCheck("a stream is deleted for good together with its last events, or not at all") { store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: [draft(1)])])
            struct Broken: Error {}
            do {
                try await log.transaction("broken", as: .engine) { transaction in
                    try transaction.append(Append(stream: "s", events: [draft(2)], change: .tombstone))
                    throw Broken()
                }
            } catch is Broken {}
            try await expectFailure(.streamTombstoned, "what follows on the end in one append") {
                try await log.append([
                    Append(stream: "s", events: [draft(2)], change: .tombstone),
                    Append(stream: "s", events: [draft(3)]),
                ])
            }
            try expectEqual(try await log.tombstones(after: "", limit: 10), [], "what was taken back")
            let last = Append(stream: "s", expected: .exactly(1), events: [draft(2)], change: .tombstone)
            try expectEqual(try await log.append([last]).streamVersions, [2], "the version with its last event")
            try expect(try await log.append([last]).wasDuplicate, "the same again is a duplicate, not a refusal")
            try expectEqual(try await log.tombstones(after: "", limit: 10).map(\.name), ["s"], "what is to go")
            try await expectEnd(of: "s", log)
            try expectEqual(try await count(log, "s"), 2, "what is there until nobody needs it")
            try expectEqual(try await Retention(log: log, rules: []).runOnce(), 2, "what goes")
            try await expectWhole(log)
        },
        ConformanceCheck(
            "events of a stream that is deleted for good go as far as nobody needs them, and the rest in later rounds"
        ) { store in
            let log = store.log
            for number in 0..<700 {
                _ = try await log.append([
                    Append(stream: "s", events: [draft(number), draft(number)]),
                    Append(stream: "other", events: [draft(number)]),
                ])
            }
            let held = try await log.tombstone("s", holds: [RetentionHold(name: "the view", done: 900)])
            try expectEqual(held.truncated, 600, "what goes at once")
            try expectEqual(try await count(log, "s"), 800, "what somebody needs")
            try await expectWhole(log)
            let subscription = Subscription("slow", to: ["#"], handler: .atLeastOnce { _, _ in })
            try await EventBus(log: log, subscriptions: [subscription]).prepare()
            let retention = Retention(log: log, rules: [])
            try expectEqual(try await retention.runOnce(), 0, "what goes while a subscription has not run")
            try await BusConformance.withBus(log, [subscription]) { bus in
                try await BusConformance.eventually("all is settled") {
                    try await bus.subscriptions().allSatisfy { $0.lag == 0 }
                }
            }
            try expectEqual(try await retention.runOnce(), 800, "what goes when everybody has done with it")
            try expectEqual(try await retention.runOnce(), 0, "the next round")
            try expectEqual(try await log.streamStatus("s")?.truncated, 1400, "what is gone")
            try expectEqual(try await log.tombstones(after: "", limit: 10), [], "what is left to go")
            try expectEqual(try await count(log, "other"), 700, "another stream")
            try await expectEnd(of: "s", log)
            try await expectWhole(log)
        },
        ConformanceCheck("a stream that is deleted for good leaves no snapshot, and its commands stay known") { store in
            let log = store.log
            var named = draft(1)
            named.id = .derived(from: "command")
            named.attributes.headers = ["dovetail-input": "x"]
            for stream in ["s", "other"] {
                try await log.removeSnapshot(of: stream)
                try await log.transaction("snapshots", as: .engine) { transaction in
                    _ = try transaction.execute(
                        """
                        INSERT INTO dovetail_snapshots (stream, version, fingerprint, saved_at, state)
                        VALUES (\(stream), 2, 'f', 0, \([UInt8(1)]))
                        """)
                }
            }
            _ = try await log.append([Append(stream: "s", events: [named, draft(2)])])
            try await log.truncate("s", through: 2)
            // Nothing but the snapshot is left of it, and a round of retention finds that.
            _ = try await log.append([Append(stream: "s", events: [], change: .tombstone)])
            try expectEqual(try await Retention(log: log, rules: []).runOnce(), 0, "the events that go")
            let left = try await log.snapshot {
                try $0.rows(String.self, "SELECT stream FROM dovetail_snapshots ORDER BY stream")
            }
            try expectEqual(left, ["other"], "the snapshots that are left")
            let known = try await log.truncatedEvent(id: .derived(from: "command"))
            try expectEqual(known?.input, "x", "what the command was asked with")
            try expectEqual(try await log.tombstones(after: "", limit: 10), [], "what is left to go")
            try await expectWhole(log)
        },
    ]
}
