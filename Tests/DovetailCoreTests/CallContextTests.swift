import DovetailCore
import HTTPTypes
import Instrumentation
import ServiceContextModule
import Testing

@Suite struct CallContextTests {
    let now = MonotonicTime(nanoseconds: 1_000_000_000)

    func read(_ headers: HTTPFields, trusting: Bool = false) -> CallContext {
        CallContext(headers: headers, trustingPrincipal: trusting, now: now)
    }

    @Test func deadlineIsOnlyBroughtForward() {
        var context = CallContext()
        #expect(context.limited(to: nil).deadline == nil)
        #expect(context.limited(to: now).deadline == now)
        context.deadline = now
        #expect(context.limited(to: nil).deadline == now)
        #expect(context.limited(to: now + .seconds(1)).deadline == now)
        #expect(context.limited(to: now + .seconds(-1)).deadline == now + .seconds(-1))
    }

    @Test func travelsThroughHeaders() {
        let context = CallContext(
            deadline: now + .milliseconds(1500),
            principal: Principal(subject: "user-7?>é", scopes: ["orders:write", "orders:read"], issuer: "jwt"),
            idempotencyKey: "key-1", correlationID: "flow-1", causationID: "event-1", after: "main:42")
        var headers = HTTPFields()
        context.write(to: &headers, now: now)
        #expect(headers[.dovetailTimeout] == "1500")
        #expect(headers[.dovetailPrincipal]?.contains { "+/=".contains($0) } == false)
        let arrived = CallContext(headers: headers, trustingPrincipal: true, now: now)
        #expect(arrived.deadline == context.deadline)
        #expect(arrived.principal == context.principal)
        #expect(arrived.idempotencyKey == "key-1")
        #expect(arrived.correlationID == "flow-1")
        #expect(arrived.causationID == "event-1")
        #expect(arrived.after == "main:42")
        #expect(read(headers).principal == nil)
    }

    @Test func partsThatAreAbsentLeaveNoHeaders() {
        var headers: HTTPFields = [
            .idempotencyKey: "old", .dovetailPrincipal: "old", .dovetailTimeout: "1", .dovetailAfter: "x",
        ]
        CallContext(correlationID: "c").write(to: &headers, now: now)
        #expect(headers == [.correlationID: "c"])
    }

    @Test(arguments: ["", "-1", "1.5", "1e3", "1 2", "abc", "0x10", "9999999999999999", "٣", "1, 2"])
    func badTimeoutsAreIgnored(text: String) {
        #expect(read([.dovetailTimeout: text]).deadline == nil)
    }

    @Test func timeoutsAreWhatIsLeft() {
        #expect(read([.dovetailTimeout: "0"]).deadline == now)
        #expect(read([.dovetailTimeout: "999999999999999"]).deadline == MonotonicTime(nanoseconds: .max))
        var headers = HTTPFields()
        for (left, text) in [
            (Duration.milliseconds(7), "7"), (.microseconds(7900), "7"), (.nanoseconds(1), "1"), (.zero, "0"),
            (.seconds(-3), "0"),
        ] {
            CallContext(deadline: now + left).write(to: &headers, now: now)
            #expect(headers[.dovetailTimeout] == text)
        }
    }

    @Test func correlationIDsFromOutsideAreChecked() {
        let long = String(repeating: "x", count: 128)
        #expect(read([.correlationID: long]).correlationID == long)
        for wrong in [long + "x", "", "a b", "é", "a\tb"] {
            let id = read([.correlationID: wrong]).correlationID
            #expect(UniqueID(id) != nil)
        }
        #expect(UniqueID(read([:]).correlationID) != nil)
    }

    @Test func idempotencyKeysAreBareOrQuoted() {
        func key(_ text: String) -> String? { read([.idempotencyKey: text]).idempotencyKey }
        #expect(key("8e03978e-40d5") == "8e03978e-40d5")
        #expect(key(#""8e03978e-40d5""#) == "8e03978e-40d5")
        #expect(key(#""a \"b\" \\c""#) == #"a "b" \c"#)
        #expect(key(String(repeating: "k", count: 255))?.count == 255)
        for wrong in [
            "", #""""#, #"""#, #""a"#, #""a"b"#, #""a\b""#, #""é""#, "a b", String(repeating: "k", count: 256),
            "\"" + String(repeating: "k", count: 256) + "\"",
        ] {
            #expect(key(wrong) == nil)
        }
    }

    @Test func whatAHeaderCannotHoldIsDerivedTheSameEachTime() {
        let context = CallContext(
            idempotencyKey: "order 7/réserve", correlationID: String(repeating: "x", count: 129), causationID: "a\nb")
        var headers = HTTPFields()
        context.write(to: &headers, now: now)
        #expect(headers[.idempotencyKey] == UniqueID.derived(from: "order 7/réserve").description)
        #expect(headers[.causationID] == UniqueID.derived(from: "a\nb").description)
        var again = HTTPFields()
        context.write(to: &again, now: now)
        #expect(headers == again)
        let quote = CallContext(idempotencyKey: "\"a\"")
        quote.write(to: &headers, now: now)
        #expect(read(headers).idempotencyKey == UniqueID.derived(from: "\"a\"").description)
    }

    @Test(arguments: ["", "!!!", "e30", "bm90IGpzb24", "eyJzdWJqZWN0Ijo3fQ"])
    func malformedPrincipalsAreNone(text: String) {
        #expect(read([.dovetailPrincipal: text], trusting: true).principal == nil)
    }

    @Test func instrumentsReadAndWriteHeaderFields() {
        var headers = HTTPFields()
        HTTPFieldsInjector().inject("00-1-2-01", forKey: "traceparent", into: &headers)
        HTTPFieldsInjector().inject("x", forKey: "no name", into: &headers)
        #expect(headers == [.traceparent: "00-1-2-01"])
        #expect(HTTPFieldsExtractor().extract(key: "Traceparent", from: headers) == "00-1-2-01")
        #expect(HTTPFieldsExtractor().extract(key: "tracestate", from: headers) == nil)
        #expect(HTTPFieldsExtractor().extract(key: "", from: headers) == nil)
    }

    @Test func traceContextPassesThroughTheInstrument() {
        Bootstrap.once
        var context = CallContext(correlationID: "c")
        context.trace[TraceKey.self] = "00-abc-def-01"
        var headers = HTTPFields()
        context.write(to: &headers, now: now)
        #expect(headers[.traceparent] == "00-abc-def-01")
        #expect(read(headers).trace[TraceKey.self] == "00-abc-def-01")
        #expect(read([:]).trace[TraceKey.self] == nil)
    }

    @Test func theCurrentContextIsTheTasks() async {
        #expect(CallContext.current == nil)
        await CallContext.$current.withValue(CallContext(correlationID: "c")) {
            #expect(CallContext.current?.correlationID == "c")
            async let child = CallContext.current?.correlationID
            #expect(await child == "c")
        }
    }
}

private enum TraceKey: ServiceContextKey {
    typealias Value = String
}

private enum Bootstrap {
    static let once: Void = InstrumentationSystem.bootstrap(TraceparentInstrument())
}

/// Passes `traceparent` through, as a tracer would.
private struct TraceparentInstrument: Instrument {
    func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        context[TraceKey.self] = extractor.extract(key: "traceparent", from: carrier)
    }

    func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        context[TraceKey.self].map { injector.inject($0, forKey: "traceparent", into: &carrier) }
    }
}
