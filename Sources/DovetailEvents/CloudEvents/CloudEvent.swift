import DovetailCore
import Foundation

/// An event as other languages say it: CloudEvents 1.0.2, its attributes and its data.
///
/// Attributes are text in the form of the specification (section 3). Beside the required ones the log knows: `partitionkey` orders the event (`subject`, else
/// `id`, where it is not there), `dataversion` is the payload's version, `expirytime` its end, and `correlationid`, `causationid`, `traceparent` and `tracestate` say where in a
/// flow it belongs. All others are kept and handed on as they came.
public struct CloudEvent: Sendable, Hashable {
    /// Identifies the event among those of its source.
    public var id: String
    /// Who published it: a URI reference.
    public var source: String
    /// The topic.
    public var type: String
    /// The other attributes, by name.
    public var attributes: [String: String]
    /// The payload as it came; nil: there is none.
    public var data: [UInt8]?

    /// An event.
    public init(id: String, source: String, type: String, attributes: [String: String] = [:], data: [UInt8]? = nil) {
        self.id = id
        self.source = source
        self.type = type
        self.attributes = attributes
        self.data = data
    }

    /// Whether the data is JSON: it is if nothing else is said.
    public var holdsJSON: Bool { CloudEvent.isJSON(attributes["datacontenttype"]) }

    /// Whether a media type is JSON's, by its name or its suffix (RFC 6839).
    static func isJSON(_ mediaType: String?) -> Bool {
        guard let mediaType else { return true }
        let name = mediaType.prefix { $0 != ";" && $0 != " " }.lowercased()
        return name == "application/json" || name == "text/json" || name.hasSuffix("+json")
    }
}

/// What is wrong with a CloudEvent that came from outside, and with which attribute.
public struct CloudEventError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The attribute, `data`, or empty for the event as a whole.
    public let attribute: String
    /// What would have been right, and what was found.
    public let message: String
    /// Which event of a batch, from 0.
    public var index: Int?

    /// A fault of an attribute.
    public init(_ attribute: String, _ message: String, index: Int? = nil) {
        self.attribute = attribute
        self.message = message
        self.index = index
    }

    /// The place as an RFC 6901 pointer into a structured event.
    public var pointer: String { (index.map { "/\($0)" } ?? "") + (attribute.isEmpty ? "" : "/\(attribute)") }

    public var description: String { (attribute.isEmpty ? "the event" : "'\(attribute)'") + ": \(message)" }
}

// MARK: What is checked

extension CloudEvent {
    /// The longest name of an attribute, and the longest of all attributes together, in bytes.
    static let longestName = 20
    static let longestAttributes = 16 << 10

    /// Sets an attribute, required or not, after checking it. Throws ``CloudEventError``.
    package mutating func set(_ name: String, _ value: String) throws {
        switch name {
        case "specversion":
            guard value == "1.0" else {
                throw CloudEventError(name, "expected 1.0, found \(CloudEvent.shown(value))")
            }
        case "id": id = try CloudEvent.text(name, value)
        case "source": source = try CloudEvent.text(name, value)
        case "type":
            type = try CloudEvent.text(name, value)
            guard type.utf8.count <= 255, !type.hasPrefix("$"),
                !type.split(separator: ".", omittingEmptySubsequences: false).contains("")
            else {
                throw CloudEventError(
                    name,
                    "expected words joined by dots, at most 255 bytes and none of the engine's own ($…), found \(CloudEvent.shown(type))"
                )
            }
        case "data", "data_base64": throw CloudEventError(name, "it is no attribute")
        default:
            try CloudEvent.checkName(name)
            let text = try CloudEvent.text(name, value)
            switch name {
            case "time", "expirytime":
                guard Timestamp.date(text).flatMap({ Timestamp.text($0) }) != nil else {
                    throw CloudEventError(
                        name, "expected a time as 2026-01-31T12:00:00Z (RFC 3339), found \(CloudEvent.shown(text))")
                }
            case "dataschema":
                guard let url = URL(string: text), url.scheme != nil else {
                    throw CloudEventError(name, "expected a URI with its scheme, found \(CloudEvent.shown(text))")
                }
            case "datacontenttype":
                guard CloudEvent.isMediaType(text) else {
                    throw CloudEventError(
                        name, "expected a media type as application/json, found \(CloudEvent.shown(text))")
                }
            case "dataversion":
                guard let version = Int(text), version > 0 else {
                    throw CloudEventError(name, "expected a whole number from 1, found \(CloudEvent.shown(text))")
                }
            default: break
            }
            attributes[name] = text
        }
    }

    /// Checks what only the whole event shows.
    func check() throws {
        for (name, value) in [("id", id), ("source", source), ("type", type)] where value.isEmpty {
            throw CloudEventError(name, "it is required")
        }
        let bytes = attributes.reduce(id.utf8.count + source.utf8.count) {
            $0 + $1.key.utf8.count + $1.value.utf8.count
        }
        guard bytes <= CloudEvent.longestAttributes else {
            throw CloudEventError(
                "", "its attributes have \(bytes) bytes; at most \(CloudEvent.longestAttributes) are taken")
        }
    }

    static func checkName(_ name: String) throws {
        let isName = name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) }
        guard isName, (1...longestName).contains(name.utf8.count) else {
            throw CloudEventError(
                String(name.prefix(40)), "an attribute's name has 1 to \(longestName) small letters and digits")
        }
    }

    private static func text(_ name: String, _ value: String) throws -> String {
        guard !value.isEmpty else { throw CloudEventError(name, "it is empty") }
        let isClean = value.unicodeScalars.allSatisfy {
            $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && !(0xFDD0...0xFDEF).contains($0.value)
                && $0.value & 0xFFFE != 0xFFFE
        }
        guard isClean else { throw CloudEventError(name, "it has control characters") }
        return value
    }

    private static func isMediaType(_ text: String) -> Bool {
        let parts = text.prefix { $0 != ";" }.trimmed.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2
            && parts.allSatisfy { part in
                !part.isEmpty
                    && part.utf8.allSatisfy { $0 > 32 && $0 < 127 && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
            }
    }

    static func shown(_ text: String) -> String { "'\(text.prefix(40))'" + (text.count > 40 ? "…" : "") }
}
