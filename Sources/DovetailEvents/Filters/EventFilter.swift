import DovetailCore

/// What an event has to say for a subscription to want it: conditions on its attributes and on fields of its payload.
///
/// A filter is data, so it reads the same in code, in a configuration and over HTTP. In code: `.data("total") > 100 && .source == "orders"`; as
/// text: `data.total > 100 AND source = 'orders'`. It has no side effects and always comes to an end. A condition on something that the event does not
/// have does not hold.
public indirect enum EventFilter: Sendable, Hashable {
    /// How a field's value stands to the one asked for.
    public enum Comparison: String, Sendable, Hashable, CaseIterable {
        /// The same: numbers by value, text by its scalars.
        case equal = "="
        /// There, and not the same.
        case notEqual = "!="
        /// Smaller: numbers by value, text by its scalars, so that RFC 3339 times in UTC compare by time.
        case less = "<"
        /// Smaller or the same.
        case lessOrEqual = "<="
        /// Larger.
        case greater = ">"
        /// Larger or the same.
        case greaterOrEqual = ">="
    }

    /// The field compares so with the value.
    case compares(EventField, Comparison, JSONValue)
    /// The field is text, of 16 KiB at most, like the pattern, in which `%` stands for any text, `_` for one character, and `\` takes both literally.
    case like(EventField, String)
    /// The field is one of these.
    case isOne(EventField, of: [JSONValue])
    /// The event has the field; `null` counts as not there.
    case exists(EventField)
    /// All of them hold.
    case all([EventFilter])
    /// One of them holds.
    case any([EventFilter])
    /// It does not hold.
    case not(EventFilter)
}

/// Something of an event that a filter can ask for.
public enum EventField: Sendable, Hashable {
    /// An attribute of the event, by its CloudEvents name: `type`, `source`, `id`, `subject`, or one that the publisher added.
    case attribute(String)
    /// A field of the payload, by the names on the way to it; a number counts into an array.
    case data([String])

    /// The topic.
    public static let type = EventField.attribute("type")
    /// Who published the event.
    public static let source = EventField.attribute("source")
    /// The value that orders it.
    public static let key = EventField.attribute("partitionkey")

    /// A field of the payload, as `customer.country`.
    public static func data(_ path: String) -> EventField {
        .data(path.split(separator: ".", omittingEmptySubsequences: false).map(String.init))
    }

    /// Whether the field is text that begins so.
    public func hasPrefix(_ prefix: String) -> EventFilter { .like(self, EventFilter.escaped(prefix) + "%") }
    /// Whether the field is text that ends so.
    public func hasSuffix(_ suffix: String) -> EventFilter { .like(self, "%" + EventFilter.escaped(suffix)) }
    /// Whether the event has it.
    public var exists: EventFilter { .exists(self) }

    public static func == (field: EventField, value: JSONValue) -> EventFilter { .compares(field, .equal, value) }
    public static func != (field: EventField, value: JSONValue) -> EventFilter { .compares(field, .notEqual, value) }
    public static func < (field: EventField, value: JSONValue) -> EventFilter { .compares(field, .less, value) }
    public static func <= (field: EventField, value: JSONValue) -> EventFilter { .compares(field, .lessOrEqual, value) }
    public static func > (field: EventField, value: JSONValue) -> EventFilter { .compares(field, .greater, value) }
    public static func >= (field: EventField, value: JSONValue) -> EventFilter {
        .compares(field, .greaterOrEqual, value)
    }
}

extension EventFilter {
    public static func && (left: EventFilter, right: EventFilter) -> EventFilter {
        if case .all(let filters) = left { return .all(filters + [right]) }
        return .all([left, right])
    }
    public static func || (left: EventFilter, right: EventFilter) -> EventFilter {
        if case .any(let filters) = left { return .any(filters + [right]) }
        return .any([left, right])
    }
    public static prefix func ! (filter: EventFilter) -> EventFilter { .not(filter) }

    /// Text that a pattern takes literally.
    static func escaped(_ text: String) -> String { text.escaping(["%", "_", "\\"]) }

    /// Whether the filter looks into payloads.
    var readsData: Bool {
        switch self {
        case .compares(let field, _, _), .like(let field, _), .isOne(let field, _), .exists(let field):
            if case .data = field { true } else { false }
        case .all(let filters), .any(let filters): filters.contains(where: \.readsData)
        case .not(let filter): filter.readsData
        }
    }
}

extension String {
    /// The text with a backslash before each of these, scalar by scalar: a mark that combines with one hides it from a comparison of characters.
    func escaping(_ special: Set<Unicode.Scalar>) -> String {
        var escaped = UnicodeScalarView()
        for scalar in unicodeScalars {
            if special.contains(scalar) { escaped.append("\\") }
            escaped.append(scalar)
        }
        return String(escaped)
    }
}
