import Synchronization
import Tracing

/// A span of the ``DovetailTracer``. It may be used from several tasks; what is set after its end is ignored.
public struct DovetailSpan: Span {
    public let context: ServiceContext
    /// Nil where the trace is not sampled: then nothing below does anything.
    let recorder: SpanRecorder?

    /// Whether what is set is kept. False in a trace that is not sampled, and after the end.
    public var isRecording: Bool { recorder?.isRecording ?? false }

    public var operationName: String {
        get { recorder?.state.withLock { $0.name } ?? "" }
        nonmutating set { recorder?.update { $0.name = newValue } }
    }

    public var attributes: SpanAttributes {
        get { recorder?.state.withLock { $0.attributes } ?? [:] }
        nonmutating set { recorder?.update { $0.attributes = newValue } }
    }

    public func setStatus(_ status: SpanStatus) {
        recorder?.update { $0.status = status }
    }

    public func addEvent(_ event: SpanEvent) {
        recorder?.update { state in
            if state.events.count < SpanRecorder.maximumEvents { state.events.append(event) }
        }
    }

    /// Adds an event `exception` (OpenTelemetry's convention). The status is set apart from it.
    public func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        guard isRecording else { return }
        var attributes = attributes
        attributes["exception.type"] = String(describing: type(of: error))
        attributes["exception.message"] = String(describing: error)
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
    }

    public func addLink(_ link: SpanLink) {
        recorder?.update { state in
            if state.links.count < SpanRecorder.maximumLinks { state.links.append(link) }
        }
    }

    public func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        recorder?.end(at: instant().nanosecondsSinceEpoch)
    }
}

/// Keeps what is said about a span until it ends, then hands it to the store.
final class SpanRecorder: Sendable {
    // OpenTelemetry's limits, so that a loop cannot fill the memory with one span.
    static let maximumAttributes = 128
    static let maximumEvents = 128
    static let maximumLinks = 128

    struct State {
        var name: String
        var attributes = SpanAttributes([:])
        var status: SpanStatus?
        var events: [SpanEvent] = []
        var links: [SpanLink] = []
        var hasEnded = false
    }

    let state: Mutex<State>
    private let trace: TraceContext
    private let parent: SpanID?
    private let kind: SpanKind
    private let start: UInt64
    private let node: String
    private let store: SpanStore

    init(
        name: String, trace: TraceContext, parent: SpanID?, kind: SpanKind, start: UInt64, node: String,
        store: SpanStore
    ) {
        state = Mutex(State(name: name))
        self.trace = trace
        self.parent = parent
        self.kind = kind
        self.start = start
        self.node = node
        self.store = store
    }

    var isRecording: Bool { state.withLock { !$0.hasEnded } }

    func update(_ body: (inout State) -> Void) {
        state.withLock { if !$0.hasEnded { body(&$0) } }
    }

    func end(at end: UInt64) {
        let final = state.withLock { state -> State? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let final else { return }
        var span = FinishedSpan(
            traceID: trace.traceID, spanID: trace.spanID, parentSpanID: parent, name: final.name,
            kind: FinishedSpan.Kind(kind), node: node, start: start, duration: end > start ? end - start : 0,
            attributes: SpanRecorder.values(of: final.attributes))
        if let status = final.status {
            span.status = status.code == .ok ? .ok : .error
            span.statusMessage = status.message.map { SpanAttributeValue.text($0).description }
        }
        span.events = final.events.map { event in
            FinishedSpan.Event(
                name: event.name, time: event.nanosecondsSinceEpoch,
                attributes: SpanRecorder.values(of: event.attributes))
        }
        span.links = final.links.compactMap { link in
            link.context.traceContext.map { FinishedSpan.Link(traceID: $0.traceID, spanID: $0.spanID) }
        }
        store.record(span)
    }

    private static func values(of attributes: SpanAttributes) -> [String: SpanAttributeValue] {
        guard !attributes.isEmpty else { return [:] }
        var values = [String: SpanAttributeValue](minimumCapacity: min(attributes.count, maximumAttributes))
        attributes.forEach { name, value in
            if values.count < maximumAttributes { values[name] = SpanAttributeValue(value) }
        }
        return values
    }
}

extension FinishedSpan.Kind {
    init(_ kind: SpanKind) {
        switch kind {
        case .server: self = .server
        case .client: self = .client
        case .producer: self = .producer
        case .consumer: self = .consumer
        case .internal: self = .internal
        }
    }
}
