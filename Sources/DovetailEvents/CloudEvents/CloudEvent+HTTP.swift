import DovetailCore
import HTTPTypes

/// The HTTP protocol binding of CloudEvents 1.0.2.
extension CloudEvent {
    /// The media types of a structured event and of a batch.
    public static let mediaType = "application/cloudevents+json"
    public static let batchMediaType = "application/cloudevents-batch+json"

    /// Reads what a request carries: one event, structured or binary, or a batch of at most `limit`. Throws ``CloudEventError``.
    public static func read(_ headers: HTTPFields, _ body: [UInt8], atMost limit: Int) throws -> [CloudEvent] {
        let mediaType = headers[.contentType].map { $0.prefix { $0 != ";" }.trimmed.lowercased() } ?? ""
        switch mediaType {
        case batchMediaType: return try batch(json: body, atMost: limit)
        case mediaType where mediaType == CloudEvent.mediaType: return [try CloudEvent(json: body)]
        case let other where other.hasPrefix("application/cloudevents"):
            throw CloudEventError("", "the format \(other) is not taken; send \(CloudEvent.mediaType)")
        default: return [try CloudEvent(headers, body)]
        }
    }

    /// Reads an event in binary mode: attributes in `ce-` headers, the data as the body.
    private init(_ headers: HTTPFields, _ body: [UInt8]) throws {
        self.init(id: "", source: "", type: "")
        var hasVersion = false
        for field in headers where field.name.canonicalName.hasPrefix("ce-") {
            let name = String(field.name.canonicalName.dropFirst(3))
            guard name != "datacontenttype" else {
                throw CloudEventError(name, "in binary mode it is the header content-type")
            }
            hasVersion = hasVersion || name == "specversion"
            try set(name, try CloudEvent.decoded(field.value, name))
        }
        guard hasVersion else {
            throw CloudEventError(
                "specversion",
                "it is required: send \(CloudEvent.mediaType), or the header ce-specversion and the other attributes")
        }
        if let type = headers[.contentType] { try set("datacontenttype", type) }
        try check()
        data = body.isEmpty ? nil : body
        if data != nil, headers[.contentType] == nil {
            throw CloudEventError("datacontenttype", "data needs the header content-type")
        }
    }

    /// A header's value with its percent encoding taken away (HTTP binding, 3.1.3.2).
    private static func decoded(_ value: String, _ name: String) throws -> String {
        let text =
            value.hasPrefix("\"") && value.hasSuffix("\"") && value.count > 1
            ? String(value.dropFirst().dropLast()) : value
        guard text.contains("%") else { return text }
        guard let decoded = text.removingPercentEncoding else {
            throw CloudEventError(name, "its percent encoding is broken")
        }
        return decoded
    }

    /// The event in binary mode: headers, and the data as the body.
    public var headers: HTTPFields {
        var fields = HTTPFields()
        var named = attributes
        named["datacontenttype"] = nil
        named["specversion"] = "1.0"
        named["id"] = id
        named["source"] = source
        named["type"] = type
        for (name, value) in named.sorted(by: { $0.key < $1.key }) {
            guard let field = HTTPField.Name("ce-\(name)") else { continue }
            fields[field] = CloudEvent.encoded(value)
        }
        if data != nil { fields[.contentType] = attributes["datacontenttype"] ?? "application/json" }
        return fields
    }

    private static func encoded(_ value: String) -> String {
        var text = ""
        for byte in value.utf8 {
            if byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "%"), byte != UInt8(ascii: "\"") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                text += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return text
    }
}

extension Substring {
    /// Without the blanks around it.
    var trimmed: Substring {
        var text = drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
