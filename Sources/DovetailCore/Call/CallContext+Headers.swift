import Foundation
import HTTPTypes
import Instrumentation
import ServiceContextModule

extension CallContext {
    /// The context that a request's headers carry.
    ///
    /// Headers that are malformed count as absent: a timeout that is no number of milliseconds, a correlation id that is not
    /// 1 to 128 visible ASCII characters (a new one is made), an idempotency key that is empty or longer than 255.
    /// `Dovetail-Principal` is read only when `trustingPrincipal`: from a node that proved itself, never from outside.
    public init(headers: HTTPFields, trustingPrincipal: Bool, now: MonotonicTime) {
        var trace = ServiceContext.topLevel
        InstrumentationSystem.instrument.extract(headers, into: &trace, using: HTTPFieldsExtractor())
        let correlationID = headers[.correlationID].flatMap { HeaderText.token($0, upTo: 128) }
        self.init(
            deadline: headers[.dovetailTimeout].flatMap(HeaderText.milliseconds).map { now + $0 },
            principal: trustingPrincipal ? headers[.dovetailPrincipal].flatMap(HeaderText.principal) : nil,
            idempotencyKey: headers[.idempotencyKey].flatMap(HeaderText.key),
            correlationID: correlationID ?? UniqueID.v7().description,
            causationID: headers[.causationID].flatMap { HeaderText.token($0, upTo: 128) }, trace: trace,
            after: headers[.dovetailAfter].flatMap { HeaderText.token($0, upTo: 255) })
    }

    /// Sets the headers that carry this context; a part that the context lacks is removed from them.
    ///
    /// The timeout is what is left until the deadline at `now`. An id or key that a header cannot hold goes as its
    /// ``UniqueID/derived(from:)``, which is the same at every attempt.
    public func write(to headers: inout HTTPFields, now: MonotonicTime) {
        headers[.dovetailTimeout] = deadline.map { HeaderText.milliseconds(left: $0 - now) }
        headers[.dovetailPrincipal] = principal.flatMap(HeaderText.base64url)
        headers[.idempotencyKey] = idempotencyKey.map { HeaderText.safe($0, upTo: 255) }
        headers[.correlationID] = HeaderText.safe(correlationID, upTo: 128)
        headers[.causationID] = causationID.map { HeaderText.safe($0, upTo: 128) }
        headers[.dovetailAfter] = after
        InstrumentationSystem.instrument.inject(trace, into: &headers, using: HTTPFieldsInjector())
    }
}

/// Reads trace context from header fields, for any instrument.
public struct HTTPFieldsExtractor: Extractor {
    /// An extractor.
    public init() {}

    /// The field's value; values of several fields of the name are joined by commas. Nil if there is none.
    public func extract(key: String, from headers: HTTPFields) -> String? {
        HTTPField.Name(key).flatMap { headers[$0] }
    }
}

/// Writes trace context to header fields, for any instrument.
public struct HTTPFieldsInjector: Injector {
    /// An injector.
    public init() {}

    /// Sets the field; a key that is no header name is left out.
    public func inject(_ value: String, forKey key: String, into headers: inout HTTPFields) {
        guard let name = HTTPField.Name(key) else { return }
        headers[name] = value
    }
}

/// The text forms of what a context's headers hold.
private enum HeaderText {
    /// `text` if it is visible ASCII of at most `limit` characters and not empty.
    static func token(_ text: String, upTo limit: Int) -> String? {
        1...limit ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7E ~= $0 } ? text : nil
    }

    /// `text` itself where a header holds it bare, otherwise an id derived from it.
    static func safe(_ text: String, upTo limit: Int) -> String {
        token(text, upTo: limit).flatMap { $0.contains("\"") ? nil : $0 } ?? UniqueID.derived(from: text).description
    }

    /// An idempotency key: visible ASCII, or a string of RFC 8941, 3.3.3 (in quotes, `\` escaping itself and the quote).
    static func key(_ text: String) -> String? {
        guard text.hasPrefix("\"") else { return token(text, upTo: 255) }
        var key = ""
        var scalars = text.unicodeScalars.dropFirst().makeIterator()
        while let scalar = scalars.next() {
            switch scalar {
            case "\"": return scalars.next() == nil && 1...255 ~= key.utf8.count ? key : nil
            case "\\":
                guard let escaped = scalars.next(), escaped == "\"" || escaped == "\\" else { return nil }
                key.unicodeScalars.append(escaped)
            case " "..."~": key.unicodeScalars.append(scalar)
            default: return nil
            }
        }
        return nil
    }

    static func milliseconds(_ text: String) -> Duration? {
        guard 1...15 ~= text.utf8.count, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return Int64(text).map { .milliseconds($0) }
    }

    /// What is left, rounded down so that the callee does not wait beyond its caller, but not to nothing.
    static func milliseconds(left: Duration) -> String {
        left > .zero ? String(max(1, left.wholeNanoseconds / 1_000_000)) : "0"
    }

    static func base64url(_ principal: Principal) -> String? {
        (try? JSON.encode(principal)).map { Base64URL.encode($0) }
    }

    static func principal(_ text: String) -> Principal? {
        Base64URL.decode(Array(text.utf8)[...]).flatMap { try? JSON.decode(Principal.self, from: $0) }
    }
}
