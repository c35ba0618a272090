import Tracing

/// A span that has ended, as a value: it is kept, sent from node to node, and drawn.
public struct FinishedSpan: Sendable, Hashable, Codable {
    /// What part a span has in a conversation.
    public enum Kind: String, Sendable, Hashable, Codable {
        /// Answers a request.
        case server
        /// Sends a request and waits for its answer.
        case client
        /// Publishes a message.
        case producer
        /// Handles a message.
        case consumer
        /// Nothing of these.
        case `internal`
    }

    /// How it ended.
    public enum Status: String, Sendable, Hashable, Codable {
        /// Nobody said; it counts as a success.
        case unset
        /// A success, said so.
        case ok
        /// A failure.
        case error
    }

    /// Something that happened at a moment of the span.
    public struct Event: Sendable, Hashable, Codable {
        /// What happened.
        public var name: String
        /// When, in nanoseconds since 1970.
        public var time: UInt64
        /// The facts.
        public var attributes: [String: SpanAttributeValue]

        /// Something that happened at `time`.
        public init(name: String, time: UInt64, attributes: [String: SpanAttributeValue] = [:]) {
            self.name = name
            self.time = time
            self.attributes = attributes
        }
    }

    /// A span of this or another trace that this one has to do with, without being its child.
    public struct Link: Sendable, Hashable, Codable {
        /// The trace.
        public var traceID: TraceID
        /// The span in it.
        public var spanID: SpanID

        /// A link to a span.
        public init(traceID: TraceID, spanID: SpanID) {
            self.traceID = traceID
            self.spanID = spanID
        }
    }

    /// The trace.
    public var traceID: TraceID
    /// The span.
    public var spanID: SpanID
    /// The span that caused it, in this process or another; nil for the one that began the trace.
    public var parentSpanID: SpanID?
    /// What was done, in few different words: `GET /orders/{id}`.
    public var name: String
    /// The part in the conversation.
    public var kind: Kind
    /// The node it ran on.
    public var node: String
    /// When it began, in nanoseconds since 1970 by that node's clock.
    public var start: UInt64
    /// How long it took, in nanoseconds.
    public var duration: UInt64
    /// How it ended.
    public var status: Status
    /// What went wrong, if that was said.
    public var statusMessage: String?
    /// The facts, named as the OpenTelemetry conventions name them.
    public var attributes: [String: SpanAttributeValue]
    /// What happened meanwhile, in the order in which it was added.
    public var events: [Event]
    /// The spans that it has to do with.
    public var links: [Link]

    /// A span that has ended.
    public init(
        traceID: TraceID, spanID: SpanID, parentSpanID: SpanID? = nil, name: String, kind: Kind = .internal,
        node: String, start: UInt64, duration: UInt64, status: Status = .unset, statusMessage: String? = nil,
        attributes: [String: SpanAttributeValue] = [:], events: [Event] = [], links: [Link] = []
    ) {
        self.traceID = traceID
        self.spanID = spanID
        self.parentSpanID = parentSpanID
        self.name = name
        self.kind = kind
        self.node = node
        self.start = start
        self.duration = duration
        self.status = status
        self.statusMessage = statusMessage
        self.attributes = attributes
        self.events = events
        self.links = links
    }

    /// When it ended, in nanoseconds since 1970.
    public var end: UInt64 { start.addingReportingOverflow(duration).partialValue }

    /// About how many bytes it takes up in memory.
    var footprint: Int {
        func size(_ attributes: [String: SpanAttributeValue]) -> Int {
            attributes.reduce(0) { $0 + 48 + $1.key.utf8.count + $1.value.footprint }
        }
        let events = events.reduce(0) { $0 + 48 + $1.name.utf8.count + size($1.attributes) }
        return 240 + name.utf8.count + (statusMessage?.utf8.count ?? 0) + size(attributes) + events + links.count * 24
    }
}
