import DovetailCore
import DovetailObservability
import Foundation
import Testing

func span(
    _ id: UInt64, in trace: UInt64 = 1, parent: UInt64? = nil, name: String = "work", node: String = "main",
    start: UInt64 = 0, duration: UInt64 = 1_000_000, status: FinishedSpan.Status = .unset, message: String? = nil,
    attributes: [String: SpanAttributeValue] = [:]
) throws -> FinishedSpan {
    FinishedSpan(
        traceID: try #require(TraceID(high: 0, low: trace)), spanID: try #require(SpanID(id)),
        parentSpanID: parent.flatMap(SpanID.init), name: name, kind: .internal, node: node,
        start: 1_800_000_000_000_000_000 + start, duration: duration, status: status, statusMessage: message,
        attributes: attributes)
}

@Suite struct SpanStoreTests {
    @Test func keepsTheLatestAndCountsTheRest() throws {
        let store = SpanStore(maximumSpans: 100)
        for id in 1...250 { store.record(try span(UInt64(id))) }
        let kept = store.spans(traceID: try #require(TraceID(high: 0, low: 1)))
        #expect(kept.map(\.spanID.value) == Array(151...250))
        #expect(store.count == 100)
        #expect(store.dropped == 150)
    }

    @Test func staysWithinItsBytes() throws {
        let store = SpanStore(maximumSpans: 1000, maximumBytes: 100_000)
        let large = SpanAttributeValue.string(String(repeating: "x", count: 20_000))
        for id in 1...20 { store.record(try span(UInt64(id), attributes: ["body": large])) }
        #expect(store.count == 4)
        store.record(try span(21, attributes: ["body": .string(String(repeating: "x", count: 200_000))]))
        #expect(store.count == 4)
        #expect(store.dropped == 17)
    }

    @Test func listsTheLatestTracesThatMatch() throws {
        let store = SpanStore()
        store.record(try span(1, in: 1, name: "GET /a", start: 0, duration: 5_000_000))
        store.record(try span(2, in: 2, name: "GET /b", start: 10, duration: 50_000_000))
        store.record(try span(3, in: 2, parent: 2, name: "pay", node: "payments", start: 20, status: .error))
        store.record(try span(4, in: 3, name: "GET /a", start: 30, duration: 1))
        let all = store.traces()
        #expect(all.map(\.traceID.low) == [3, 2, 1])
        #expect(all[1].name == "GET /b")
        #expect(all[1].nodes == ["main", "payments"])
        #expect(all[1].errors == 1)
        #expect(all[1].duration == 50_000_000)
        func low(_ filter: TraceFilter) -> [UInt64] { store.traces(matching: filter).map(\.traceID.low) }
        #expect(low(TraceFilter(name: "/a")) == [3, 1])
        #expect(low(TraceFilter(node: "payments")) == [2])
        #expect(low(TraceFilter(hasError: true)) == [2])
        #expect(low(TraceFilter(minimumDuration: 5_000_000)) == [2, 1])
        #expect(store.traces(limit: 1).count == 1)
    }

    @Test func keepsCountUnderManyThreads() async throws {
        let store = SpanStore(maximumSpans: 500)
        let one = try span(1)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<1000 { store.record(one) } } }
        }
        #expect(store.count == 500)
        #expect(store.count + store.dropped == 8000)
    }

    @Test func spansTravelAsJSON() throws {
        var one = try span(1, parent: 2, status: .error, message: "no", attributes: ["a": 1, "b": "x", "c": true])
        one.attributes["d"] = .strings(["x", "y"])
        one.attributes["e"] = .double(0.5)
        one.events = [.init(name: "retry", time: 5, attributes: ["attempt": 2])]
        one.links = [.init(traceID: one.traceID, spanID: one.spanID)]
        let bytes = try JSONEncoder().encode([one])
        #expect(try JSONDecoder().decode([FinishedSpan].self, from: bytes) == [one])
        #expect(String(decoding: bytes, as: UTF8.self).contains("\"traceID\":\"00000000000000000000000000000001\""))
    }
}
