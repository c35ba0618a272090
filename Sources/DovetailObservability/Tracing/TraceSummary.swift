/// Which traces are asked for; every condition must hold.
public struct TraceFilter: Sendable, Hashable, Codable {
    /// The trace has a span on this node.
    public var node: String?
    /// The trace has a span whose name contains this text.
    public var name: String?
    /// The trace took at least so many nanoseconds.
    public var minimumDuration: UInt64
    /// The trace has a span with an error.
    public var hasError: Bool

    /// A filter; without conditions it lets all through.
    public init(node: String? = nil, name: String? = nil, minimumDuration: UInt64 = 0, hasError: Bool = false) {
        self.node = node
        self.name = name
        self.minimumDuration = minimumDuration
        self.hasError = hasError
    }
}

/// A trace in a line of a list.
public struct TraceSummary: Sendable, Hashable, Codable {
    /// The trace.
    public var traceID: TraceID
    /// The name of the span that began it, or of the earliest that is known.
    public var name: String
    /// When it began, in nanoseconds since 1970.
    public var start: UInt64
    /// From its first beginning to its last end, in nanoseconds.
    public var duration: UInt64
    /// How many spans are known.
    public var spans: Int
    /// How many of them ended with an error.
    public var errors: Int
    /// The nodes that it went through, in the order of their names.
    public var nodes: [String]

    /// A trace of these spans; nil of none.
    public init?(_ spans: [FinishedSpan]) {
        guard let first = spans.min(by: { ($0.start, $0.spanID.value) < ($1.start, $1.spanID.value) }) else {
            return nil
        }
        let root = spans.first { $0.parentSpanID == nil } ?? first
        let end = spans.map(\.end).max() ?? first.end
        traceID = root.traceID
        name = root.name
        start = first.start
        duration = end > first.start ? end - first.start : 0
        self.spans = spans.count
        errors = spans.count { $0.status == .error }
        nodes = Set(spans.map(\.node)).sorted()
    }

    /// The traces that these spans make, the latest first.
    public static func summaries(
        of spans: [FinishedSpan], matching filter: TraceFilter = TraceFilter(), limit: Int = 50
    ) -> [TraceSummary] {
        let traces = Dictionary(grouping: spans, by: \.traceID).values
        let summaries = traces.compactMap { spans -> TraceSummary? in
            guard let summary = TraceSummary(spans), summary.duration >= filter.minimumDuration,
                !filter.hasError || summary.errors > 0, filter.node.map(summary.nodes.contains) ?? true,
                filter.name.map({ name in spans.contains { $0.name.contains(name) } }) ?? true
            else { return nil }
            return summary
        }
        let latestFirst = summaries.sorted {
            ($0.start, $0.traceID.high, $0.traceID.low) > ($1.start, $1.traceID.high, $1.traceID.low)
        }
        return Array(latestFirst.prefix(max(0, limit)))
    }
}
