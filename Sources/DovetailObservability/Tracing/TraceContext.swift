import Tracing

/// Where in which trace something happens: what `traceparent` and `tracestate` carry from hop to hop.
public struct TraceContext: Sendable, Hashable {
    /// The trace.
    public let traceID: TraceID
    /// The span that is the parent of what comes next.
    public let spanID: SpanID
    /// Whether the trace is recorded. Whoever begins a trace decides, and all others follow.
    public let isSampled: Bool
    /// What other vendors' tracers pass along, as `tracestate` writes it; often empty.
    public let state: String

    /// A place in a trace.
    public init(traceID: TraceID, spanID: SpanID, isSampled: Bool, state: String = "") {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Reads the header fields of W3C Trace Context, strictly; nil if `traceparent` is invalid, and then a new trace begins.
    ///
    /// An invalid `tracestate` is left out; it does not make `traceparent` invalid (4.2).
    public init?(traceparent: String, tracestate: String? = nil) {
        let bytes = Array(traceparent.utf8)
        guard bytes.count >= 55, bytes[2] == 45, bytes[35] == 45, bytes[52] == 45,
            let version = Hexadecimal.value(of: bytes[0..<2]), version != 0xFF,
            // A later version may have more fields behind a dash; version 00 has none.
            bytes.count == 55 || (version > 0 && bytes[55] == 45),
            let high = Hexadecimal.value(of: bytes[3..<19]), let low = Hexadecimal.value(of: bytes[19..<35]),
            let span = Hexadecimal.value(of: bytes[36..<52]), let flags = Hexadecimal.value(of: bytes[53..<55]),
            let traceID = TraceID(high: high, low: low), let spanID = SpanID(span)
        else { return nil }
        self.init(
            traceID: traceID, spanID: spanID, isSampled: flags & 1 == 1,
            state: tracestate.flatMap(TraceState.validated) ?? "")
    }

    /// The value of the `traceparent` field, in version 00.
    public var traceparent: String {
        String(unsafeUninitializedCapacity: 55) { buffer in
            (buffer[0], buffer[1], buffer[2]) = (48, 48, 45)
            Hexadecimal.write(traceID.high, to: buffer, at: 3)
            Hexadecimal.write(traceID.low, to: buffer, at: 19)
            buffer[35] = 45
            Hexadecimal.write(spanID.value, to: buffer, at: 36)
            (buffer[52], buffer[53], buffer[54]) = (45, 48, isSampled ? 49 : 48)
            return 55
        }
    }
}

/// The list of vendors' entries in `tracestate` (W3C Trace Context, 3.3).
enum TraceState {
    /// The list without empty members; nil if it breaks the rules, and then it is not passed on.
    static func validated(_ text: String) -> String? {
        guard text.utf8.count <= 8192 else { return nil }
        var keys: Set<Substring> = []
        var members: [Substring] = []
        for part in text.split(separator: ",") {
            let member = trimmed(part)
            if member.isEmpty { continue }
            guard let equals = member.firstIndex(of: "=") else { return nil }
            let key = member[..<equals]
            let value = member[member.index(after: equals)...]
            guard isKey(key), isValue(value), keys.insert(key).inserted, members.count < 32 else { return nil }
            members.append(member)
        }
        return members.joined(separator: ",")
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return start[start.endIndex...] }
        return start[...end]
    }

    private static func isKey(_ key: Substring) -> Bool {
        guard let first = key.utf8.first, isLower(first) || isDigit(first), key.utf8.count <= 256 else { return false }
        return key.utf8.allSatisfy { isLower($0) || isDigit($0) || "_-*/@".utf8.contains($0) }
    }

    private static func isValue(_ value: Substring) -> Bool {
        (1...256).contains(value.utf8.count)
            && value.utf8.allSatisfy { (32...126).contains($0) && $0 != 44 && $0 != 61 }
    }

    private static func isLower(_ byte: UInt8) -> Bool { (97...122).contains(byte) }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}

extension ServiceContext {
    private enum TraceContextKey: ServiceContextKey {
        typealias Value = TraceContext
        static var nameOverride: String? { "trace" }
    }

    /// The place in a trace that this context is at.
    public var traceContext: TraceContext? {
        get { self[TraceContextKey.self] }
        set { self[TraceContextKey.self] = newValue }
    }
}
