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
    public static let checks: [ConformanceCheck] = lives + TombstoneConformance.checks

    private static let lives: [ConformanceCheck] = [
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
        ConformanceCheck(
            "a stream is read backwards from a version on, the newest first, and no further than what was truncated"
        ) {
            store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: (1...7).map { draft($0) })])
            _ = try await log.append([Append(stream: "other", events: [draft(1, id: "x")])])
            _ = try await log.append([Append(stream: "s", events: [draft(8)])])
            func backwards(before version: Int64, _ limit: Int) async throws -> [Int64] {
                let events = try await log.stream("s", before: version, limit: limit)
                try expectEqual(
                    events.map { String(decoding: $0.data, as: UTF8.self) },
                    events.map { "\($0.stream?.version ?? 0)" },
                    "the events before \(version)")
                return events.compactMap { $0.stream?.version }
            }
            try expectEqual(try await backwards(before: .max, 100), [8, 7, 6, 5, 4, 3, 2, 1], "all")
            try expectEqual(try await backwards(before: .max, 3), [8, 7, 6], "the last three")
            try expectEqual(try await backwards(before: 6, 3), [5, 4, 3], "those before")
            try expectEqual(try await backwards(before: 3, 100), [2, 1], "the rest")
            for version in [1, 0, -1, .min] as [Int64] {
                try expectEqual(try await backwards(before: version, 3), [], "before \(version)")
            }
            for limit in [0, -1] { try expectEqual(try await backwards(before: .max, limit), [], "at most \(limit)") }
            try expectEqual(try await log.stream("none", before: .max, limit: 3).count, 0, "of no stream")
            try await log.truncate("s", through: 4)
            try expectEqual(try await backwards(before: .max, 100), [8, 7, 6, 5], "what a truncation has left")
            try expectEqual(try await backwards(before: 7, 100), [6, 5], "of that, before the seventh")
            for version in [5, 4, 1, .min] as [Int64] {
                try expectEqual(try await backwards(before: version, 3), [], "what is gone, before \(version)")
            }
        },
        ConformanceCheck("what is truncated is remembered where its id is a name's, with what it was asked with") {
            store in
            let log = store.log
            func named(_ name: String, input: String?) -> EventDraft {
                var draft = draft(1, id: name)
                draft.id = .derived(from: name)
                if let input { draft.attributes.headers = ["dovetail-input": input] }
                return draft
            }
            let events = [named("a", input: "x"), draft(2), named("b", input: nil), named("c", input: "y")]
            _ = try await log.append([Append(stream: "s", events: events)])
            for name in ["a", "b", "c", "never"] {
                try expectEqual(
                    try await log.truncatedEvent(id: .derived(from: name)), nil,
                    "\(name), before anything was truncated")
            }
            try await log.truncate("s", through: 3)
            let first = try await log.truncatedEvent(id: .derived(from: "a"))
            try expectEqual(first?.version, 1, "the version of what is gone")
            try expectEqual(first?.position, log.position(1), "its position")
            try expectEqual(first?.input, "x", "what it was asked with")
            try expectEqual(try await log.truncatedEvent(id: .derived(from: "b"))?.version, 3, "one without input")
            try expectEqual(try await log.truncatedEvent(id: events[1].id), nil, "one whose id is no name's")
            try expectEqual(try await log.truncatedEvent(id: .derived(from: "c")), nil, "one that is still there")
            try await expectWhole(log, "the log")
        },
        ConformanceCheck(
            "what is said of a stream is kept with a version, and changed by one of those who expect the same"
        ) {
            store in
            let log = store.log
            var (metadata, version) = try await log.metadata(of: "s")
            try expectEqual(metadata, StreamMetadata(), "what is said of a stream of which nothing is said")
            try expectEqual(version, 0, "its version")
            metadata = StreamMetadata(maxCount: 5, maxAge: 60, values: ["owner": "ada"])
            try expectEqual(try await log.setMetadata(metadata, of: "s", expected: .exactly(0)), 1, "the first version")
            (metadata, version) = try await log.metadata(of: "s")
            try expectEqual(metadata.values, ["owner": "ada"], "what was noted")
            let error = try await expectFailure(.versionConflict, "one that expects what is no more") {
                try await log.setMetadata(StreamMetadata(), of: "s", expected: .exactly(0))
            }
            try expect(error.description.contains("at version 1, not at 0"), "the error says both: \(error)")
            try expectEqual(try await log.setMetadata(StreamMetadata(), of: "s"), 2, "one that expects nothing")
            for wrong in [StreamMetadata(maxCount: 0), StreamMetadata(maxAge: 0)] {
                try await expectFailure(.statement, "a limit that cannot be") {
                    try await log.setMetadata(wrong, of: "s")
                }
            }
            try expectEqual(try await log.metadata(of: "other").version, 0, "another stream's version")
        },
        ConformanceCheck("streams are kept within their limits by number and age, as far as nobody needs what goes") {
            store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", events: (1...10).map { draft($0) })])
            _ = try await log.append([Append(stream: "t", events: (1...10).map { draft($0) })])
            try await log.setMetadata(StreamMetadata(maxCount: 4), of: "s")
            try await log.setMetadata(StreamMetadata(maxAge: 3600), of: "t")
            try await log.setMetadata(StreamMetadata(maxCount: 1), of: "never")
            let held = Retention(log: log, rules: []) { [RetentionHold(name: "the view", done: 2)] }
            try expectEqual(try await held.runOnce(), 2, "what goes though somebody holds the rest")
            try expectEqual(try await versions(log, "s").first, 3, "the first that is held")
            let retention = Retention(log: log, rules: [])
            try expectEqual(try await retention.runOnce(), 4, "what goes beyond the number")
            try expectEqual(try await versions(log, "s"), [7, 8, 9, 10], "what is left by number")
            try expectEqual(try await versions(log, "t").count, 10, "what is not old yet")
            try expectEqual(try await retention.runOnce(now: Date().addingTimeInterval(7200)), 10, "what is old")
            try expectEqual(try await versions(log, "t"), [], "what is left by age")
            try expectEqual(try await retention.runOnce(), 0, "the next round")
            try await log.setMetadata(StreamMetadata(), of: "s")
            _ = try await log.append([Append(stream: "s", events: (1...10).map { draft($0) })])
            try expectEqual(try await retention.runOnce(), 0, "a stream without limits any more")
            try await expectWhole(log, "the log")
        },
        ConformanceCheck("events are read by topic, key, category, position and time, page by page to the end") {
            store in
            let log = store.log
            var expected: [(number: Int64, stream: String?, key: String, type: String)] = []
            for number in 0..<600 {
                let stream = [nil, "order-\(number % 7)", "order-item-1", "orders-1", "user-1"][number % 5]
                let type = number % 3 == 0 ? "a" : "b"
                let draft = EventLogConformance.draft("k\(number % 4)", type: type)
                _ = try await log.append([Append(stream: stream, events: [draft])])
                expected.append((log.head, stream, "k\(number % 4)", type))
            }
            func read(_ selection: EventSelection, after: Int64 = 0) async throws -> [Int64] {
                var (found, number) = ([Int64](), after)
                while number < log.head {
                    let page = try await log.events(after: number, selection, limit: 50)
                    found += page.events.map(\.position.number)
                    try expect(page.scanned > number, "a page that goes on from \(number)")
                    number = page.scanned
                }
                return found
            }
            func numbers(_ isWanted: (Int64, String?, String, String) -> Bool) -> [Int64] {
                expected.filter { isWanted($0.number, $0.stream, $0.key, $0.type) }.map(\.number)
            }
            try expectEqual(try await read(EventSelection()), numbers { _, _, _, _ in true }, "all")
            try expectEqual(
                try await read(EventSelection(types: ["a"])), numbers { _, _, _, type in type == "a" }, "a topic's")
            try expectEqual(
                try await read(EventSelection(key: "k2")), numbers { _, _, key, _ in key == "k2" }, "a key's")
            try expectEqual(
                try await read(EventSelection(category: "order")),
                numbers { _, stream, _, _ in stream?.hasPrefix("order-") == true },
                "a category's, which ends at the first dash")
            try expectEqual(
                try await read(EventSelection(types: ["b"], category: "user", key: "k0"), after: 100),
                numbers { $0 > 100 && $1 == "user-1" && $2 == "k0" && $3 == "b" }, "all at once, after a position")
            let middle = try await log.events(after: 299, types: nil, limit: 1).events[0].time
            let (early, late) = (
                try await read(EventSelection(until: middle)), try await read(EventSelection(from: middle))
            )
            try expectEqual(early + late, numbers { _, _, _, _ in true }, "before and from a time, together all")
            try expect(late.first ?? 0 <= 300 && early.last ?? 0 < 300, "the time divides them")
        },
    ]
}
