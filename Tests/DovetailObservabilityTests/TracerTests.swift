import DovetailObservability
import Testing
import Tracing

private struct Dictionaries: Injector, Extractor {
    func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
}

private struct Failure: Error, CustomStringConvertible {
    var description: String { "card declined" }
}

@Suite struct TracerTests {
    let store = SpanStore()

    func tracer(sampling: Double = 1) -> DovetailTracer {
        DovetailTracer(node: "main", sampling: sampling, store: store)
    }

    @Test func keepsParentAndChildInOneTrace() throws {
        let tracer = tracer()
        tracer.withSpan("parent", ofKind: .server) { parent in
            parent.attributes["http.response.status_code"] = 200
            tracer.withSpan("child") { _ in }
        }
        let trace = try #require(store.traces().first)
        let spans = store.spans(traceID: trace.traceID)
        #expect(spans.map(\.name) == ["child", "parent"])
        #expect(spans[0].parentSpanID == spans[1].spanID)
        #expect(spans[1].parentSpanID == nil)
        #expect(spans[1].kind == .server)
        #expect(spans[1].node == "main")
        #expect(spans[1].attributes == ["http.response.status_code": 200])
        #expect(spans[1].start <= spans[0].start)
        #expect(spans[1].end >= spans[0].end)
    }

    @Test func carriesTheTraceFromHopToHop() throws {
        let tracer = tracer()
        let span = tracer.startSpan("client", ofKind: .client)
        var headers: [String: String] = [:]
        tracer.inject(span.context, into: &headers, using: Dictionaries())
        var received = ServiceContext.topLevel
        tracer.extract(headers, into: &received, using: Dictionaries())
        #expect(received.traceContext == span.context.traceContext)
        let server = tracer.startSpan("server", context: received, ofKind: .server)
        server.end()
        span.end()
        let spans = store.spans(traceID: try #require(span.context.traceContext?.traceID))
        #expect(spans.map(\.name) == ["server", "client"])
        #expect(spans[0].parentSpanID == spans[1].spanID)
    }

    @Test func startsANewTraceWhenTheCallersIsInvalid() {
        var context = ServiceContext.topLevel
        let headers = ["traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01", "tracestate": "a=1"]
        tracer().extract(headers, into: &context, using: Dictionaries())
        #expect(context.traceContext == nil)
    }

    @Test func respectsTheCallersDecisionNotToSample() {
        let tracer = tracer()
        var context = ServiceContext.topLevel
        let headers = ["traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "tracestate": "a=1"]
        tracer.extract(headers, into: &context, using: Dictionaries())
        let span = tracer.startSpan("server", context: context)
        #expect(!span.isRecording)
        span.attributes["a"] = "b"
        span.end()
        #expect(store.count == 0)
        var onward: [String: String] = [:]
        tracer.inject(span.context, into: &onward, using: Dictionaries())
        #expect(onward["traceparent"]?.hasPrefix("00-0af7651916cd43dd8448eb211c80319c-") == true)
        #expect(onward["traceparent"]?.hasSuffix("-00") == true)
        #expect(onward["tracestate"] == "a=1")
    }

    @Test func samplesAboutTheShareThatWasAskedFor() {
        let tracer = tracer(sampling: 0.25)
        for _ in 0..<4000 { tracer.startSpan("root").end() }
        #expect((800...1200).contains(store.count))
        let none = DovetailTracer(node: "main", sampling: 0, store: SpanStore())
        none.startSpan("root").end()
        #expect(none.store.count == 0)
    }

    @Test func childrenFollowADecisionMadeHere() {
        let tracer = tracer(sampling: 0)
        tracer.withSpan("root") { root in
            tracer.withSpan("child") { child in
                #expect(child.context.traceContext?.traceID == root.context.traceContext?.traceID)
                #expect(!child.isRecording)
            }
        }
        #expect(store.count == 0)
    }

    @Test func recordsErrorsEventsLinksAndStatus() throws {
        let tracer = tracer()
        let other = tracer.startSpan("other")
        #expect(throws: Failure.self) {
            try tracer.withSpan("failing") { span in
                span.addEvent(SpanEvent(name: "retry", attributes: ["attempt": 2]))
                span.addLink(other)
                throw Failure()
            }
        }
        let span = try #require(
            store.traces(matching: TraceFilter(hasError: true)).first.map { store.spans(traceID: $0.traceID) }?.first)
        #expect(span.status == .error)
        #expect(span.events.map(\.name) == ["retry", "exception"])
        #expect(span.events[0].attributes == ["attempt": 2])
        #expect(span.events[1].attributes["exception.message"] == "card declined")
        #expect(span.links.map(\.spanID) == [other.context.traceContext?.spanID])
    }

    @Test func ignoresWhatComesAfterTheEnd() throws {
        let span = tracer().startSpan("once")
        span.end()
        span.attributes["late"] = true
        span.operationName = "late"
        span.end()
        #expect(!span.isRecording)
        #expect(store.count == 1)
        let trace = try #require(span.context.traceContext?.traceID)
        #expect(store.spans(traceID: trace).first?.name == "once")
        #expect(store.spans(traceID: trace).first?.attributes.isEmpty == true)
    }

    @Test func makesIdsThatDiffer() {
        let tracer = tracer()
        let places = (0..<10_000).map { _ in tracer.place(under: nil) }
        #expect(Set(places.map(\.traceID)).count == places.count)
        #expect(Set(places.map(\.spanID)).count == places.count)
    }
}
