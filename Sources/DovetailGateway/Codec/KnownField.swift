/// The fields that a proxy treats in a way of its own.
enum KnownField: UInt8, Sendable {
    case other
    case host, contentLength, transferEncoding, expect, connection
    /// Of this hop only and never forwarded (RFC 9110 7.6.1): Keep-Alive, TE, Trailer, Upgrade, Proxy-*.
    case hopByHop
    /// Written anew by the gateway: X-Forwarded-*, Forwarded.
    case forwarded
    case traceparent, correlationID, authorization, origin, requestMethod
    /// `dovetail-*`: the platform's own, believed from nobody outside.
    case dovetail
    case dovetailAfter
    /// `access-control-*` in an answer.
    case accessControl
    case vary, date, idempotencyKey, causationID, tracestate

    /// Which field `name` is.
    @inline(__always)
    static func of(_ name: UnsafeRawBufferPointer) -> KnownField {
        switch name.count {
        case 2: return name.equalsIgnoringCase("te") ? .hopByHop : .other
        case 4:
            if name.equalsIgnoringCase("host") { return .host }
            if name.equalsIgnoringCase("vary") { return .vary }
            return name.equalsIgnoringCase("date") ? .date : .other
        case 6:
            if name.equalsIgnoringCase("expect") { return .expect }
            return name.equalsIgnoringCase("origin") ? .origin : .other
        case 7:
            return name.equalsIgnoringCase("upgrade") || name.equalsIgnoringCase("trailer") ? .hopByHop : .other
        case 9: return name.equalsIgnoringCase("forwarded") ? .forwarded : .other
        case 10:
            if name.equalsIgnoringCase("connection") { return .connection }
            if name.equalsIgnoringCase("keep-alive") { return .hopByHop }
            return name.equalsIgnoringCase("tracestate") ? .tracestate : .other
        case 11: return name.equalsIgnoringCase("traceparent") ? .traceparent : .other
        case 13: return name.equalsIgnoringCase("authorization") ? .authorization : .other
        case 14: return name.equalsIgnoringCase("content-length") ? .contentLength : .other
        case 15:
            if name.equalsIgnoringCase("idempotency-key") { return .idempotencyKey }
            return name.equalsIgnoringCase("x-forwarded-for") ? .forwarded : .other
        default: return ofLong(name)
        }
    }

    private static func ofLong(_ name: UnsafeRawBufferPointer) -> KnownField {
        if name.startsIgnoringCase("dovetail-") {
            return name.equalsIgnoringCase("dovetail-after") ? .dovetailAfter : .dovetail
        }
        if name.startsIgnoringCase("x-forwarded-") { return .forwarded }
        if name.startsIgnoringCase("access-control-") {
            return name.equalsIgnoringCase("access-control-request-method") ? .requestMethod : .accessControl
        }
        if name.startsIgnoringCase("proxy-") {
            return name.equalsIgnoringCase("proxy-authenticate") ? .other : .hopByHop
        }
        if name.equalsIgnoringCase("transfer-encoding") { return .transferEncoding }
        if name.equalsIgnoringCase("x-correlation-id") { return .correlationID }
        return name.equalsIgnoringCase("x-causation-id") ? .causationID : .other
    }
}
