import DovetailObservability
import Testing

@Suite struct TraceContextTests {
    static let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func readsAndWritesTraceparent() throws {
        let context = try #require(TraceContext(traceparent: Self.valid, tracestate: "rojo=00f067aa0ba902b7,congo=t61"))
        #expect(context.traceID.description == "0af7651916cd43dd8448eb211c80319c")
        #expect(context.spanID.description == "b7ad6b7169203331")
        #expect(context.isSampled)
        #expect(context.state == "rojo=00f067aa0ba902b7,congo=t61")
        #expect(context.traceparent == Self.valid)
    }

    @Test(arguments: [
        "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", "garbage",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01,00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
    ])
    func refusesAnInvalidTraceparent(_ text: String) {
        #expect(TraceContext(traceparent: text) == nil)
    }

    @Test(arguments: ["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-be-like"])
    func readsWhatItKnowsOfALaterVersion(_ text: String) {
        #expect(TraceContext(traceparent: text)?.traceparent == Self.valid)
    }

    @Test func readsOnlyTheSampledFlag() {
        func isSampled(_ flags: String) -> Bool? {
            TraceContext(traceparent: Self.valid.dropLast(2) + flags)?.isSampled
        }
        #expect(isSampled("00") == false)
        #expect(isSampled("02") == false)
        #expect(isSampled("03") == true)
        #expect(isSampled("ff") == true)
    }

    @Test(arguments: [
        ("a=1,,b=2", "a=1,b=2"), (" a=1 \t,\tb=2", "a=1,b=2"), ("a@b=1", "a@b=1"), ("a=1,a=2", ""), ("A=1", ""),
        ("a", ""), ("a=", ""), ("a=1=2", ""), ("a=ü", ""),
        ((0..<33).map { "k\($0)=1" }.joined(separator: ","), ""),
    ])
    func passesOnOnlyAValidTracestate(_ written: String, _ passed: String) {
        #expect(TraceContext(traceparent: Self.valid, tracestate: written)?.state == passed)
    }

    @Test func codesIdsAsHexadecimalText() throws {
        let id = try #require(TraceID(high: 1, low: 0xABC))
        #expect(TraceID(id.description) == id)
        #expect(TraceID(high: 0, low: 0) == nil)
        #expect(SpanID("00000000000000ab")?.value == 0xAB)
        #expect(SpanID("00000000000000AB") == nil)
    }
}
