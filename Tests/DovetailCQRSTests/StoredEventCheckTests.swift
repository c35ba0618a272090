import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Testing

@testable import DovetailCQRS

/// A look at all that is stored, with the eyes of a program that has changed since.
@Suite struct StoredEventCheckTests {
    private struct Old: Wire { var id: String, amount: Int }
    private struct New: Wire { var id: String, amount: Int, note: String }

    private let log: any EventLog

    init() throws { log = try MemoryStore().log }

    private func append(_ type: String, _ version: Int, _ data: String, stream: String? = nil) async throws {
        let draft = EventDraft(type: type, version: version, key: "a", source: "t", data: Array(data.utf8))
        _ = try await log.append([Append(stream: stream, events: [draft])])
    }

    @Test(
        "Each type and version that fails is named, with the part that needs it, how many, the first, and the upcaster that is missing"
    )
    func finds() async throws {
        let first = Event("thing.moved", Old.self, key: \.id)
        let upcast = first.upcast(to: New.self, key: \.id) { New(id: $0.id, amount: $0.amount, note: "") }
        let bare = Event("thing.moved", version: 2, New.self, key: \.id)
        let aggregate = Aggregate("thing", 0).apply(upcast) { $0 += $1.amount }
        let view = Projection("things", version: 1, tables: "CREATE TABLE things (n BIGINT)").on(bare) { _, _ in }
        let parts = [
            EventReaders("the contracts", [EventReader(upcast.description)]), aggregate.eventReaders, view.eventReaders,
        ]
        for _ in 0..<3 { try await append("thing.moved", 1, #"{"id":"a","amount":1}"#, stream: "thing-a") }
        try await append("thing.moved", 2, #"{"id":"a","amount":1,"note":"n"}"#)
        try await append("thing.moved", 2, #"{"id":"a","amount":"x","note":"n"}"#)
        try await append("thing.lost", 1, "{}", stream: "thing-a")
        try await append("thing.lost", 1, "{}", stream: "things-a")
        try await append("$operator.sought", 1, "{}")
        let report = try await StoredEventCheck(parts).run(on: log)
        #expect(report.events == 8)
        #expect(report.head == 8)
        #expect(report.unread == ["thing.lost": 1])
        let found = report.findings.map { "\($0.type) v\($0.version) \($0.part) \($0.count) \($0.first)" }
        #expect(
            found == [
                "thing.lost v1 the aggregate 'thing' 1 6", "thing.moved v1 the read model 'things' 3 1",
                "thing.moved v2 the contracts 1 5", "thing.moved v2 the read model 'things' 1 5",
            ])
        #expect(report.findings[1].reason.contains(#"Event("thing.moved", version: 1, …).upcast(to: …)"#))
        #expect(report.findings[2].reason.contains("/amount"), "\(report.findings[2])")

        let mended = Projection("things", version: 1, tables: "CREATE TABLE things (n BIGINT)").on(upcast) { _, _ in }
        let better = try await StoredEventCheck([mended.eventReaders]).run(on: log)
        #expect(better.findings.map(\.count) == [1], "the one that is broken stays so")
        let passing = view.passingOver("thing.moved", version: 1)
        #expect(try await StoredEventCheck([passing.eventReaders]).run(on: log).findings.map(\.first) == [5])
    }
}
