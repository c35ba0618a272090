import DovetailObservability
import Testing

@Suite struct TraceTimelineTests {
    @Test func drawsSpansOfSeveralNodes() throws {
        let ms: UInt64 = 1_000_000
        let spans = [
            try span(
                3, parent: 2, name: "payments.capture", node: "payments", start: 12 * ms, duration: 8 * ms,
                status: .error, message: "card declined", attributes: ["error.type": "declined", "other": 1]),
            try span(
                1, name: "POST /api/orders", start: 0, duration: 42 * ms + 123_456,
                attributes: ["http.response.status_code": 409, "http.route": "/api/orders"]),
            try span(2, parent: 1, name: "orders.place", start: ms + 204_999, duration: 30 * ms, status: .ok),
            try span(4, parent: 1, name: "log.append", start: 35 * ms, duration: 900_000),
        ]
        #expect(
            TraceTimeline.render(spans + spans) == """
                trace 00000000000000000000000000000001: 4 spans on 2 nodes in 42.12 ms

                    offset  duration  node      span
                   0.00 ms  42.12 ms  main      POST /api/orders  http.route=/api/orders  http.response.status_code=409
                   1.20 ms  30.00 ms  main        orders.place  ok
                  12.00 ms   8.00 ms  payments      payments.capture  ERROR card declined  error.type=declined
                  35.00 ms   0.90 ms  main        log.append

                """)
    }

    @Test func drawsEverySpanWhateverItsParent() throws {
        let spans = [
            try span(1, parent: 99, name: "orphan"), try span(2, parent: 3, name: "circle"),
            try span(3, parent: 2, name: "circle"), try span(4, parent: 4, name: "own parent"),
        ]
        let text = TraceTimeline.render(spans)
        #expect(text.contains("orphan (parent not found)"))
        #expect(text.split(separator: "\n").count == 6)
    }

    @Test func keepsLinesWhole() throws {
        let text = TraceTimeline.render([try span(1, name: "a\nb\u{1B}[31m", status: .error, message: "x\r\ny")])
        #expect(text.contains("a b [31m  ERROR x  y\n"))
        #expect(TraceTimeline.render([]) == "no spans\n")
    }
}
