import DovetailCore

/// A request as the gateway served it: what an access log line and a span are made of. No header, no query, no secret.
public struct RequestRecord: Sendable {
    /// The route's id; nil if there was none.
    public var route: String?
    /// The method.
    public var method: String
    /// The path, in canonical form and without the query.
    public var path: String
    /// The answer's status; 0 if there was no answer.
    public var status: Int
    /// How many bytes of answer were sent, its head and framing included.
    public var bytesSent: Int
    /// Whether the answer ended before it was whole.
    public var brokeOff: Bool
    /// When the request's head was whole, and when the answer's last byte was written.
    public var start: MonotonicTime
    /// When the answer's last byte was written.
    public var end: MonotonicTime
    /// The trace's id: 32 hexadecimal digits.
    public var traceID: String
    /// The gateway's span in it: 16 hexadecimal digits.
    public var spanID: String
    /// The client's span; nil if the trace began here.
    public var parentSpanID: String?
    /// Whether the trace is sampled.
    public var isSampled: Bool
    /// The upstream's name; nil for a handler and for the gateway's own answers.
    public var upstream: String?
    /// The server that was asked last, as host and port; nil where there was none.
    public var server: String?
    /// Attempts that were made.
    public var attempts: Int
    /// The host that it was for, as the client said it.
    public var host: String
    /// What the client says it is; nil if it does not.
    public var userAgent: String?
    /// The client's address.
    public var clientAddress: String
    /// Who it was for, if that was established.
    public var principal: String?
    /// The flow's id.
    public var correlationID: String
}

extension Exchange {
    /// Counts the request, and tells of it where somebody listens.
    func record(brokeOff: Bool) {
        let end = MonotonicTime.now
        let counters = route?.counters ?? worker.unroutedCounters
        counters.count(status: brokeOff ? 0 : status, nanoseconds: end.nanoseconds - started.nanoseconds)
        guard let tell = worker.shared.onRequestFinished, client.origin?.purpose != .authentication else { return }
        tell(makeRecord(end, brokeOff))
    }

    private func makeRecord(_ end: MonotonicTime, _ brokeOff: Bool) -> RequestRecord {
        let upstream = attempts > 0 ? pool?.upstream.name : nil
        let server = lastServer.flatMap { pool?.name(ofServer: $0) }
        let userAgent = headBytes.withUnsafeReadableBytes { bytes in
            fields.first { bytes[$0.name].equalsIgnoringCase("user-agent") }.map { bytes[$0.value].text }
        }
        return RequestRecord(
            route: route?.id, method: methodText,
            path: headBytes.withUnsafeReadableBytes { $0[head.path].text }, status: status,
            bytesSent: client.bytesWritten, brokeOff: brokeOff,
            start: started, end: end, traceID: trace.traceID,
            spanID: TraceContext.spanID(trace.span),
            parentSpanID: trace.parent == 0 ? nil : TraceContext.spanID(trace.parent),
            isSampled: trace.flags & 1 == 1, upstream: upstream, server: server, attempts: attempts,
            host: headBytes.withUnsafeReadableBytes { $0[head.host].text }, userAgent: userAgent,
            clientAddress: client.address,
            principal: principal?.principal.subject, correlationID: correlationText)
    }
}
