import Tracing

/// A tracer of swift-distributed-tracing that keeps what it records in the process, for the platform's own tools.
///
///     let store = SpanStore()
///     InstrumentationSystem.bootstrap(DovetailTracer(node: "main", store: store))
///
/// Trace context travels as W3C `traceparent` and `tracestate`. Who begins a trace decides whether it is sampled; a
/// span of a trace that is not sampled costs nearly nothing.
public final class DovetailTracer: Tracer {
    public typealias Span = DovetailSpan

    /// Where finished spans go.
    public let store: SpanStore
    private let node: String
    private let threshold: UInt64
    private let ids = TraceIDGenerator()

    /// A tracer.
    ///
    /// - Parameters:
    ///   - node: The node's name, kept with each span.
    ///   - sampling: The share of the traces that begin here that are recorded, from 0 to 1.
    ///   - store: Where finished spans go.
    public init(node: String, sampling: Double = 1, store: SpanStore) {
        self.node = node
        self.store = store
        let share = sampling.isNaN ? 1 : min(max(sampling, 0), 1)
        threshold = share >= 1 ? .max : UInt64(share * 0x1p64)
    }

    public func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> DovetailSpan {
        var context = context()
        let parent = context.traceContext
        if let parent, !parent.isSampled { return DovetailSpan(context: context, recorder: nil) }
        let trace = place(under: parent)
        context.traceContext = trace
        guard trace.isSampled else { return DovetailSpan(context: context, recorder: nil) }
        let recorder = SpanRecorder(
            name: operationName, trace: trace, parent: parent?.spanID, kind: kind,
            start: instant().nanosecondsSinceEpoch, node: node, store: store)
        return DovetailSpan(context: context, recorder: recorder)
    }

    /// The place of a new span: in its parent's trace, or in a new one whose sampling is decided here.
    ///
    /// For those who make spans themselves and hand them to ``SpanStore/record(_:)``.
    public func place(under parent: TraceContext?) -> TraceContext {
        guard let parent else {
            let trace = ids.traceID()
            let isSampled = threshold == .max || trace.low < threshold
            return TraceContext(traceID: trace, spanID: ids.spanID(), isSampled: isSampled)
        }
        return TraceContext(
            traceID: parent.traceID, spanID: ids.spanID(), isSampled: parent.isSampled, state: parent.state)
    }

    public func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let trace = context.traceContext else { return }
        injector.inject(trace.traceparent, forKey: "traceparent", into: &carrier)
        if !trace.state.isEmpty { injector.inject(trace.state, forKey: "tracestate", into: &carrier) }
    }

    /// Takes the trace context from what a caller sent; without a valid one the context is left as it is.
    public func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let traceparent = extractor.extract(key: "traceparent", from: carrier) else { return }
        let tracestate = extractor.extract(key: "tracestate", from: carrier)
        guard let trace = TraceContext(traceparent: traceparent, tracestate: tracestate) else { return }
        context.traceContext = trace
    }

    /// Does nothing: a span is in the store as soon as it has ended.
    @available(*, deprecated)
    public func forceFlush() {}
}
