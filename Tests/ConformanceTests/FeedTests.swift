import DovetailCore
import DovetailEvents
import DovetailTesting
import Synchronization
import Testing

/// Events of one log, brought into another.
@Suite struct FeedTests {
    private func withLogs(_ body: (any EventLog, any EventLog) async throws -> Void) async throws {
        try await withMemoryStore { one in try await withMemoryStore { other in try await body(one.log, other.log) } }
        try await withSQLiteStore { one in try await withSQLiteStore { other in try await body(one.log, other.log) } }
    }

    private func publish(_ types: [String], on log: any EventLog) async throws {
        for (number, type) in types.enumerated() {
            _ = try await log.publish([EventDraft(type: type, key: "k", source: "tests", data: Array("\(number)".utf8))]
            )
        }
    }

    /// Runs a feed of topics for as long as `body` takes.
    private func feeding(
        _ topics: [TopicPattern] = ["a.#"], from log: any EventLog, into other: any EventLog, failing: Int = 0,
        _ body: (EventFeed) async throws -> Void
    ) async throws {
        let failures = Mutex(failing)
        let feed = EventFeed("feed", into: other) { after in
            let fails = failures.withLock { left in
                left -= 1
                return left >= 0
            }
            if fails { throw CallError(.unreachable, callee: "other", message: "it is down", wasSent: false) }
            return try await log.feed(after: after, topics: topics, limit: 3, wait: .seconds(60))
        }
        let task = Task { try await feed.run() }
        try await body(feed)
        task.cancel()
        try await task.value
    }

    /// The types of a log's events, once there are as many.
    private func types(_ log: any EventLog, _ count: Int) async throws -> [String] {
        while log.head < count { _ = try await log.waitForHead(beyond: log.head) }
        return try await log.events(after: 0, types: nil, limit: 1000).events.map(\.type)
    }

    private func expect(_ log: any EventLog, _ expected: [String]) async throws {
        let found = try await types(log, expected.count)
        #expect(found == expected)
    }

    @Test("What matches comes once, in order, as it was published, through restarts of the feed")
    func once() async throws {
        try await withLogs { from, into in
            try await publish(["a.1", "b", "a.2", "a.3", "a.4", "b", "a.5"], on: from)
            try await feeding(from: from, into: into) { _ in
                try await expect(into, ["a.1", "a.2", "a.3", "a.4", "a.5"])
            }
            try await publish(["b", "a.6"], on: from)
            try await feeding(from: from, into: into) { _ in
                #expect(try await types(into, 6).last == "a.6")
                try await publish(["a.7"], on: from)
                #expect(try await types(into, 7).last == "a.7")
            }
            let original = try #require(try await from.events(after: 0, types: ["a.1"], limit: 1).events.first)
            let copy = try #require(try await into.event(id: original.id))
            #expect(copy.source == "tests" && copy.key == "k" && copy.data == original.data && copy.stream == nil)
        }
    }

    @Test("Two logs that feed each other do not echo")
    func echo() async throws {
        try await withLogs { one, other in
            try await feeding(from: one, into: other) { _ in
                try await feeding(from: other, into: one) { _ in
                    try await publish(["a.1", "a.2"], on: one)
                    _ = try await types(other, 2)
                    try await publish(["a.3"], on: other)
                    try await expect(one, ["a.1", "a.2", "a.3"])
                    try await expect(other, ["a.1", "a.2", "a.3"])
                }
            }
            // Everything that was published later is behind what an echo would have been.
            #expect(one.head == 3 && other.head == 3)
        }
    }

    @Test("A log that was replaced is read from its beginning; what was had already does not come again")
    func replaced() async throws {
        try await withLogs { from, into in
            try await publish(["a.1", "a.2"], on: from)
            try await feeding(from: from, into: into) { _ in _ = try await types(into, 2) }
            try await withMemoryStore { store in
                let old = try await from.events(after: 0, types: nil, limit: 10).events
                _ = try await store.log.publish(
                    old.suffix(1).map {
                        EventDraft(id: $0.id, type: $0.type, key: $0.key, source: $0.source, data: $0.data)
                    })
                try await publish(["a.9"], on: store.log)
                try await feeding(from: store.log, into: into) { _ in
                    try await expect(into, ["a.1", "a.2", "a.9"])
                }
            }
        }
    }

    @Test("A node that is down is asked again, and the feed says meanwhile what is wrong")
    func down() async throws {
        try await withLogs { from, into in
            try await publish(["a.1"], on: from)
            try await feeding(from: from, into: into, failing: 2) { feed in
                while into.head == 0 {
                    if let problem = feed.status.problem { #expect(problem.contains("it is down")) }
                    await Task.yield()
                }
                while feed.status.scanned < 1 { await Task.yield() }
                #expect(feed.status.problem == nil)
            }
        }
    }

    @Test("Who asks waits no longer than it says, also where nothing of what is published concerns it")
    func patience() async throws {
        try await withLogs { from, _ in
            try await publish(["b", "b", "b", "b"], on: from)
            var page = try await from.feed(after: nil, topics: ["a.#"], limit: 2, wait: .milliseconds(20))
            while page.scanned.number < 4 {
                page = try await from.feed(after: page.scanned, topics: ["a.#"], limit: 2, wait: .milliseconds(20))
            }
            #expect(page.events.isEmpty && page.scanned.number == 4 && page.head == 4)
        }
    }
}
