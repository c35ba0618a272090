import DovetailCore
import Foundation

extension CloudEvent {
    /// Reads an event in the JSON format (`application/cloudevents+json`). Throws ``CloudEventError``.
    public init(json bytes: [UInt8]) throws {
        let members: [(name: String, value: Range<Int>)]
        do { members = try JSON.members(of: bytes) } catch {
            throw CloudEventError("", "expected a JSON object: \(error)")
        }
        self.init(id: "", source: "", type: "")
        var hasVersion = false
        for (name, range) in members where name != "data" && name != "data_base64" {
            let value: JSONValue
            do { value = try JSON.decode(JSONValue.self, from: Array(bytes[range])) } catch {
                throw CloudEventError(CloudEvent.shown(name), "it cannot be read: \(error)")
            }
            hasVersion = hasVersion || name == "specversion"
            switch value {
            case .null where !["id", "source", "type", "specversion"].contains(name): try CloudEvent.checkName(name)
            case .string(let text): try set(name, text)
            case .bool(let flag) where CloudEvent.isExtension(name): try set(name, flag ? "true" : "false")
            case .integer(let number) where CloudEvent.isExtension(name): try set(name, String(number))
            default:
                try CloudEvent.checkName(name)
                throw CloudEventError(
                    name,
                    CloudEvent.isExtension(name) ? "expected text, a whole number, true or false" : "expected text")
            }
        }
        guard hasVersion else { throw CloudEventError("specversion", "it is required") }
        try check()
        try readData(members, in: bytes)
    }

    private mutating func readData(_ members: [(name: String, value: Range<Int>)], in bytes: [UInt8]) throws {
        let plain = members.first { $0.name == "data" }?.value
        let encoded = members.first { $0.name == "data_base64" }?.value
        guard plain == nil || encoded == nil else {
            throw CloudEventError("data", "there is 'data_base64' too; only one of them can be")
        }
        if let encoded {
            guard let text = try? JSON.decode(String.self, from: Array(bytes[encoded])),
                let decoded = Data(base64Encoded: text)
            else { throw CloudEventError("data_base64", "expected text in base64") }
            data = Array(decoded)
        } else if let plain {
            let value = Array(bytes[plain])
            if holdsJSON {
                data = value
            } else {
                // A string stands for itself where the data is no JSON (JSON format, 3.1.1).
                data = (try? JSON.decode(String.self, from: value)).map { Array($0.utf8) } ?? value
            }
        }
    }

    /// Reads a batch (`application/cloudevents-batch+json`): a JSON array of events. Throws ``CloudEventError`` with the index of the event that is wrong.
    public static func batch(json bytes: [UInt8], atMost limit: Int) throws -> [CloudEvent] {
        let elements: [Range<Int>]
        do { elements = try JSON.elements(of: bytes) } catch {
            throw CloudEventError("", "expected a JSON array of events: \(error)")
        }
        guard elements.count <= limit else {
            throw CloudEventError("", "a batch has at most \(limit) events, this one has \(elements.count)")
        }
        return try elements.enumerated().map { index, range in
            do { return try CloudEvent(json: Array(bytes[range])) } catch var error as CloudEventError {
                error.index = index
                throw error
            }
        }
    }

    private static func isExtension(_ name: String) -> Bool {
        !["id", "source", "type", "specversion", "datacontenttype", "dataschema", "subject", "time"].contains(name)
    }

    /// The event in the JSON format; data that is JSON stands in it byte for byte.
    public var json: [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "{")]
        func add(_ name: String, _ value: some Sequence<UInt8>) {
            if text.count > 1 { text.append(UInt8(ascii: ",")) }
            text += "\"\(name)\":".utf8
            text += value
        }
        func add(_ name: String, _ value: String) {
            // Text always has a form in JSON.
            add(name, (try? JSON.encode(value)) ?? [])
        }
        add("specversion", "1.0")
        add("id", id)
        add("source", source)
        add("type", type)
        for (name, value) in attributes.sorted(by: { $0.key < $1.key }) { add(name, value) }
        if let data {
            if holdsJSON, JSON.isDocument(data) {
                add("data", data)
            } else {
                add("data_base64", Data(data).base64EncodedString())
            }
        }
        text.append(UInt8(ascii: "}"))
        return text
    }

    /// The event in the JSON format on one line: line ends in JSON stand between tokens only, and mean nothing there.
    public var line: [UInt8] { json.map { $0 == 10 || $0 == 13 ? 32 : $0 } }
}
