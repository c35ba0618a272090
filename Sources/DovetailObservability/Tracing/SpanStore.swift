import Synchronization

/// The latest finished spans of a process, in bounded memory: a new one pushes out the oldest.
///
/// May be used from any thread. Recording takes one short lock.
public final class SpanStore: Sendable {
    fileprivate struct State {
        /// A ring once it is full: `oldest` is where the next span goes.
        var spans: [FinishedSpan?] = []
        var oldest = 0
        var count = 0
        var bytes = 0
        var dropped = 0
    }

    private let maximumSpans: Int
    private let maximumBytes: Int
    private let state = Mutex(State())

    /// A store with nothing in it.
    ///
    /// - Parameters:
    ///   - maximumSpans: The most spans that are kept.
    ///   - maximumBytes: About the most memory that they take.
    public init(maximumSpans: Int = 20_000, maximumBytes: Int = 64 << 20) {
        self.maximumSpans = max(1, maximumSpans)
        self.maximumBytes = max(1, maximumBytes)
    }

    /// Keeps a span, made by the tracer or elsewhere. One that is larger than the whole store is dropped.
    public func record(_ span: FinishedSpan) {
        let size = span.footprint
        // What is pushed out is freed after the lock.
        var evicted: [FinishedSpan] = []
        state.withLock { state in
            guard size <= maximumBytes else {
                state.dropped += 1
                return
            }
            while state.count == maximumSpans || (state.count > 0 && state.bytes + size > maximumBytes) {
                if let span = state.removeOldest() { evicted.append(span) }
            }
            state.append(span, size: size, maximum: maximumSpans)
        }
    }

    /// How many spans were pushed out by later ones, or were too large to be kept.
    public var dropped: Int { state.withLock { $0.dropped } }

    /// How many spans are kept now.
    public var count: Int { state.withLock { $0.count } }

    /// The spans of a trace that are still here, in the order in which they ended.
    public func spans(traceID: TraceID) -> [FinishedSpan] {
        all { $0.traceID == traceID }
    }

    /// The latest traces first, as far as their spans are still here.
    public func traces(matching filter: TraceFilter = TraceFilter(), limit: Int = 50) -> [TraceSummary] {
        TraceSummary.summaries(of: all { _ in true }, matching: filter, limit: limit)
    }

    private func all(where isIncluded: (FinishedSpan) -> Bool) -> [FinishedSpan] {
        state.withLock { state in
            var result: [FinishedSpan] = []
            for offset in 0..<state.count {
                let index = (state.oldest + offset) % state.spans.count
                if let span = state.spans[index], isIncluded(span) { result.append(span) }
            }
            return result
        }
    }
}

extension SpanStore.State {
    mutating func removeOldest() -> FinishedSpan? {
        let span = spans[oldest]
        spans[oldest] = nil
        oldest = (oldest + 1) % spans.count
        count -= 1
        bytes -= span?.footprint ?? 0
        dropped += 1
        return span
    }

    mutating func append(_ span: FinishedSpan, size: Int, maximum: Int) {
        if count == spans.count { grow(maximum: maximum) }
        spans[(oldest + count) % spans.count] = span
        count += 1
        bytes += size
    }

    /// Doubles the ring, its oldest span first.
    private mutating func grow(maximum: Int) {
        let capacity = min(max(64, spans.count * 2), maximum)
        var ring = [FinishedSpan?](repeating: nil, count: capacity)
        for offset in 0..<count { ring[offset] = spans[(oldest + offset) % spans.count] }
        spans = ring
        oldest = 0
    }
}
