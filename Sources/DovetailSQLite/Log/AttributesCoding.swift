import DovetailCore
import DovetailEvents
import Foundation

/// An event's attributes as bytes: name and value of each, with their lengths before them.
///
/// JSON would cost more than the rest of an append. Names that the envelope knows are a number instead of a text.
enum AttributesCoding {
    private static let correlation: UInt8 = 1
    private static let causation: UInt8 = 2
    private static let traceparent: UInt8 = 3
    private static let tracestate: UInt8 = 4
    private static let expiry: UInt8 = 5
    private static let header: UInt8 = 0

    static func encode(_ attributes: EventAttributes) -> [UInt8] {
        var bytes: [UInt8] = []
        func add(_ text: String) {
            var length = UInt64(text.utf8.count)
            while length >= 0x80 {
                bytes.append(UInt8(length & 0x7F) | 0x80)
                length >>= 7
            }
            bytes.append(UInt8(length))
            bytes.append(contentsOf: text.utf8)
        }
        func add(_ name: UInt8, _ value: String?) {
            guard let value else { return }
            bytes.append(name)
            add(value)
        }
        add(correlation, attributes.correlationID)
        add(causation, attributes.causationID)
        add(traceparent, attributes.traceparent)
        add(tracestate, attributes.tracestate)
        // Microseconds since 1970, as text: a reader that does not know the number still knows its length.
        add(expiry, attributes.expiresAt.map { String($0.microsecondsSince1970) })
        for (name, value) in (attributes.headers ?? [:]).sorted(by: { $0.key < $1.key }) {
            bytes.append(header)
            add(name)
            add(value)
        }
        return bytes
    }

    /// The attributes that the bytes say; nil if they say none that can be read.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> EventAttributes? {
        var attributes = EventAttributes()
        var rest = bytes[...]
        func text() -> String? {
            var length = 0
            var shift = 0
            while true {
                guard let byte = rest.popFirst(), shift < 56 else { return nil }
                length |= Int(byte & 0x7F) << shift
                if byte < 0x80 { break }
                shift += 7
            }
            guard length <= rest.count else { return nil }
            defer { rest = rest.dropFirst(length) }
            return String(decoding: rest.prefix(length), as: UTF8.self)
        }
        while let name = rest.popFirst() {
            guard let first = text() else { return nil }
            switch name {
            case correlation: attributes.correlationID = first
            case causation: attributes.causationID = first
            case traceparent: attributes.traceparent = first
            case tracestate: attributes.tracestate = first
            case expiry:
                guard let microseconds = Int64(first) else { return nil }
                attributes.expiresAt = Date(timeIntervalSince1970: Double(microseconds) / 1e6)
            case header:
                guard let value = text() else { return nil }
                attributes.headers = attributes.headers ?? [:]
                attributes.headers?[first] = value
            default: return nil
            }
        }
        return attributes
    }
}
