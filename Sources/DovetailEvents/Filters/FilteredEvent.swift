import DovetailContracts
import DovetailCore
import Foundation

/// An event as filters look at it: its payload is parsed once, and only if one asks.
struct FilteredEvent {
    /// The longest text that patterns are matched against, in bytes.
    private static let longestText = 16 << 10

    let event: StoredEvent
    private var payload: JSONValue??

    init(_ event: StoredEvent) { self.event = event }

    /// Whether the filter holds. A payload that is no JSON has no fields.
    mutating func satisfies(_ filter: EventFilter) -> Bool {
        switch filter {
        case .compares(let field, let comparison, let value):
            return self[field].map { EventFilter.compare($0, comparison, value) } ?? false
        case .like(let field, let pattern):
            // Matching costs pattern times text; text beyond all reason is like nothing.
            guard case .string(let text)? = self[field], text.utf8.count <= FilteredEvent.longestText else {
                return false
            }
            return Likeness(pattern).holds(for: text)
        case .isOne(let field, let values):
            guard let value = self[field] else { return false }
            return values.contains { EventFilter.compare(value, .equal, $0) }
        case .exists(let field):
            return self[field] != nil
        case .all(let filters):
            for filter in filters where !satisfies(filter) { return false }
            return true
        case .any(let filters):
            for filter in filters where satisfies(filter) { return true }
            return false
        case .not(let filter):
            return !satisfies(filter)
        }
    }

    private subscript(field: EventField) -> JSONValue? {
        mutating get {
            let value: JSONValue?
            switch field {
            case .attribute(let name): value = event.attribute(name).map(JSONValue.string)
            case .data(let path):
                value = path.reduce(data) { value, name in value?[name] ?? Int(name).flatMap { value?[$0] } }
            }
            // What is sealed is no text that anything could be compared with.
            if case .string(let text)? = value, SealedText(text) != nil { return nil }
            return value == .null ? nil : value
        }
    }

    private var data: JSONValue? {
        mutating get {
            if let payload { return payload }
            let parsed = try? JSON.decode(JSONValue.self, from: event.data)
            payload = .some(parsed)
            return parsed
        }
    }
}

extension StoredEvent {
    /// An attribute by its CloudEvents name; nil if the event does not have it.
    package func attribute(_ name: String) -> String? {
        switch name {
        case "specversion": "1.0"
        case "id": attributes.headers?["id"] ?? id.description
        case "source": source
        case "type": type
        case "time": attributes.headers?["time"] ?? Timestamp.text(time)
        case "subject": attributes.headers?["subject"]
        case "datacontenttype": attributes.headers?["datacontenttype"] ?? "application/json"
        case "dataversion": String(version)
        case "partitionkey": key
        case "correlationid": attributes.correlationID
        case "causationid": attributes.causationID
        case "traceparent": attributes.traceparent
        case "tracestate": attributes.tracestate
        default: attributes.headers?[name]
        }
    }
}

extension EventFilter {
    /// Numbers compare by value, and so do text that is a number and a number; text compares by its scalars; the rest is equal or not.
    static func compare(_ left: JSONValue, _ comparison: Comparison, _ right: JSONValue) -> Bool {
        if case .string(let first) = left, case .string(let second) = right {
            return holds(comparison, first.unicodeScalars.elementsEqual(second.unicodeScalars)) {
                first.unicodeScalars.lexicographicallyPrecedes(second.unicodeScalars)
            }
        }
        if case .integer(let first) = left, case .integer(let second) = right {
            return holds(comparison, first == second) { first < second }
        }
        if let first = left.asNumber, let second = right.asNumber {
            return holds(comparison, first == second) { first < second }
        }
        switch comparison {
        case .equal: return left == right
        case .notEqual: return left != right
        default: return false
        }
    }

    private static func holds(_ comparison: Comparison, _ isEqual: Bool, _ isLess: () -> Bool) -> Bool {
        switch comparison {
        case .equal: isEqual
        case .notEqual: !isEqual
        case .less: !isEqual && isLess()
        case .lessOrEqual: isEqual || isLess()
        case .greater: !isEqual && !isLess()
        case .greaterOrEqual: isEqual || !isLess()
        }
    }
}

extension JSONValue {
    /// The number, or the number that the text is.
    fileprivate var asNumber: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .number(let number): number
        case .string(let text): Double(text).flatMap { $0.isFinite ? $0 : nil }
        default: nil
        }
    }
}

/// A pattern of SQL's LIKE, matched in time proportional to pattern and text multiplied, however many `%` it has.
struct Likeness {
    private enum Part: Equatable {
        case scalar(Unicode.Scalar)
        case one
        case any
    }

    private let parts: [Part]

    init(_ pattern: String) {
        var parts: [Part] = []
        var isEscaped = false
        for scalar in pattern.unicodeScalars {
            switch scalar {
            case "\\" where !isEscaped:
                isEscaped = true
                continue
            case "%" where !isEscaped: if parts.last != .any { parts.append(.any) }
            case "_" where !isEscaped: parts.append(.one)
            default: parts.append(.scalar(scalar))
            }
            isEscaped = false
        }
        if isEscaped { parts.append(.scalar("\\")) }
        self.parts = parts
    }

    func holds(for text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var at = 0
        var part = 0
        // Where the last `%` stands, and how much of the text it has taken so far.
        var retry: (part: Int, at: Int)?
        while at < scalars.count {
            if part < parts.count, parts[part] == .any {
                retry = (part, at)
                part += 1
            } else if part < parts.count, parts[part] == .one || parts[part] == .scalar(scalars[at]) {
                at += 1
                part += 1
            } else if let (last, taken) = retry {
                retry = (last, taken + 1)
                at = taken + 1
                part = last + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { $0 == .any }
    }
}
