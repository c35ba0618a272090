/// What is told of one request and its answer.
public struct AccessRecord: Sendable, Hashable {
    /// When the request began, in nanoseconds since 1970.
    public var time: UInt64
    /// The client's address.
    public var client: String
    /// Who it was made for, once authenticated.
    public var principal: String?
    /// The method.
    public var method: String
    /// The path as sent, without the query.
    public var path: String
    /// The query as sent; values of secrets' names are not written.
    public var query: String?
    /// The protocol, as `HTTP/1.1`.
    public var version: String
    /// The status of the answer; 0 if there was none.
    public var status: Int
    /// How many bytes of answer were sent.
    public var bytes: Int
    /// From the first byte of the request to the last of the answer, in nanoseconds.
    public var duration: UInt64
    /// The route, as configured; nil if there was none for the path.
    public var route: String?
    /// The host that the request was for.
    public var host: String?
    /// What the client says it is.
    public var userAgent: String?
    /// Where it was sent on to, and which server was asked last.
    public var upstream: String?, server: String?
    /// How often it was sent on; nil if it was not.
    public var attempts: Int?
    /// Names the flow.
    public var correlationID: String?
    /// The trace.
    public var traceID: TraceID?

    /// A record of one request.
    public init(
        time: UInt64, client: String, principal: String? = nil, method: String, path: String, query: String? = nil,
        version: String = "HTTP/1.1", status: Int, bytes: Int, duration: UInt64, route: String? = nil,
        correlationID: String? = nil, traceID: TraceID? = nil
    ) {
        self.time = time
        self.client = client
        self.principal = principal
        self.method = method
        self.path = path
        self.query = query
        self.version = version
        self.status = status
        self.bytes = bytes
        self.duration = duration
        self.route = route
        self.correlationID = correlationID
        self.traceID = traceID
    }
}

/// How a record is written: one line, whatever a client put into it.
public enum AccessLogFormat: String, Sendable, Hashable, CaseIterable {
    /// A JSON object; duration in milliseconds.
    case json
    /// The Common Log Format of NCSA and Apache, which has no room for duration, route and ids.
    case common

    /// The record's line, with its end.
    public func line(_ record: AccessRecord) -> [UInt8] {
        let target = record.path + (record.query.map { "?" + SecretNames.redactedQuery($0) } ?? "")
        let time = Timestamp(nanoseconds: record.time)
        switch self {
        case .json:
            var line = JSONLine()
            line.member("time", time.internet)
            line.member("client", record.client)
            line.member("principal", record.principal)
            line.member("method", record.method)
            line.member("path", target)
            line.member("status", number: record.status)
            line.member("bytes", number: record.bytes)
            line.member("duration_ms", number: AccessLogFormat.milliseconds(record.duration))
            line.member("route", record.route)
            line.member("host", record.host)
            line.member("user_agent", record.userAgent)
            line.member("upstream", record.upstream)
            line.member("server", record.server)
            if let attempts = record.attempts { line.member("attempts", number: attempts) }
            line.member("correlation_id", record.correlationID)
            line.member("trace_id", record.traceID?.description)
            return line.end()
        case .common:
            let field = AccessLogFormat.field
            let user = record.principal.map(field) ?? "-"
            let request = "\(field(record.method)) \(field(target)) \(field(record.version))"
            let bytes = record.bytes == 0 ? "-" : "\(record.bytes)"
            let text =
                "\(field(record.client)) - \(user) [\(time.common)] \"\(request)\" \(record.status) \(bytes)\n"
            return Array(text.utf8)
        }
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let thousandths = String(nanoseconds / 1000 % 1000)
        return "\(nanoseconds / 1_000_000).\(String(repeating: "0", count: 3 - thousandths.count))\(thousandths)"
    }

    /// Quotes, blanks and control characters as `\xhh`, as Apache does: a field cannot pretend to be another line.
    private static func field(_ text: String) -> String {
        guard !text.isEmpty else { return "-" }
        guard text.utf8.contains(where: { $0 <= 32 || $0 == 34 || $0 == 92 || $0 == 127 }) else { return text }
        var result: [UInt8] = []
        for byte in text.utf8 {
            guard byte <= 32 || byte == 34 || byte == 92 || byte == 127 else {
                result.append(byte)
                continue
            }
            result.append(contentsOf: [92, 120])
            for digit in [byte >> 4, byte & 15] { result.append(digit < 10 ? 48 + digit : 87 + digit) }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
