import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// What every log promises, sentence by sentence.
public enum EventLogConformance {
    /// All checks. Each wants a store of its own.
    public static let checks: [ConformanceCheck] = appending + reading + transactions

    static func draft(_ key: String, type: String = "thing.happened", data: String = "{}") -> EventDraft {
        EventDraft(type: type, key: key, source: "test", data: [UInt8](data.utf8))
    }

    /// Every event of the log, by pages.
    static func all(_ log: any EventLog, types: Set<String>? = nil, limit: Int = 100) async throws -> [StoredEvent] {
        var events: [StoredEvent] = []
        var scanned: Int64 = 0
        while scanned < log.head {
            let page = try await log.events(after: scanned, types: types, limit: limit)
            try expect(page.scanned > scanned, "a page moves on: \(page.scanned) after \(scanned)")
            try expect(page.events.count <= limit, "a page holds at most \(limit) events")
            events += page.events
            scanned = page.scanned
        }
        return events
    }

    private static let appending: [ConformanceCheck] = [
        ConformanceCheck("an append that is refused leaves nothing behind, also not of a kind that was new in it") {
            store in
            let log = store.log
            let known = draft("k")
            _ = try await log.publish([known])
            for round in 0..<3 {
                try await expectFailure(.versionConflict, "new and known together") {
                    try await log.publish([draft("k", type: "new.\(round)"), known])
                }
                try await expectFailure(.versionConflict, "a new kind in a stream that is elsewhere") {
                    try await log.append([
                        Append(events: [draft("k", type: "newer.\(round)")]),
                        Append(stream: "s", expected: .exactly(7), events: [draft("k")]),
                    ])
                }
                _ = try await log.publish([draft("k", type: "other.\(round)"), draft("k", type: "new.\(round)")])
            }
            try expectEqual(log.head, 7, "the head")
            try expectEqual(
                try await all(log).dropFirst().map(\.type),
                (0..<3).flatMap { ["other.\($0)", "new.\($0)"] }, "what is there")
        },
        ConformanceCheck("numbers are dense and in commit order, from 1") { store in
            let log = store.log
            try expectEqual(log.head, 0, "the head of an empty log")
            for number in 1...20 {
                let appended = try await log.publish([draft("a"), draft("b")])
                try expectEqual(appended.position.number, Int64(2 * number), "the last event's number")
                try expect(log.head >= appended.position.number, "the head covers what was acknowledged")
            }
            try expectEqual(try await all(log).map(\.position.number), Array(1...40), "the numbers")
        },
        ConformanceCheck("what concurrent publishers append is all there, each one's in its order") { store in
            let log = store.log
            try await withThrowingTaskGroup { group in
                for publisher in 0..<50 {
                    group.addTask {
                        for number in 0..<40 {
                            _ = try await log.publish([draft("p\(publisher)", data: "\(number)")])
                        }
                    }
                }
                try await group.waitForAll()
            }
            let events = try await all(log)
            try expectEqual(events.map(\.position.number), Array(1...2000), "the numbers")
            for (key, own) in Dictionary(grouping: events, by: \.key) {
                try expectEqual(
                    own.map { String(decoding: $0.data, as: UTF8.self) }, (0..<40).map(String.init),
                    "the order of \(key)")
            }
        },
        ConformanceCheck("appends to one stream are made in the order of their enqueue calls") { store in
            let tickets = try (0..<200).map { number in
                try store.log.enqueue([Append(stream: "s", events: [draft("s", data: "\(number)")])])
            }
            for (index, ticket) in tickets.enumerated() {
                try expectEqual(try await ticket.value.streamVersions, [Int64(index + 1)], "the stream's version")
            }
            let data = try await store.log.stream("s", after: 0, limit: 1000).map {
                String(decoding: $0.data, as: UTF8.self)
            }
            try expectEqual(data, (0..<200).map(String.init), "the stream's order")
        },
        ConformanceCheck("an append at another version than expected is refused and writes nothing") { store in
            let log = store.log
            _ = try await log.append([Append(stream: "s", expected: .exactly(0), events: [draft("s"), draft("s")])])
            for wrong in [0, 1, 3] as [Int64] {
                let error = try await expectFailure(.versionConflict, "expecting \(wrong) of 2") {
                    try await log.append([Append(stream: "s", expected: .exactly(wrong), events: [draft("s")])])
                }
                try expectEqual(
                    error.message,
                    "it is at version 2, not at \(wrong) as expected; load it again and decide anew", "what it says")
            }
            try await expectFailure(.versionConflict, "expecting 1 of a new stream") {
                try await log.append([Append(stream: "new", expected: .exactly(1), events: [draft("n")])])
            }
            try expectEqual(log.head, 2, "the head")
            let appended = try await log.append([Append(stream: "s", expected: .exactly(2), events: [draft("s")])])
            try expectEqual(appended.streamVersions, [3], "the stream's version")
        },
        ConformanceCheck("of writers that expect the same version exactly one wins") { store in
            let log = store.log
            for round in 0..<20 as Range<Int64> {
                let wins = await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            let append = Append(stream: "s", expected: .exactly(round), events: [draft("s")])
                            return (try? await log.append([append])) != nil
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                try expectEqual(wins, 1, "winners of round \(round)")
            }
            try expectEqual(log.head, 20, "the head")
        },
        ConformanceCheck("what is to be done with an append is done in its transaction, once, or neither is") { store in
            let log = store.log
            struct No: Error {}
            _ = try await log.transaction("m", as: .module) {
                try $0.execute("CREATE TABLE seen (number BIGINT NOT NULL, version BIGINT NOT NULL, key TEXT NOT NULL)")
            }
            @Sendable func note(_ events: [StoredEvent], _ transaction: Transaction) throws {
                for event in events {
                    try transaction.execute(
                        """
                        INSERT INTO seen (number, version, key)
                        VALUES (\(event.position.number), \(event.stream?.version ?? 0), \(event.key))
                        """)
                    if event.key == "no" { throw No() }
                }
            }
            func seen() async throws -> [String] {
                try await log.snapshot {
                    try $0.rows(String.self, "SELECT number || ' ' || version || ' ' || key FROM seen ORDER BY number")
                }
            }
            _ = try await log.publish([draft("before")])
            let append = Append(stream: "s", expected: .exactly(0), events: [draft("a"), draft("b")])
            let first = try await log.enqueue(append, as: "m", with: note).value
            try expectEqual(first.position.number, 3, "the position")
            try expectEqual(try await seen(), ["2 1 a", "3 2 b"], "what was done")
            let stored = try await log.stream("s", after: 0, limit: 10)
            try expectEqual(stored.map(\.position.number), [2, 3], "the events")
            // The same events again are a duplicate, and have no effect again.
            try expectEqual(try await log.enqueue(append, as: "m", with: note).value.wasDuplicate, true, "a duplicate")
            let refused = Append(stream: "s", expected: .exactly(2), events: [draft("c"), draft("no")])
            do {
                _ = try await log.enqueue(refused, as: "m", with: note).value
                throw ConformanceFailure(description: "an append whose effect throws was made")
            } catch is No {}
            try await expectFailure(.versionConflict, "expecting 0 of 2") {
                let late = Append(stream: "s", expected: .exactly(0), events: [draft("late")])
                _ = try await log.enqueue(late, as: "m", with: note).value
            }
            let tickets = try (0..<50).map { number in
                let next = Append(
                    stream: "s", expected: .exactly(Int64(2 + number)), events: [draft("\(number)")])
                return number % 2 == 0 ? try log.enqueue(next, as: "m", with: note) : try log.enqueue([next])
            }
            for ticket in tickets { _ = try await ticket.value }
            try expectEqual(log.head, 53, "the head")
            let even = (0..<25).map { "\(4 + 2 * $0) \(3 + 2 * $0) \(2 * $0)" }
            try expectEqual(try await seen(), ["2 1 a", "3 2 b"] + even, "what was done")
        },
        ConformanceCheck("appends handed over together are made together or not at all") { store in
            let log = store.log
            _ = try await log.append([Append(stream: "b", events: [draft("b")])])
            try await expectFailure(.versionConflict, "the second of three conflicts") {
                try await log.append([
                    Append(stream: "a", expected: .exactly(0), events: [draft("a")]),
                    Append(stream: "b", expected: .exactly(0), events: [draft("b")]),
                    Append(events: [draft("c")]),
                ])
            }
            try expectEqual(log.head, 1, "the head")
            try expectEqual(try await log.stream("a", after: 0, limit: 10).count, 0, "events of the first stream")
            let appended = try await log.append([
                Append(stream: "a", expected: .exactly(0), events: [draft("a"), draft("a")]),
                Append(stream: "b", expected: .exactly(1), events: [draft("b")]),
                Append(stream: "a", expected: .exactly(2), events: [draft("a")]),
            ])
            try expectEqual(appended.position.number, 5, "the position")
            try expectEqual(
                try await log.stream("a", after: 0, limit: 10).compactMap(\.stream?.version), [1, 2, 3], "versions of a"
            )
        },
        ConformanceCheck(
            "events whose ids are all there are a duplicate: success at the original position, nothing changed"
        ) { store in
            let log = store.log
            let events = [draft("s"), draft("s")]
            let append = Append(stream: "s", expected: .exactly(0), events: events)
            let first = try await log.append([append])
            _ = try await log.append([Append(stream: "s", events: [draft("s")])])
            let again = try await log.append([append])
            try expect(!first.wasDuplicate && again.wasDuplicate, "only the second is a duplicate")
            try expectEqual(again.position, first.position, "the original position")
            try expectEqual(log.head, 3, "the head")
            let one = try await log.append([Append(events: [events[0]])])
            try expect(one.wasDuplicate, "a part sent again by itself is a duplicate too")
            try expectEqual(one.position.number, 1, "its own position")
        },
        ConformanceCheck("a partly duplicate append is refused and writes nothing") { store in
            let log = store.log
            let known = draft("a")
            _ = try await log.publish([known])
            let new = draft("b")
            for mixed in [[known, new], [new, known], [new, new]] {
                try await expectFailure(.versionConflict, "known and new ids together") { try await log.publish(mixed) }
                try await expectFailure(.versionConflict, "the same in a stream") {
                    try await log.append([Append(stream: "s", events: mixed)])
                }
            }
            try expectEqual(log.head, 1, "the head")
            try expect(try await log.event(id: new.id) == nil, "the new event is not there")
            let appended = try await log.append([Append(stream: "s", expected: .exactly(0), events: [new])])
            try expectEqual(appended.position.number, 2, "the next number: none was lost")
        },
        ConformanceCheck("an append of nothing succeeds at the head") { store in
            _ = try await store.log.publish([draft("a")])
            let none = try await store.log.publish([])
            try expectEqual(none.position.number, 1, "the position")
            try expect(!none.wasDuplicate, "it is no duplicate")
        },
        ConformanceCheck("time never decreases along the log") { store in
            for _ in 0..<50 { _ = try await store.log.publish([draft("a")]) }
            let times = try await all(store.log).map(\.time)
            try expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 }, "times rise")
            try expect(abs(times[0].timeIntervalSinceNow) < 60, "and are the present's")
        },
    ]

    private static let reading: [ConformanceCheck] = [
        ConformanceCheck("an event comes back as it went in") { store in
            let log = store.log
            var attributes = EventAttributes()
            attributes.correlationID = "flow-1"
            attributes.causationID = ""
            attributes.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            attributes.tracestate = "a=b"
            attributes.headers = ["x-ü": "é\u{0}\n", "empty": "", "long": String(repeating: "x", count: 70_000)]
            let drafts = [
                EventDraft(
                    type: "größe.geändert", version: 7, key: "schlüssel-1", source: "lager", attributes: attributes,
                    data: (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }),
                EventDraft(type: "a", key: "", source: "", data: []),
            ]
            _ = try await log.append([Append(stream: "straße-1", events: drafts)])
            let events = try await all(log)
            for (event, draft) in zip(events, drafts) {
                try expectEqual(event.id, draft.id, "id")
                try expectEqual(event.type, draft.type, "type")
                try expectEqual(event.version, draft.version, "version")
                try expectEqual(event.key, draft.key, "key")
                try expectEqual(event.source, draft.source, "source")
                try expectEqual(event.attributes, draft.attributes, "attributes")
                try expect(event.data == draft.data, "data")
                try expectEqual(event.stream?.name, "straße-1", "stream")
                try expectEqual(event.position.log, log.identity.log, "the position's log")
            }
            let found = try await log.event(id: drafts[1].id)
            try expectEqual(found?.position.number, 2, "the event by its id")
            try expect(try await log.event(id: .v7()) == nil, "an unknown id is nil")
        },
        ConformanceCheck("a reader of few types moves on past the rest, and misses none") { store in
            let log = store.log
            for number in 0..<300 {
                _ = try log.enqueue([Append(events: [draft("k", type: number % 100 == 7 ? "rare" : "common")])])
            }
            _ = try await log.publish([draft("k", type: "common")])
            try expectEqual(
                try await all(log, types: ["rare"], limit: 2).map(\.position.number), [8, 108, 208], "rare events")
            try expectEqual(try await all(log, types: ["rare", "common"], limit: 7).count, 301, "both types")
            try expectEqual(try await all(log, types: ["none"]).count, 0, "a type that does not occur")
            let beyond = try await log.events(after: 301, types: nil, limit: 5)
            try expect(beyond.events.isEmpty && beyond.scanned == 301, "nothing lies beyond the head")
        },
        ConformanceCheck("large events come in pages that a reader can bear, and none is passed over") { store in
            let large = String(repeating: "x", count: 1 << 20)
            for number in 0..<20 { _ = try await store.log.publish([draft("k\(number)", data: large)]) }
            let page = try await store.log.events(after: 0, types: nil, limit: 1000)
            let bytes = page.events.reduce(0) { $0 + $1.data.count }
            try expect(bytes <= EventPage.maximumBytes + large.utf8.count, "a page of \(bytes) bytes")
            try expectEqual(try await all(store.log, limit: 1000).map(\.key), (0..<20).map { "k\($0)" }, "events")
        },
        ConformanceCheck("a stream is read from a version on, in order, at most as many as asked") { store in
            let log = store.log
            for number in 0..<10 {
                _ = try await log.append([
                    Append(stream: "s", events: [draft("s", data: "\(number)")]),
                    Append(stream: "other", events: [draft("o")]), Append(events: [draft("p")]),
                ])
            }
            let middle = try await log.stream("s", after: 3, limit: 4)
            try expectEqual(middle.compactMap(\.stream?.version), [4, 5, 6, 7], "versions")
            try expectEqual(try await log.stream("s", after: 10, limit: 4).count, 0, "beyond the end")
            try expectEqual(try await log.stream("unknown", after: 0, limit: 4).count, 0, "an unknown stream")
        },
        ConformanceCheck("waiting for the head ends when it moves beyond, and when cancelled") { store in
            let log = store.log
            async let reached = log.waitForHead(beyond: 0)
            _ = try await log.publish([draft("a")])
            try expect(try await reached >= 1, "the head that was reached")
            let hopeless = Task { try await log.waitForHead(beyond: 1_000_000) }
            hopeless.cancel()
            do {
                _ = try await hopeless.value
                throw ConformanceFailure(description: "a cancelled wait has returned")
            } catch is CancellationError {}
        },
        ConformanceCheck("positions of another log, another epoch or the future are errors") { store in
            let log = store.log
            _ = try await log.publish([draft("a")])
            try expectEqual(try log.number(of: log.position(1)), 1, "an own position")
            var foreign = log.position(1)
            foreign.log = .v7()
            var restored = log.position(1)
            restored.epoch += 1
            for position in [foreign, restored, log.position(2)] {
                try await expectFailure(.foreignPosition, "\(position)") { try log.number(of: position) }
            }
        },
    ]
}
