import Tracing

/// A fact about a span: text, a number, yes or no, or a list of texts. In JSON it is just that.
public enum SpanAttributeValue: Sendable, Hashable {
    case string(String)
    case integer(Int64)
    case double(Double)
    case boolean(Bool)
    /// Lists of numbers are kept as lists of texts.
    case strings([String])

    /// The longest text that is kept, in Unicode scalars; the rest is cut off.
    static let maximumLength = 4096

    /// Text of any length, cut to what is kept.
    public static func text(_ text: String) -> SpanAttributeValue {
        // Every scalar is at most four bytes: short texts need no count of scalars.
        guard text.utf8.count > maximumLength else { return .string(text) }
        return .string(String(String.UnicodeScalarView(text.unicodeScalars.prefix(maximumLength))))
    }

    init(_ attribute: SpanAttribute) {
        switch attribute {
        case .int32(let value): self = .integer(Int64(value))
        case .int64(let value): self = .integer(value)
        case .double(let value): self = value.isFinite ? .double(value) : .string("\(value)")
        case .bool(let value): self = .boolean(value)
        case .string(let value): self = .text(value)
        case .stringConvertible(let value): self = .text(value.description)
        case .int32Array(let values): self = .texts(values.map { "\($0)" })
        case .int64Array(let values): self = .texts(values.map { "\($0)" })
        case .doubleArray(let values): self = .texts(values.map { "\($0)" })
        case .boolArray(let values): self = .texts(values.map { "\($0)" })
        case .stringArray(let values): self = .texts(values)
        case .stringConvertibleArray(let values): self = .texts(values.map(\.description))
        default: self = .string("")
        }
    }

    private static func texts(_ values: [String]) -> SpanAttributeValue {
        .strings(values.prefix(128).map { text($0).description })
    }

    var footprint: Int {
        switch self {
        case .string(let text): text.utf8.count
        case .strings(let texts): texts.reduce(16) { $0 + 16 + $1.utf8.count }
        case .integer, .double, .boolean: 0
        }
    }
}

extension SpanAttributeValue: CustomStringConvertible {
    public var description: String {
        switch self {
        case .string(let text): text
        case .integer(let number): "\(number)"
        case .double(let number): "\(number)"
        case .boolean(let flag): "\(flag)"
        case .strings(let texts): texts.joined(separator: ",")
        }
    }
}

extension SpanAttributeValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
}

extension SpanAttributeValue: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let flag = try? container.decode(Bool.self) {
            self = .boolean(flag)
        } else if let number = try? container.decode(Int64.self) {
            self = .integer(number)
        } else if let number = try? container.decode(Double.self) {
            self = .double(number)
        } else if let texts = try? container.decode([String].self) {
            self = .strings(texts)
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .string(let text): try container.encode(text)
        case .integer(let number): try container.encode(number)
        case .double(let number): try container.encode(number)
        case .boolean(let flag): try container.encode(flag)
        case .strings(let texts): try container.encode(texts)
        }
    }
}
